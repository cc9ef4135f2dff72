# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Captures that fail: none may end green, and each says what happened. One by one: -k makedumpfile_fails, ..."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

MAKEDUMPFILE = "/usr/bin/makedumpfile"

#: A makedumpfile that does something else in the capture kernel; for the kernel log, and elsewhere, it is the real one.
STUB = """#!/bin/sh
case "$*" in
    *--dump-dmesg*) ;;
    *) if [ -e /proc/vmcore ]; then
        {action}
    fi ;;
esac
exec {real} "$@"
"""
FULL = """dd if=/dev/zero of=/root/room bs=1M count=4 2>/dev/null
        set -- $(stat -f -c '%f %S' /) "$@"
        fallocate -l $(($1 * $2 - 25165824)) /root/filler
        cat /dev/zero >/root/filler2 2>/dev/null
        rm -f /root/room
        sync
        shift 2"""


@contextlib.contextmanager
def stubbed(box: t.Any, action: str) -> t.Iterator[None]:
    """The packaged makedumpfile is put back whatever happens, once the guest answers."""
    real = MAKEDUMPFILE + ".packaged"
    box.sh("test -x {0} && mv {0} {1}".format(MAKEDUMPFILE, real))
    box.put(MAKEDUMPFILE, STUB.format(action=action, real=real))
    try:
        yield
    finally:
        box.wait_boot()
        box.sh("mv -f {1} {0} && sync".format(MAKEDUMPFILE, real))


def assert_unproven(box: t.Any, drilled: t.Any) -> None:
    assert drilled.outcome["state"] == "unproven", drilled.text[-6000:]
    assert drilled.code == 1
    box.figure("unproven: " + drilled.why)
    capture = box.facts()
    assert capture["proven"] is False, capture["unread"]
    assert "the last drill was not proven" in capture["unread"]["proven"]


def test_makedumpfile_fails(bookworm: t.Any) -> None:
    """G1: kdump-tools says "saved vmcore" and leaves 0 bytes."""
    with stubbed(bookworm, "echo 'stubbed to fail' >&2; exit 1"):
        drilled = bookworm.drill()
        assert "saved vmcore" in bookworm.console(), "the wrong output that this is about"
        assert_unproven(bookworm, drilled)
        assert "has 0 bytes: makedumpfile failed in the capture kernel (G1)" in drilled.why


def test_disk_full(trixie: t.Any) -> None:
    """G7: full when the dump is written; what filled it is removed by the next boot."""
    trixie.put("/etc/tmpfiles.d/filler.conf", "r! /root/filler\nr! /root/filler2\n")
    try:
        with stubbed(trixie, FULL):
            drilled = trixie.drill()
            assert_unproven(trixie, drilled)
            assert "(G7)" in drilled.why
            assert "No space left on device" in trixie.console()
    finally:
        trixie.sh("rm -f /root/filler* /root/room /etc/tmpfiles.d/filler.conf /var/crash/2*/*-incomplete")


def test_capture_hangs_and_the_deadline_ends_it(bookworm: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """G26: makedumpfile never ends; our time limit, here a minute, resets the host."""
    limit = ("--limit", bookworm.name)
    done = harden(*limit, "-e", "kdump_capture_deadline_s=60")
    assert done.rc == 0, done.out
    try:
        with stubbed(bookworm, "exec sleep 100000"):
            drilled = bookworm.drill()
            assert_unproven(bookworm, drilled)
            assert "did not end within its time limit of 60 s and was reset (G26)" in drilled.why
            assert "capture took over 60 s, resetting" in bookworm.console()
    finally:
        again = harden(*limit)
    assert again.rc == 0, again.out


def test_power_cut_during_the_dump(bookworm: t.Any) -> None:
    with stubbed(bookworm, "sleep 5; echo cut-me-now >/dev/console; sync; sleep 100000"):
        process = bookworm.start()
        bookworm.wait_for_console("cut-me-now")
        bookworm.reset()
        drilled = bookworm.end(process)
        assert_unproven(bookworm, drilled)
        assert "the capture kernel was last seen" in drilled.why


@pytest.mark.parametrize("sizes", [("104M", "88M", "72M", "56M", "40M")])
def test_reservation_too_small(bookworm: t.Any, sizes: tuple[str, ...]) -> None:
    """G15: the reservation is shrunk step by step until the capture fails; then that is said. Each size is a figure."""
    for size in sizes:
        drilled = bookworm.drill("--timeout", "600", "-e", "crash_drill_shrink_to=" + size)
        state, console = drilled.outcome["state"], bookworm.console()[-2000:]
        record = drilled.outcome["record"] or {}
        lowest = record.get("lowest_available_bytes")
        bookworm.figure("shrunk to {0}: {1}, lowest available {2} bytes; {3}".format(size, state, lowest, drilled.why))
        if state == "proven":
            continue
        if state == "hung":  # halted before panic= counts: nothing but a reset brings it back
            assert "the host did not come back" in drilled.why
            bookworm.reset()
            bookworm.wait_boot()
            drilled = bookworm.drill()
        assert drilled.outcome["state"] == "unproven", drilled.text[-6000:]
        assert drilled.code == 1
        told = (
            "the reservation is too small (G15)",
            "left no word of itself",
            "does not load into that little",
            "left at its fullest",  # it hung before memory was at its end
        )
        assert any(text in drilled.why for text in told), (drilled.why, console)
        if told[2] in drilled.why:
            bookworm.guest.reboot(900)
        assert bookworm.facts()["proven"] is not True
        return
    raise AssertionError("a capture in {0} was proven".format(sizes[-1]))


def test_after_all_faults_the_capture_is_proven_again(bookworm: t.Any, harden: t.Callable[..., t.Any]) -> None:
    done = harden("--limit", bookworm.name)
    assert done.rc == 0, done.out
    drilled = bookworm.drill()
    assert drilled.outcome["state"] == "proven", drilled.text[-6000:]
    assert bookworm.facts()["proven"] is True
