# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record: its keys, the first cause, what is missing, and hostile input within bounds."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import oops
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import events
from hypothesis import given, settings
from hypothesis import strategies as st

#: DESIGN.md, "Crash record".
KEYS = (
    "kind function module path driver confidence frames context cpu task taint kernel modules signature source pairing"
).split()

FATAL = """\
BUG: unable to handle page fault for address: ffffd31c37eab1c9
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
Oops: 0002 [#{number}] PREEMPT SMP NOPTI
CPU: 34 UID: 0 PID: 77 Comm: a b/34 Kdump: loaded Tainted: G        W  OE       6.12.48+deb13-amd64 #1  Debian 6.12.48-1
Tainted: [W]=WARN, [O]=OOT_MODULE, [E]=UNSIGNED_MODULE
Hardware name: Supermicro X11/X11, BIOS 3.2 03/20/2025
RIP: 0010:{place}+0x1/0x2
Code: 41 <48> 8b
RSP: 0018:ffffa9bec02a8d50 EFLAGS: 00010287
CR2: ffffd31c37eab1c9 CR3: 0000000166022004 CR4: 0000000000f72ef0
Call Trace:
 <TASK>
 ksys_write+0x1/0x2
 entry_SYSCALL_64_after_hwframe+0x1/0x2
 </TASK>
Modules linked in: i40e(OE) ext4 mbcache [last unloaded: x]
---[ end trace 0000000000000000 ]---
"""
PANIC = "Kernel panic - not syncing: Fatal exception\n"


def test_place_on_a_broken_line(tables: oops.Tables) -> None:
    """A mail program breaks long lines, also before the name that matters."""
    head = "WARNING: CPU: 3 PID: 7219 at\nlib/refcount.c:28 one+0x1/0x2\n"
    record = oops.read_log(head + "Call Trace:\n two+0x1/0x2\n", tables)
    assert (record.function, record.cpu) == ("one", 3)
    record = oops.read_log("WARNING: CPU: 3 PID: 7219 at a.c:1 x+0x1/0x2\nRIP:\n0010:one+0x1/0x2 [m]\n", tables)
    assert (record.function, record.module) == ("one", "m")
    assert oops.read_log("RIP:\n" * 999, tables).function is None


def test_module_on_a_broken_line(tables: oops.Tables) -> None:
    head = "WARNING: CPU: 3 PID: 7 at\na.c:1 igb_rd32.cold+0x3a/0x46 [igb]\nRIP: 0010:igb_rd32.cold+0x3a/0x46\n[igb]\n"
    record = oops.read_log(head + "Call Trace:\n foo_update+0x78/0x820\n[foo]\n foo_task+0x1/0x2\n", tables)
    assert (record.function, record.module) == ("igb_rd32", "igb")
    assert [frame["module"] for frame in record.frames] == ["igb", "foo", None]
    assert oops.read_log("a+0x1/0x2\n[m]\n" * 999, tables).function is None


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        ("NULL pointer dereference at 0000000000000832", "null_deref"),
        ("paging request at ffffa6510e5580c0", "page_fault"),
        ("Oops: 0000 [#1] SMP", "page_fault"),
    ],
)
def test_kind_on_a_broken_line(tables: oops.Tables, second: str, kind: str) -> None:
    record = oops.read_log("BUG: unable to handle kernel\n{0}\nRIP: 0010:one+0x1/0x2\n".format(second), tables)
    assert (record.kind, record.function) == (kind, "one")


def test_release_on_the_third_line(tables: oops.Tables) -> None:
    rows = ["CPU: 95 PID: 5670 Comm: kworker/u256:6 Tainted: G", "       O      5.15.32-x", "#5.15.32-1+deb11"]
    record = oops.read_log("\n".join(["general protection fault: 0000 [#1] SMP", *rows]), tables)
    assert (record.kernel["release"], record.task, [flag[0] for flag in record.taint or []]) == (
        "5.15.32-x",
        "kworker/u256:6",
        ["O"],
    )


