# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads the facts of an event out of its lines: the first line, the processor's line, lists and codes."""

from __future__ import annotations

import re
import typing as t

from ..errors import ParseError
from ..kernelrelease import parse_proc_version
from ..text import clean
from .events import Event
from .report import Report
from .tables import normalise
from .taint import decode_letters
from .trace import parse_traces

__all__ = ["WARNING", "WARNING_NEW", "arch_of_line", "read_boot", "read_header", "read_lines"]

_MODULES_KEPT = 512
_CPU = re.compile(r"CPU: (\d{1,5}) (?:UID: \d{1,10} )?PID: (\d{1,10}) Comm: ")
# Red Hat's kernels write dashes and marks of their own between the taints and the release.
_RELEASE = re.compile(r"[ -]{0,80}(?:[A-Z/]{1,4} [ -]{1,40})?(\d+\.\d+\S{0,100}) (#.{0,160})")
_MODULE = re.compile(r"[a-zA-Z0-9][\w-]{0,63}(?:\([A-Z+-]{1,6}\))?\Z")
_DEBIAN = re.compile(r" Debian (\d\S{0,79})")
_ADDRESS = re.compile(
    r"(?:address:?|at|virtual address|for address:|non-canonical address|maybe for address)"
    r" {1,20}(\(null\)|(?:0x)?[0-9a-f]{1,16})\b|(?:at) {1,20}\(null\)"
)
_PF_CODE = re.compile(r"#PF: error_code\((0x[0-9a-f]{1,8})\)")
_OOPS_CODE = re.compile(r"(?:Oops|invalid opcode|fault|error|segment)[^\[]{0,100}: ([0-9a-f]{4,16}) \[#(\d{1,6})\]")
_OOPS_NUMBER = re.compile(r" \[#(\d{1,6})\]")
_ESR = re.compile(r"\s{0,4}ESR = (0x[0-9a-f]{1,16})")
_CR2 = re.compile(r"(?:RIP: .{0,200})?\bCR2: ([0-9a-f]{8,16})\b")
# kernel/rcu/tree_stall.h, print_cpu_stall_info: one of the marks is a digit or "?". A mail program eats the tab.
_RCU_CPU = re.compile(r"(?:rcu:)?\s{1,9}(\d{1,5})-[.OoNDIT!?0-9#+-]{1,8}: \(")
_WATCHDOG = re.compile(r"NETDEV WATCHDOG: \S{1,64} \(([^()\s]{0,64})\): transmit queue \d")
_WATCHDOG_NEW = re.compile(r"(\S{1,64}) \S{1,64} \S{1,64}: NETDEV WATCHDOG: ")
_LOCKUP = re.compile(r".{0,30}soft lockup - CPU#(\d{1,5}) stuck for \d{1,9}s! \[(.{1,40}):(\d{1,10})\]")
_HARD = re.compile(r".{0,60}LOCKUP on cpu (\d{1,5})")
_HUNG = re.compile(r"INFO: task (.{1,64}):(\d{1,10}) blocked ")
WARNING = re.compile(r"WARNING: CPU: (\d{1,5}) PID: (\d{1,10}) at (\S{1,300})(?: (.{1,200}))?")
WARNING_NEW = re.compile(r"WARNING: \S{1,300} at (\S{1,200}(?: \[[^\]]{1,80}\])?), CPU#(\d{1,5}): (.{1,64})/(\d{1,10})")
_MCE_CPU = re.compile(r".{0,30}\bCPU ?(\d{1,5})")
_ALLOCATION = re.compile(r"(.{1,20}): page allocation ")


def read_lines(lines: t.Sequence[str], report: Report, event: Event) -> None:
    """Facts that any line can hold; the first line that has one counts, since later ones are of other reports."""
    for number, text in enumerate(lines):
        key = text.lstrip()
        if key.startswith("CPU: ") and report.release is None:
            _read_cpu(_whole_cpu_line(key, lines[number + 1 : number + 3]), report)
        elif key.startswith(("Not tainted ", "Tainted: ")) and "[" not in key[:11] and report.release is None:
            _read_taint(" " + key, report)
        elif key.startswith("Hardware name: ") and report.hardware is None:
            _read_hardware(key[15:], report)
        elif key.startswith("Modules linked in:") and report.modules is None:
            report.modules = _read_modules(key[18:], lines[number + 1 : number + 40])
        elif key.startswith("Tainted: [") and not report.taint:
            report.taint = decode_letters(key[9:])
        elif key.startswith("Code: ") and report.code is None and not key.startswith("Code: Bad RIP"):
            report.code = clean(key[6:], 400)
        else:
            _read_fault(key, report)
    if report.kind == "null_deref" and report.fault_address is None and "(null)" in event.header:
        report.fault_address = "0x0"


