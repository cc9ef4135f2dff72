# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finding the panic in a kernel log."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import dmesg
from hypothesis import given
from hypothesis import strategies as st

# makedumpfile 1.7.2 --dump-dmesg of a guest of Linux 6.1.0-56-amd64 that a drill panicked, shortened.
SYSRQ = """\
[    0.000000] Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) \
12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)
[    0.000000] Command line: console=ttyS0 panic=0
[    2.825855] crashready: drill drill-7f3a
[    3.837967] sysrq: Trigger a crash
[    3.839027] Kernel panic - not syncing: sysrq triggered crash
[    3.840009] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2
[    3.842997]  panic+0x118/0x2f4
"""

# The lines of arch/x86/mm/fault.c and kernel/panic.c for a null pointer in an interrupt.
NULL_DEREF = """\
[  912.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008
[  912.000002] #PF: supervisor read access in kernel mode
[  912.000003] Oops: 0000 [#1] PREEMPT SMP NOPTI
[  912.000004] RIP: 0010:i40e_clean_rx_irq+0x2f1/0xa10 [i40e]
[  912.000005] Kernel panic - not syncing: Fatal exception in interrupt
"""


def test_a_drill() -> None:
    found = dmesg.summarise(SYSRQ, ["drill-7f3a", "drill-7", "another"])
    assert found.panic == "Kernel panic - not syncing: sysrq triggered crash"
    assert found.causes == ("sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq triggered crash")
    assert found.sysrq is True
    assert found.version is not None
    assert found.version.startswith("Linux version 6.1.0-56-amd64 ")
    assert found.markers == {"drill-7f3a": True, "drill-7": False, "another": False}


def test_a_fault_names_its_first_cause_first() -> None:
    found = dmesg.summarise(NULL_DEREF)
    assert found.causes[0] == "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    assert found.panic == "Kernel panic - not syncing: Fatal exception in interrupt"
    assert (found.sysrq, found.version, found.markers) == (False, None, {})


@pytest.mark.parametrize(
    "prefix",
    ["", "[    3.8] ", "[12345.678901] ", "<0>[    3.839027] ", "[    3.839027][    T1] ", "[    3.839027] [  C12] "],
)
def test_prefixes(prefix: str) -> None:
    # printk.time=0, dmesg -r, CONFIG_PRINTK_CALLER on the console and from makedumpfile 1.7.6
    assert dmesg.panic_line(prefix + "Kernel panic - not syncing: x\n") == "Kernel panic - not syncing: x"


@pytest.mark.parametrize(
    "line",
    [
        "[    1.000000] usb 1-1: Product: Kernel panic - not syncing: made up",
        '[    1.000000] audit: comm="Kernel panic - not syncing"',
        "[    1.000000] systemd[1]: sysrq: Trigger a crash",
        "[    1.000000] ---[ end Kernel panic - not syncing: x ]---",
        "",
    ],
)
def test_words_inside_another_message_do_not_count(line: str) -> None:
    found = dmesg.summarise(line)
    assert (found.panic, found.causes, found.sysrq) == (None, (), False)


@pytest.mark.parametrize(
    "line",
    [
        "BUG: unable to handle page fault for address: ffff888000000000",
        "kernel BUG at mm/slub.c:305!",
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008",
        "Internal error: Oops: 0000000096000004 [#1] SMP",
        "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP",
        "divide error: 0000 [#1] PREEMPT SMP",
        "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [swapper/3:0]",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 2",
    ],
)
def test_causes(line: str) -> None:
    assert dmesg.cause_lines("[  1.0] {0}\n".format(line)) == (line,)


def test_the_last_panic_counts() -> None:
    text = "Kernel panic - not syncing: one\n[ 1.0] Kernel panic - not syncing: two\n"
    assert dmesg.panic_line(text) == "Kernel panic - not syncing: two"


@pytest.mark.parametrize(
    ("text", "marker", "found"),
    [
        ("[ 1.0] drill a-1\n[ 2.0] Kernel panic - not syncing: x\n", "a-1", True),
        ("[ 1.0] drill a-12\n[ 2.0] Kernel panic - not syncing: x\n", "a-1", False),
        ("[ 1.0] drill ba-1\n[ 2.0] Kernel panic - not syncing: x\n", "a-1", False),
        ("[ 2.0] Kernel panic - not syncing: x\n[ 3.0] drill a-1\n", "a-1", False),
        ("[ 1.0] drill a.1\n", "a.1", True),
        ("[ 1.0] drill ab1\n", "a.1", False),
        ("[ 1.0] drill\n", "", False),
        ("x" * 300, "x" * 300, False),
    ],
)
def test_find_marker(text: str, marker: str, found: bool) -> None:
    assert dmesg.find_marker(text, marker) is found


def test_bounds() -> None:
    many = "[ 1.0] BUG: x\n" * 1000
    assert len(dmesg.cause_lines(many)) == 8
    long = "[ 1.0] Kernel panic - not syncing: " + "y" * 100000 + "\n"
    assert len(str(dmesg.panic_line(long))) <= 512
    padding = "[ 0.5] x\n" * (dmesg.TEXT_LIMIT // 9 + 1)
    assert dmesg.panic_line("Kernel panic - not syncing: old\n" + padding) is None
    assert dmesg.panic_line(padding + "Kernel panic - not syncing: new\n") == "Kernel panic - not syncing: new"


@given(st.text(max_size=2000))
def test_garbage_never_escapes(text: str) -> None:
    found = dmesg.summarise(text, [text[:10]])
    assert all("\x1b" not in line for line in found.causes)