def test_a_fault_without_its_first_line_that_ends_in_a_panic(tables: oops.Tables) -> None:
    """ "#PF:" and "Oops:" are of one fault: the first of them alone is no event that the panic came from."""
    rows = FATAL.format(number=1, place="one").split("\n", 1)[1] + PANIC
    record = oops.read_log(rows, tables)
    assert (record.kind, record.function, record.cpu) == ("page_fault", "one", 34)
    assert record.source["missing"] == ["its first lines"]


@pytest.mark.parametrize("marks", ["...0", "...!", "...?", "....", ".N.9", "O..."])
def test_processor_of_a_stall(tables: oops.Tables, marks: str) -> None:
    for blank in ("\t", " ", "    "):
        text = "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\nrcu:{0}7-{1}: (4 ticks this GP) idle=c6ec\n"
        assert oops.read_log(text.format(blank, marks), tables).cpu == 7


def test_a_first_line_for_each_inlined_function(tables: oops.Tables) -> None:
    """scripts/decode_stacktrace.sh prints the head twice; both are one event."""
    place = "WARNING: CPU: 1 PID: 29 at ./a.h:1 "
    record = oops.read_log(
        place + "inner a.h:1 [inline]\n" + place + "outer+0x1/0x2 b.c:2\nCPU: 1 PID: 29 Comm: x Not tainted 6.1.0 #1\n"
        "RIP: 0010:inner a.h:1 [inline]\nRIP: 0010:outer+0x1/0x2 b.c:2\nCall Trace:\n three+0x1/0x2 c.c:3\n",
        tables,
    )
    assert (record.function, record.task, record.followers) == ("outer", "x", 0)
    assert [frame["function"] for frame in record.frames] == ["outer", "three"]


@pytest.mark.parametrize(
    "text",
    [
        "BUG: scheduling while atomic: x/1/0x2\nCall Trace:\n one+0x1/0x2\n ? __switch_to_asm+0x1/0x2\n",
        "INFO: task a:1 blocked for more than 120 seconds.\nCall Trace:\n one+0x1/0x2\n"
        "INFO: task b:2 blocked for more than 120 seconds.\nCall Trace:\n two+0x1/0x2\n do_syscall_64+0x1/0x2\n",
    ],
    ids=["doubted frame", "another event of the boot"],
)
def test_architecture_by_its_functions(text: str, tables: oops.Tables) -> None:
    assert oops.read_log(text, tables).arch == "x86_64"
    assert oops.read_log(text.replace("__switch_to_asm", "x").replace("do_syscall_64", "y"), tables).arch is None


def test_hung_task_stands_where_it_waits(tables: oops.Tables) -> None:
    """The function is the place, as with every other kind; the verdict looks past the lock."""
    record = oops.read_log(
        "INFO: task a:1 blocked for more than 120 seconds.\nCall Trace:\n __schedule+0x1/0x2\n schedule+0x1/0x2\n"
        " __mutex_lock+0x1/0x2\n igb_watchdog_task+0x1/0x2 [igb]\n process_one_work+0x1/0x2\n",
        tables,
    )
    assert (record.function, record.path, record.driver) == ("__mutex_lock", "nic_other", "igb")


def test_every_field(tables: oops.Tables) -> None:
    record = oops.read_log(FATAL.format(number=1, place="one") + PANIC, tables, {"type": "dmesg"}).to_dict()
    assert set(KEYS) < set(record)
    assert json.loads(json.dumps(record)) == record
    assert {key: record[key] for key in ("kind", "function", "path", "cpu", "task", "pid", "context")} == {
        "kind": "page_fault",
        "function": "one",
        "path": "none",
        "cpu": 34,
        "task": "a b/34",
        "pid": 77,
        "context": "task",
    }
    assert record["kernel"] == {"release": "6.12.48+deb13-amd64", "package_version": "6.12.48-1"}
    assert [flag[0] for flag in record["taint"]] == ["W", "O", "E"]
    assert record["modules"] == ["i40e", "ext4", "mbcache"]
    assert (record["hardware"], record["bios"]) == ("Supermicro X11/X11", "3.2 03/20/2025")
    assert (record["fault_address"], record["error_code"], record["arch"]) == ("0xffffd31c37eab1c9", "0x2", "x86_64")
    assert record["frames"][0] == {"function": "one", "offset": 1, "size": 2, "module": None, "inlined": False}
    assert record["source"] == {"type": "dmesg", "lines": 19, "complete": True, "missing": []}
    assert record["panic_line"] == PANIC.strip()
    assert (record["followers"], record["pairing"], record["unread"]) == (0, [], {})