def _read_fault(text: str, report: Report) -> None:
    if report.error_code is None:
        match = _PF_CODE.match(text) or _OOPS_CODE.search(text, 0, 400) or _ESR.match(text)
        if match:
            report.error_code = hex(int(match.group(1), 16))
    if report.oops_number is None:
        match = _OOPS_NUMBER.search(text, 0, 400)
        if match:
            report.oops_number = int(match.group(1))
    if report.fault_address is None and "CR2: " in text:
        match = _CR2.match(text) or re.search(r"\bCR2: ([0-9a-f]{8,16})\b", text[:400])
        # In any other trap CR2 is left over from an older fault.
        if match and report.kind in ("null_deref", "page_fault", "unknown"):
            report.fault_address = hex(int(match.group(1), 16))
    if report.arch is None:
        report.arch = arch_of_line(text)


# Functions that one architecture alone has; a frame that the unwinder doubts proves it too.
_X86 = re.compile(
    r"(?:\[<[^>]{0,40}>\] ?)?(?:\? )?(?:do_syscall_64|entry_SYSCALL_64\w{0,40}|__switch_to_asm|ret_from_fork_asm"
    r"|asm_(?:sysvec|exc|common)_\w{1,60})\+0x"
)


def arch_of_line(text: str) -> str | None:
    """The architecture whose kernel alone writes such a line."""
    if text.startswith(("RIP: 0010:", "RSP: 0018:", "RAX: ", "Oops: 00", "FS:  0", "CS:  0010", "mce: ", "R13: ")):
        return "x86_64"
    if _X86.match(text):
        return "x86_64"
    # arch/x86 writes "Call Trace:", arch/arm64 "Call trace:".
    return "aarch64" if text.startswith(("pstate: ", "ESR = ", "x29: ", "Mem abort info", "Call trace:")) else None


def _whole_cpu_line(text: str, following: t.Sequence[str]) -> str:
    """The processor's line up to the build's number, which a mail program may have broken over three lines."""
    for more in following:
        if " #" in text:
            break
        text += " " + more.lstrip()
    return text


def _read_cpu(text: str, report: Report) -> None:
    """The line "CPU: 3 UID: 0 PID: 0 Comm: swapper/3 Kdump: loaded Tainted: G   W   6.12.48+deb13-amd64 #1 ..."."""
    match = _CPU.match(text)
    if not match:
        return
    rest = text[match.end() :]
    # lib/dump_stack.c prints at most 20 characters of the name, which its owner chooses: the last mark is the kernel's.
    place = max(rest.rfind(" Not tainted ", 0, 64), rest.rfind(" Tainted: ", 0, 64))
    if place < 0:
        return
    if report.cpu is None and report.kind not in ("hung_task", "rcu_stall"):
        report.cpu = int(match.group(1))
    if report.task is None:
        report.task = clean(rest[:place].replace(" Kdump: loaded", ""), 64)
        report.pid = int(match.group(2))
    _read_taint(rest[place:], report)


def _read_taint(rest: str, report: Report) -> None:
    """ " Not tainted 6.1.0 #1" or " Tainted: G   W   6.1.0 #1", where a hung task has it on a line of its own."""
    letters = re.match(r" Tainted: ([A-Z ]{1,64}?)(?= {0,40}(?:\d|-{5}))", rest)
    if letters:
        report.taint = decode_letters(letters.group(1))
    elif rest.startswith(" Not tainted"):
        report.taint = []
    _read_release(rest[letters.end() :] if letters else rest[len(" Not tainted") :], report)


def _read_release(text: str, report: Report) -> None:
    match = _RELEASE.match(text)
    if match:
        report.release = clean(match.group(1), 128)
        build = _DEBIAN.search(" " + match.group(2))
        report.package_version = clean(build.group(1), 80) if build else None


def _read_hardware(text: str, report: Report) -> None:
    name, found, bios = text.partition(", BIOS ")
    report.hardware = clean(re.sub(r", BIOS$", "", name), 200)
    report.bios = clean(bios, 120) if found else None


def _read_modules(first: str, following: t.Sequence[str]) -> list[str]:
    """Names of the loaded modules without their flags; syslog breaks the list over lines that begin with a blank."""
    text = first
    for more in following:
        if "[last unloaded" in text or not _more_modules(more):
            break
        text += " " + more
    text = re.split(r"\[(?:last )?unloaded", text)[0]
    words = (re.sub(r"\([A-Z+-]{1,8}\)$", "", word) for word in text.split())
    return [word for word in words if re.match(r"[\w-]{1,64}$", word)][:_MODULES_KEPT]


def _more_modules(text: str) -> bool:
    """Whether a line goes on with a list that syslog (it begins with a blank) or a mail program broke."""
    words = text.split("[last unloaded", maxsplit=1)[0].split()
    return (text.startswith(" ") or len(words) > 1) and all(_MODULE.match(word) for word in words)


