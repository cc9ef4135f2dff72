# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Messages come out of every carrier alike, in bounds, and user space is not taken for the kernel."""

from __future__ import annotations

import json

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import lines
from hypothesis import given
from hypothesis import strategies as st

TEXT = "BUG: kernel NULL pointer dereference, address: 0000000000000008"


@pytest.mark.parametrize(
    ("raw", "time_s", "caller"),
    [
        (TEXT, None, None),
        ("[  912.000001] " + TEXT, 912.000001, None),
        ("<1>[  912.000001] " + TEXT, 912.000001, None),
        ("[  912.000001][ T1234] " + TEXT, 912.000001, "T1234"),
        ("[  912.000001] [    C7] " + TEXT, 912.000001, "C7"),
        ("[  912.000001][    C0] " + TEXT, 912.000001, "C0"),
        ("Nov 23 13:00:01 rack7 kernel: [  912.000001] " + TEXT, 912.000001, None),
        ("Nov 23 13:00:01 rack7 kernel: " + TEXT, None, None),
        ("Nov 23 13:00:01.123456 rack7 kernel: " + TEXT, None, None),
        ("Nov  3 13:00:01 rack7 [912.000001] " + TEXT, 912.000001, None),
        ("2026-11-23T13:00:01+0000 rack7 kernel: " + TEXT, None, None),
        ("2026-11-23T13:00:01.123456+00:00 rack7 kernel: [912.000001] " + TEXT, 912.000001, None),
        ("Mon 2026-11-23 13:00:01 UTC rack7 kernel: " + TEXT, None, None),
        ("2026-11-23T13:00:01,123456+00:00 " + TEXT, None, None),
        ("Tue Aug 12 16:40:43 2025 kern.crit kernel: [912.000001] " + TEXT, 912.000001, None),
        ("[  912.000001] rack7 kernel: " + TEXT, None, None),
        ("[Mon Nov 23 13:00:01 2026] " + TEXT, None, None),
        ("[Nov23 13:00] " + TEXT, None, None),
        ("[  +0.000012] " + TEXT, None, None),
        ("kern  :alert : [  912.000001] " + TEXT, 912.000001, None),
        ("1,1873,912000001,-;" + TEXT, 912.000001, None),
        ("1,1873,912000001,-,caller=T77;" + TEXT, 912.000001, "T77"),
        ("[2026-11-23 13:00:01] [  912.000001] " + TEXT, 912.000001, None),
        ("[13:00:01.123] [  912.000001] " + TEXT, 912.000001, None),
        ("> > [  912.000001] " + TEXT, 912.000001, None),
        ("\t[  912.000001] " + TEXT, 912.000001, None),
        ("\x1b[31m[  912.000001] \x1b[0m" + TEXT, 912.000001, None),
        ("\x00\x00[  912.000001] " + TEXT, 912.000001, None),
        ("MESSAGE=" + TEXT, None, None),
        ("kernel: " + TEXT, None, None),
        ("kernel:[  912.000001] " + TEXT, 912.000001, None),
        ("> " * 5 + "Jun 22 04:11:29 vch01 kernel: " + TEXT, None, None),
        ("[  91[  912.000001] " + TEXT, 912.000001, None),
        ("[ 911.9258[  912.000001] " + TEXT, 912.000001, None),
    ],
)
def test_prefixes(raw: str, time_s: float | None, caller: str | None) -> None:
    assert list(lines.kernel_lines(raw + "\r\n")) == [lines.Line(TEXT, time_s, caller)]