KINDS = [
    ("BUG: unable to handle kernel NULL pointer dereference at 0000000000000008", "null_deref"),
    ("BUG: unable to handle kernel paging request at ffffc90000806ffc", "page_fault"),
    ("Unable to handle kernel paging request at virtual address dead000000000108", "page_fault"),
    (
        "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
        "general_protection",
    ),
    (
        "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
        "general_protection",
    ),
    ("kernel BUG at net/core/skbuff.c:109!", "bug"),
    ("Internal error: Oops - BUG: 00000000f2000800 [#1] SMP", "bug"),
    ("invalid opcode: 0000 [#1] SMP", "bug"),
    ("divide error: 0000 [#1] SMP", "divide_error"),
    ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:123]", "soft_lockup"),
    ("watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3", "hard_lockup"),
    ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", "hard_lockup"),
    ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu_stall"),
    ("rcu: INFO: rcu_sched self-detected stall on CPU", "rcu_stall"),
    ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 3-...D }", "rcu_stall"),
    ("INFO: task kworker/3:1:123 blocked for more than 120 seconds.", "hung_task"),
    ("NETDEV WATCHDOG: eth0 (igb): transmit queue 0 timed out", "netdev_watchdog"),
    ("Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled", "oom_panic"),
    ("Kernel panic - not syncing: System is deadlocked on memory", "oom_panic"),
    ("mce: [Hardware Error]: CPU 2: Machine Check Exception: 5 Bank 4: b200000000070f0f", "mce"),
    ("Kernel panic - not syncing: Fatal machine check", "mce"),
    ("SError Interrupt on CPU0, code 0xbf000002 -- SError", "mce"),
    ("Internal error: synchronous external abort: 96000210 [#1] SMP", "mce"),
    ("sysrq: Trigger a crash", "sysrq"),
    ("SysRq : Trigger a crash", "sysrq"),
    ("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)", "panic"),
    ("WARNING: CPU: 1 PID: 0 at mm/x.c:1 f+0x1/0x2", "warning"),
    ("WARNING: net/x.c:1 at f+0x1/0x2 [m], CPU#3: swapper/3/0", "warning"),
    ("BUG: KASAN: use-after-free in f+0x1/0x2 [m]", "warning"),
    ("BUG: Bad page state in process swapper/3  pfn:1", "warning"),
    ("UBSAN: array-index-out-of-bounds in f.c:1:2", "warning"),
    ("WARNING: possible circular locking dependency detected", "warning"),
    ("swapper/3: page allocation failure: order:0, mode:0x480020(GFP_ATOMIC)", "warning"),
    ("usb 1-1: BUG: unable to handle kernel NULL pointer dereference", "unknown"),
    ("Out of memory: Killed process 12 (x)", "unknown"),
    ("", "unknown"),
]
FIRST_LINES = [text for text, _kind in KINDS]


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_kinds(tables: oops.Tables, text: str, kind: str) -> None:
    assert oops.read_log("[    1.000000] " + text, tables).kind == kind


def test_a_report_that_ends_in_a_panic_is_one(tables: oops.Tables) -> None:
    text = "BUG: KASAN: use-after-free in f+0x1/0x2 [m]\nKernel panic - not syncing: kasan.fault=panic set ...\n"
    assert oops.read_log(text, tables).kind == "panic"