# ------------------------------------------------------------- the first line


def read_header(lines: t.Sequence[str], report: Report, event: Event) -> None:
    header = event.header
    if report.kind in ("null_deref", "page_fault", "general_protection") and not event.headless:
        _read_address(header, report)
    reader = _HEADERS.get(report.kind)
    if reader is not None:
        reader(lines, report)
    if event.headless and report.kind == "unknown" and _warned(lines):
        report.kind = "warning"
    # arch/x86/mm/fault.c: the kernel itself calls a fault in the first page a NULL dereference.
    if event.headless and report.kind == "page_fault" and int(report.fault_address or "0x1000", 16) < 4096:
        report.kind = "null_deref"
    if report.kind == "warning" and event.panic:
        report.kind = "panic"


def _warned(lines: t.Sequence[str]) -> bool:
    """Whether a report without its first lines is a warning: its trace leads through what prints one."""
    traces = parse_traces(lines)
    frames = traces[0].frames[:4] if traces else []
    return any(
        re.match(r"bad_page|__?warn|report_bug|print_report|kasan_report|__ubsan_handle", frame.function)
        for frame in frames
    )


def _read_address(header: str, report: Report) -> None:
    match = _ADDRESS.search(header, 0, 400)
    if match:
        value = match.group(1)
        report.fault_address = hex(int(value, 16)) if value and "null" not in value else "0x0"


def _read_lockup(lines: t.Sequence[str], report: Report) -> None:
    match = _LOCKUP.match(lines[0])
    if match:
        report.cpu, report.task, report.pid = int(match.group(1)), clean(match.group(2), 64), int(match.group(3))


def _read_hard(lines: t.Sequence[str], report: Report) -> None:
    match = _HARD.match(lines[0])
    if match:
        report.cpu = int(match.group(1))


def _read_rcu(lines: t.Sequence[str], report: Report) -> None:
    for text in lines[:20]:
        match = _RCU_CPU.match(text)
        if match:
            report.cpu = int(match.group(1))
            break


def _read_hung(lines: t.Sequence[str], report: Report) -> None:
    match = _HUNG.match(lines[0])
    if match:
        report.task, report.pid = clean(match.group(1), 64), int(match.group(2))


def _read_netdev(lines: t.Sequence[str], report: Report) -> None:
    report.function = "dev_watchdog"  # net/sched/sch_generic.c: nothing else prints these words
    for text in lines[:8]:
        match = _WATCHDOG.match(text) or _WATCHDOG_NEW.match(text)
        if match:
            report.driver = clean(match.group(1), 64) or None
            break
    match = re.search(r"NETDEV WATCHDOG: CPU: (\d{1,5}):", lines[0][:300])
    if match:
        report.cpu = int(match.group(1))
    _read_warning(lines[:8], report)


def _read_warning(lines: t.Sequence[str], report: Report) -> None:
    for text in lines[:6]:
        match = WARNING.match(text)
        if match:
            report.cpu, report.pid = int(match.group(1)), int(match.group(2))
            return
        match = WARNING_NEW.match(text)
        if match:
            report.cpu, report.task, report.pid = int(match.group(2)), clean(match.group(3), 64), int(match.group(4))
            return
        match = _ALLOCATION.match(text)
        if match and report.task is None:
            report.task = clean(match.group(1), 64)


def _read_mce(lines: t.Sequence[str], report: Report) -> None:
    match = _MCE_CPU.match(lines[0])
    if match:
        report.cpu = int(match.group(1))


def _read_panic(lines: t.Sequence[str], report: Report) -> None:
    match = re.match(r"Kernel panic - not syncing: stack-protector: .{1,60} in: ([\w.]{1,160})\+0x", lines[0])
    if match:
        report.function = normalise(match.group(1))
        # The return address lies behind the function's end, so the frame bears the name of the next one, +0x0.
        frames = [frame for trace in parse_traces(lines)[:1] for frame in trace.frames if frame.offset == 0]
        report.module = next((frame.module for frame in frames if frame.module), None)


_HEADERS: dict[str, t.Callable[[t.Sequence[str], Report], None]] = {
    "soft_lockup": _read_lockup,
    "hard_lockup": _read_hard,
    "rcu_stall": _read_rcu,
    "hung_task": _read_hung,
    "netdev_watchdog": _read_netdev,
    "warning": _read_warning,
    "mce": _read_mce,
    "panic": _read_panic,
}


def read_boot(event: Event, report: Report) -> None:
    """What the event does not say of the kernel, from the boot that it happened in."""
    if event.boot.version is not None:
        try:
            version = parse_proc_version(event.boot.version)
        except ParseError:
            return
        report.release = report.release or version.release
        if report.package_version is None and report.release == version.release:
            report.package_version = version.package_version
    if report.hardware is None and event.boot.hardware is not None:
        _read_hardware(event.boot.hardware, report)