@pytest.mark.parametrize(
    "raw",
    [
        "Nov 23 13:00:01 rack7 sshd[812]: " + TEXT,
        "Nov 23 13:00:01 rack7 logger: " + TEXT,
        "2026-11-23T13:00:01+0000 rack7 systemd[1]: " + TEXT,
        "[  912.000001] rack7 sshd[812]: " + TEXT,
        json.dumps({"MESSAGE": TEXT, "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "kernel"}),
        json.dumps({"MESSAGE": TEXT, "SYSLOG_IDENTIFIER": "sshd"}),
        json.dumps({"MESSAGE": None, "_TRANSPORT": "kernel"}),
    ],
)
def test_user_space_is_no_evidence(raw: str) -> None:
    assert list(lines.kernel_lines(raw + "\n")) == []


def test_a_program_that_speaks_on_the_serial_line() -> None:
    """Its words stand before the stamp of the message that cut it off."""
    rows = ["[  912.000001] Call Trace:", "CE  slb: real se[  912.000002]  ? sock_poll+0x1/0x2", "rvice r5[  912.1] x"]
    assert [(line.text, line.time_s) for line in lines.kernel_lines("\n".join(rows))] == [
        ("Call Trace:", 912.000001),
        (" ? sock_poll+0x1/0x2", 912.000002),
        ("rvice r5[  912.1] x", None),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        ("usb 1-1: Product: stick", "usb 1-1: Product: x[  912.000001] " + TEXT),  # no line bears a stamp
        ("[  913.000001] usb 1-1: Product: stick", "x[  912.000001] " + TEXT),  # older than what stands before
        ("[  911.000001] ok", "[  911.000002] usb 1-1: Product: x[  912.000001] " + TEXT),
        ("Nov 23 13:00:01 rack7 kernel: usb 1-1: new", "Nov 23 13:00:01 rack7 kernel: x[  912.000001] " + TEXT),
    ],
)
def test_a_stamp_in_a_name_begins_no_message(rows: tuple[str, ...]) -> None:
    assert not any(line.text.startswith("BUG") for line in lines.kernel_lines("\n".join(rows)))


def test_ordinary_kernel_lines_are_not_taken_for_a_journal() -> None:
    for text in ("usb 1-1: new high-speed USB device", "systemd[1]: Started x", "i40e 0000:81:00.0: MAC address: x"):
        assert [line.text for line in lines.kernel_lines("[    1.000000] " + text)] == [text]


def test_journal_json() -> None:
    record = {"MESSAGE": TEXT, "_TRANSPORT": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": "912000001"}
    assert list(lines.kernel_lines(json.dumps(record))) == [lines.Line(TEXT, 912.000001, None)]
    record["MESSAGE"] = [*TEXT.encode(), 0xFF, 999, "x"]  # type: ignore[assignment]
    assert next(lines.kernel_lines(json.dumps(record))).text == TEXT + "\ufffd"


@pytest.mark.parametrize(
    "raw", ["{", '{"MESSAGE": ' + "[" * 60000, "[]{}", '{"a": 1}', '{"MESSAGE": ' + "9" * 60000 + "}"]
)
def test_bad_json_is_no_error(raw: str) -> None:
    assert len(list(lines.kernel_lines(raw))) <= 1


def test_pstore_parts_are_put_in_order() -> None:
    # fs/pstore/platform.c: Part1 holds the end of the log; files are joined by name.
    text = "Panic#2 Part1\n<0>[ 3.0] last\nPanic#2 Part10\n<4>[ 1.0] first\nPanic#2 Part2\n<4>[ 2.0] second\n"
    text = text.replace(".0]", ".000000]")
    assert [line.text for line in lines.kernel_lines(text)] == ["first", "second", "last"]
    assert [line.text for line in lines.kernel_lines("Oops#1 Part1\na\nPanic#2 Part2\nb\nPanic#2 Part1\nc")] == [
        *("a", "b", "c")
    ]


def test_long_lines_are_cut_and_their_rest_is_dropped() -> None:
    text = "[    1.000000] " + "x" * 300_000 + "\n[    2.000000] next\n"
    found = list(lines.kernel_lines(text[place : place + 1000] for place in range(0, len(text), 1000)))
    assert [len(line.text) for line in found] == [lines.LINE_LIMIT, 4]
    assert found[1].text == "next"


def test_nothing_moves_the_cursor() -> None:
    raw = "[    1.000000] a\x1b]0;title\x07b\x1b[2Jc\x9bd\u202ee\x08f"
    (line,) = lines.kernel_lines(raw)
    assert line.text == "abc d e f"


@given(st.binary(max_size=400), st.integers(1, 7))
def test_pieces_do_not_matter(data: bytes, size: int) -> None:
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    whole = [line.text for line in lines.kernel_lines(data) if line.text]
    assert [line.text for line in lines.kernel_lines(pieces) if line.text] == whole