@pytest.mark.parametrize(
    ("first", "panic", "kind"),
    [
        ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [x:1]", "softlockup: hung tasks", "soft_lockup"),
        ("INFO: task a:1 blocked for more than 120 seconds.", "hung_task: blocked tasks", "hung_task"),
        ("rcu: INFO: rcu_sched self-detected stall on CPU", "RCU Stall", "rcu_stall"),
    ],
)
def test_a_stall_that_ends_in_a_panic_stays_one(tables: oops.Tables, first: str, panic: str, kind: str) -> None:
    warning = "WARNING: CPU: 1 PID: 0 at mm/x.c:1 f+0x1/0x2\n---[ end trace 0 ]---\n"
    record = oops.read_log(warning + first + "\nKernel panic - not syncing: " + panic, tables)
    assert (record.kind, record.panic_line) == (kind, "Kernel panic - not syncing: " + panic)


def test_the_first_fatal_one_is_the_cause(tables: oops.Tables) -> None:
    warning = "WARNING: CPU: 1 PID: 0 at mm/x.c:1 warned+0x1/0x2\n---[ end trace 0000000000000000 ]---\n"
    text = warning + FATAL.format(number=1, place="one") + FATAL.format(number=2, place="two") + PANIC
    record = oops.read_log(text, tables)
    assert (record.function, record.followers, record.source["complete"]) == ("one", 1, True)


def test_the_head_is_missing(tables: oops.Tables) -> None:
    text = FATAL.format(number=1, place="one").split("\n", 3)[3]
    record = oops.read_log(text, tables)
    assert (record.kind, record.function) == ("page_fault", "one")
    assert record.source["complete"] is False
    assert "its first lines" in record.source["missing"]
    second = oops.read_log(FATAL.format(number=2, place="two"), tables)
    assert second.source["missing"] == ["the oops before it (this one is number 2)"]


def test_a_report_of_ubsan_without_its_head(tables: oops.Tables) -> None:
    rows = ["CPU: 13 PID: 2041 Comm: a Not tainted 6.5.0-14-generic #14", "Call Trace:", " <TASK>"]
    rows += [" {0}+0x1/0x2".format(name) for name in ("dump_stack_lvl", "dump_stack", "__ubsan_handle_out_of_bounds")]
    record = oops.read_log("\n".join([*rows, " ice_vc_handle_mac_addr_msg+0x1c6/0x1d0 [ice]", " </TASK>"]), tables)
    assert (record.kind, record.path, record.driver) == ("warning", "nic_other", "ice")


def test_processors_that_die_at_once_are_kept_apart(tables: oops.Tables) -> None:
    one = FATAL.format(number=1, place="i40e_clean_rx_irq").replace("CPU: 34", "CPU: 1").splitlines()
    two = FATAL.format(number=2, place="tcp_ack").replace("CPU: 34", "CPU: 2").splitlines()
    mixed = [
        row
        for pair in zip(one, two)
        for row in ("[    1.000000][  T101] " + pair[0], "[    1.000000][   C2] " + pair[1])
    ]
    record = oops.read_log(mixed, tables)
    assert (record.function, record.cpu, record.followers) == ("i40e_clean_rx_irq", 1, 1)
    assert [frame["function"] for frame in record.frames] == [
        *("i40e_clean_rx_irq", "ksys_write", "entry_SYSCALL_64_after_hwframe")
    ]


def test_the_kernel_of_the_boot_that_died(tables: oops.Tables) -> None:
    boot = "Linux version {0}-amd64 (x) (gcc) #1 SMP Debian {1} (2026-11-16)\n"
    text = boot.format("6.1.0-1", "6.1.1-1") + boot.format("6.1.0-56", "6.1.192-2") + "Kernel panic - not syncing: x\n"
    text += boot.format("6.1.0-99", "6.1.999-1")
    assert oops.read_log(text, tables).kernel == {"release": "6.1.0-56-amd64", "package_version": "6.1.192-2"}


def test_no_crash_says_so(tables: oops.Tables) -> None:
    record = oops.read_log("[    0.000000] all is well\n", tables)
    assert (record.kind, record.path, record.function, record.signature["exact"]) == ("unknown", None, None, None)
    assert record.unread["path"]


def test_a_hostile_name_cannot_speak_for_the_kernel(tables: oops.Tables) -> None:
    text = FATAL.format(number=1, place="one").replace("a b/34", "x Tainted: P 9 #1"[:15])
    assert oops.read_log(text, tables).kernel["release"] == "6.12.48+deb13-amd64"


NASTY = ["[" * 4096, "<" * 4096, "a" * 4096, " " * 4096, "0" * 4096, "1," * 2048, "? " * 2048, "(" * 4096, "[<" * 2048]
NASTY += [
    "x:" * 2048,
    "a_" * 2048,
    "A " * 2048,
    "+0x1/" * 900,
    "BUG " + "a" * 4096,
    "Modules linked in: " + "a " * 2000,
]
NASTY += [
    "INFO: task " + "x:1 blocked " * 400,
    "WARNING: CPU: 1 PID: 1 at " + "a " * 2000,
    "CPU: 1 PID: 1 Comm: " + "A " * 2000,
]
NASTY += [
    "Oops: " + "0000 " * 900,
    "BUG: unable to handle at" + " " * 4096,
    "RIP: 0010:" + "[<" * 2000,
    "\x1b[" * 2048,
    "\x1b" * 4096,
]
NASTY += [
    "CPU: 1 PID: 1 Comm: x Tainted: " + "A" * 60 + " -" * 2000,
    "NETDEV WATCHDOG: " + "a (" * 1000,
    "Mon Nov 23 " * 400,
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: text[:12].encode("unicode_escape").decode())
def test_no_line_takes_long(tables: oops.Tables, text: str) -> None:
    start = time.perf_counter()
    body = "\n".join([text] * 50)
    oops.read_log("kernel BUG at x:1!\n" + body + "\nCall Trace:\n" + body, tables)
    assert time.perf_counter() - start < 2


def test_a_long_log_is_read_in_constant_memory(tables: oops.Tables) -> None:
    import tracemalloc

    def pieces(count: int) -> t.Iterator[str]:
        for number in range(count):
            yield FATAL.format(number=1, place="f{0}".format(number)) + "[    1.000000] Linux version {0} (x)\n".format(
                number
            )

    peaks = []
    for count in (200, 2000):
        tracemalloc.start()
        oops.read_chunks(pieces(count), tables)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 100_000


WORDS = st.sampled_from(
    [*FATAL.splitlines(), *NASTY, PANIC, "Call Trace:", " <IRQ>", " </IRQ>", "Panic#1 Part1", "Linux version 6"]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=80)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_record(tables: oops.Tables, rows: list[str]) -> None:
    record = oops.read_log(rows, tables).to_dict()
    assert set(KEYS) < set(record)
    text = json.dumps(record)
    assert len(text) < 200_000
    assert "\\u001b" not in text
    if record["path"] is None:
        assert "path" in record["unread"]


@given(st.binary(max_size=2000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_record(tables: oops.Tables, data: bytes) -> None:
    assert oops.read_log(data, tables).kind


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_log_never_blames_a_driver(tables: oops.Tables, data: st.DataObject) -> None:
    """What the whole log does not say, no part of it says: the fault is in ksys_write's callee, not in i40e."""
    text = FATAL.format(number=1, place="one")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    record = oops.read_log(text[start:end], tables)
    assert record.path in ("none", None)
    assert record.driver is None


def test_the_quick_look_turns_no_first_line_away() -> None:
    """Every form of a first line passes the look at its first three characters."""
    for form in [*events._FORMS, events._Form("oops", 0, events._OOPS), events._Form("panic", 0, events._PANIC)]:
        for text in FIRST_LINES:
            if form.pattern.match(text) and ": NETDEV" not in text and ": page alloc" not in text:
                assert text[:3] in events._THREE
                assert events._FIRST.match(text), text


# https://github.com/koverstreet/bcachefs/issues/98, Linux 5.x, registers left out.
STALL = """\
Apr 04 19:39:46 bismuth kernel: rcu: INFO: rcu_sched self-detected stall on CPU
Apr 04 19:39:46 bismuth kernel: rcu:         2-....: (20999 ticks this GP) idle=0b2/1/0x4000000000000002
Apr 04 19:39:46 bismuth kernel: NMI backtrace for cpu 2
Apr 04 19:39:46 bismuth kernel: Call Trace:
Apr 04 19:39:46 bismuth kernel:  <IRQ>
Apr 04 19:39:46 bismuth kernel:  nmi_cpu_backtrace.cold.6+0x13/0x50
Apr 04 19:39:46 bismuth kernel:  ? lapic_can_unplug_cpu.cold.28+0x3b/0x3b
Apr 04 19:39:46 bismuth kernel:  nmi_trigger_cpumask_backtrace+0xde/0xe0
Apr 04 19:39:46 bismuth kernel:  rcu_dump_cpu_stacks+0x99/0xc7
Apr 04 19:39:46 bismuth kernel:  rcu_sched_clock_irq.cold.82+0x1b0/0x39d
Apr 04 19:39:46 bismuth kernel:  update_process_times+0x28/0x60
Apr 04 19:39:46 bismuth kernel:  hrtimer_interrupt+0x100/0x220
Apr 04 19:39:46 bismuth kernel:  smp_apic_timer_interrupt+0x6a/0x130
Apr 04 19:39:46 bismuth kernel:  apic_timer_interrupt+0xf/0x20
Apr 04 19:39:46 bismuth kernel:  </IRQ>
Apr 04 19:39:46 bismuth kernel: RIP: 0010:bch2_rebalance_thread+0x47b/0x500 [bcachefs]
Apr 04 19:39:46 bismuth kernel: Code: 00 48 8b 44 24 38
Apr 04 19:39:46 bismuth kernel: RSP: 0018:ffffb7469043be10 EFLAGS: 00000216 ORIG_RAX: ffffffffffffff13
Apr 04 19:39:46 bismuth kernel:  kthread+0xfd/0x130
Apr 04 19:39:46 bismuth kernel:  ret_from_fork+0x35/0x40
"""

# https://github.com/oxidecomputer/propolis/issues/376, the only trace is of the thread that waits.
STARVED = """\
[  553.456118] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:
[  553.457413] rcu: \t0-...!: (0 ticks this GP) idle=5fc/0/0x0 softirq=11204/11204 fqs=0  (false positive?)
[  553.460077] Sending NMI from CPU 1 to CPUs 0:
[  553.460394] NMI backtrace for cpu 0 skipped: idling at native_safe_halt+0xe/0x20
[  553.460663] rcu: rcu_sched kthread starved for 5252 jiffies! g12425 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=0
[  553.461483] rcu: RCU grace-period kthread stack dump:
[  553.461483] task:rcu_sched       state:I stack:    0 pid:   13 ppid:     2 flags:0x00004000
[  553.461483] Call Trace:
[  553.461483]  __schedule+0x282/0x880
[  553.461483]  schedule+0x46/0xb0
[  553.461483]  rcu_gp_kthread+0x51b/0xbb0
[  553.461483]  kthread+0x11b/0x140
[  553.461483]  ret_from_fork+0x22/0x30
"""


def test_a_stall_is_of_the_code_that_the_timer_interrupted(tables: oops.Tables) -> None:
    record = oops.read_log(STALL, tables)
    assert (record.kind, record.function, record.module, record.cpu) == (
        *("rcu_stall", "bch2_rebalance_thread", "bcachefs"),
        2,
    )
    assert [frame["function"] for frame in record.frames] == ["bch2_rebalance_thread", "kthread", "ret_from_fork"]
    assert (record.context, record.path, record.confidence) == ("task", "none", "medium")


def test_the_thread_that_waits_for_a_stall_is_not_its_cause(tables: oops.Tables) -> None:
    record = oops.read_log(STARVED, tables)
    assert (record.kind, record.cpu, record.function, record.path, record.frames) == ("rcu_stall", 0, None, None, [])
    assert record.source["missing"] == ["its call trace"]
