# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finds the events of a kernel log: faults, lockups, stalls, warnings, panics, and the lines that belong to each.

A line begins an event only where the message itself begins with the words:
user space can put any text into a message's middle. Where lines name their
writer (CONFIG_PRINTK_CALLER), each writer has an event of its own, so that two
processors that die at once are kept apart.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .lines import Line

__all__ = ["FATAL", "REPORT", "STALL", "Boot", "Event", "Scanner", "pick"]

#: How grave an event is; the first of the gravest ones is the cause.
FATAL, STALL, REPORT = 0, 1, 2

#: Events that are kept whole in each grade, and lines kept of each: what comes later is only counted.
EVENTS_KEPT = 8
BODY_LINES = 400
#: Lines that are read after an event's own end ("---[ end trace"), for the panic that it leads to.
_TAIL_LINES = 12


@dataclasses.dataclass
class Boot:
    """What the log tells of the kernel that is running where it stands."""

    number: int = 0
    version: str | None = None  #: the "Linux version" line
    hardware: str | None = None  #: the "DMI:" or "Machine model:" line
    events: int = 0  #: events begun in it, those that were only counted too


@dataclasses.dataclass
class Event:
    """One event and the lines that its writer wrote after the first one."""

    kind: str
    grade: int
    header: str
    index: int
    time_s: float | None
    caller: str | None
    boot: Boot
    nth: int = 0  #: the how-manieth event of its boot
    body: list[str] = dataclasses.field(default_factory=list)
    panic: str | None = None  #: the panic line that this event led to
    headless: bool = False  #: the first line is missing: the log begins inside of it
    ended: bool = False
    left: int = 0  #: lines that are still taken after the end
    has_trace: bool = False
    has_oops: bool = False

    @property
    def fatal(self) -> bool:
        """Whether it killed a task or the kernel."""
        return self.grade == FATAL or self.panic is not None


class _Form(t.NamedTuple):
    kind: str
    grade: int
    pattern: re.Pattern[str]


def _forms(*rows: tuple[str, int, str]) -> tuple[_Form, ...]:
    return tuple(_Form(kind, grade, re.compile(pattern)) for kind, grade, pattern in rows)


# The first that fits counts. Sources: arch/x86/mm/fault.c, arch/x86/kernel/{dumpstack,traps}.c, arch/arm64/mm/fault.c,
# arch/arm64/kernel/traps.c, kernel/{panic,watchdog,hung_task}.c, kernel/rcu/tree_stall.h, lib/bug.c,
# arch/x86/kernel/cpu/mce/core.c, in the wording of 4.19 to 7.x.
_FORMS = _forms(
    ("null_deref", FATAL, r"BUG: (?:unable to handle )?kernel NULL pointer dereference"),
    ("null_deref", FATAL, r"Unable to handle kernel NULL pointer dereference"),
    ("page_fault", FATAL, r"BUG: unable to handle "),
    ("page_fault", FATAL, r"Unable to handle kernel "),
    ("page_fault", FATAL, r"BUG: (?:\S+ )?stack guard page was hit"),
    ("general_protection", FATAL, r"(?:Oops: )?general protection fault"),
    ("divide_error", FATAL, r"(?:Oops: )?divide error: "),
    ("bug", FATAL, r"kernel BUG at "),
    ("panic", FATAL, r"(?:traps: )?PANIC: double fault|(?:Oops: )?double fault: |(?:Oops: )?stack segment: "),
    ("soft_lockup", STALL, r"(?:(?:NMI )?watchdog: )?BUG: soft lockup - CPU"),
    ("hard_lockup", STALL, r"(?:(?:NMI )?watchdog: )?(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu"),
    ("rcu_stall", STALL, r"(?:rcu: )?INFO: \w{1,40} (?:self-)?detected (?:expedited )?stalls?\b"),
    ("hung_task", STALL, r"INFO: task .{1,80} blocked (?:for more than|in I/O wait for more than) "),
    ("netdev_watchdog", STALL, r"NETDEV WATCHDOG: "),
    ("netdev_watchdog", STALL, r"\S{1,64} \S{1,64} \S{1,64}: NETDEV WATCHDOG: "),
    ("sysrq", FATAL, r"(?:sysrq: )?(?:SysRq : )?Trigger a crash"),
    ("mce", FATAL, r"(?:mce: )?\[Hardware Error\]: CPU \d+: Machine Check Exception"),
    ("mce", FATAL, r"(?:\{\d+\})?\[Hardware Error\]: event severity: fatal"),
    ("mce", FATAL, r"SError Interrupt on CPU"),
    ("mce", FATAL, r"Internal error: (?:Uncorrected hardware memory error|synchronous external abort|SError)"),
    ("mce", FATAL, r"Unhandled fault: synchronous external abort"),
    ("warning", REPORT, r"WARNING: "),
    ("warning", REPORT, r"BUG: "),
    ("warning", REPORT, r"BUG [\w.:-]{1,64} \("),
    ("warning", REPORT, r"UBSAN: "),
    ("warning", REPORT, r"INFO: (?:possible recursive locking|trying to register non-static key|inconsistent lock)"),
    ("warning", REPORT, r".{1,20}: page allocation (?:failure|stalls)"),
    ("warning", REPORT, r"irq \d{1,6}: nobody cared"),
    ("warning", REPORT, r"unchecked MSR access error: "),
    ("warning", REPORT, r"mem\w{1,10}: detected (?:field-spanning|buffer overflow)"),  # include/linux/fortify-string.h
)

# A line that goes on with a fault whose first line stands before it; alone it is a fault that lost its head.
_OOPS = re.compile(
    r"(?:Oops: |Oops - |Internal error: |invalid opcode: "
    r"|(?:Oops: )?(?:alignment check|int3|bounds|trap|invalid TSS): )"
)
_PANIC = re.compile(r"(?:\S{1,20}: )?Kernel panic - not syncing")
_FIRST = re.compile(
    r"BUG|Unable|Oops|general|divide|kernel BUG|traps: P|PANIC|double|stack s|NMI w|watchdog|CPU\d+: W|Watchdog|rcu: I"
    r"|INFO|NETDEV|sysrq|SysRq|Trigger|mce|mem\w{1,10}: d|\{\d|\[Hardw|SError|Internal|Unhandled f|WARNING|UBSAN|irq \d"
    r"|unchecked|invalid o|alignment c|int3|bounds:|trap:|invalid T|Kernel panic|kernel: K"
)
# The first three characters of all that _FIRST takes: most lines of a log are turned away by them, four times as fast.
_THREE = frozenset(
    word[:3]
    for word in (
        "BUG Unable Oops general divide kernel traps PANIC double stack NMI watchdog CPU Watchdog rcu INFO NETDEV "
        "sysrq SysRq Trigger mce mem [Hardware SError Internal Unhandled WARNING UBSAN irq unchecked invalid int3 "
        "alignment bounds trap Kernel {1} {2} {3} {4} {5} {6} {7} {8} {9}"
    ).split()
)
_ORPHAN = re.compile(
    r"RIP: 0010:|R[A-Z0-9]{2}: |CR2: |FS:  0|Call [Tt]race:|CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: |pc : |#PF: "
    r"|---\[ end trace"
)
_ORPHAN_STARTS = frozenset("RCFp#-")

#: What a panic's words say of the event that led to it. The first that fits counts.
_PANIC_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("mce", re.compile(r"[Mm]achine check|hardware error|broadcast exception|SError|Uncorrected")),
    ("soft_lockup", re.compile(r"softlockup")),
    ("hard_lockup", re.compile(r"[Hh]ard LOCKUP")),
    ("hung_task", re.compile(r"hung_task")),
    ("rcu_stall", re.compile(r"RCU [Ss]tall")),
    ("oom_panic", re.compile(r"[Oo]ut of memory|deadlocked on memory")),
    ("sysrq", re.compile(r"sysrq triggered crash")),
    ("warning", re.compile(r"panic_on_warn|kasan\.fault|KASAN|KFENCE|UBSAN")),
    ("fault", re.compile(r"[Ff]atal exception|Aiee|Attempted to kill|stack overflow|Oops")),
)
_FAULTS = frozenset(("null_deref", "page_fault", "general_protection", "bug", "divide_error", "panic", "unknown"))


def _find_form(text: str) -> _Form | None:
    for form in _FORMS:
        if form.pattern.match(text):
            return form
    return None


class Scanner:
    """Takes lines one by one and keeps what can be a cause. Memory does not grow with the log."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines = 0
        self.boot = Boot()
        self._open: dict[str | None, Event] = {}
        self._index = 0

    def feed(self, line: Line) -> None:
        """Take one more line."""
        self.lines += 1
        text = line.text
        if self._boot_line(text):
            return
        if (text[:3] in _THREE and _FIRST.match(text)) or ": NETDEV W" in text or ": page alloc" in text:
            self._begin(line)
        else:
            self._append(line)

    def _boot_line(self, text: str) -> bool:
        if text.startswith("Linux version "):
            self.boot = Boot(self.boot.number + 1, version=text)
            self._open.clear()
            return True
        if text.startswith(("DMI: ", "Machine model: ")) and self.boot.hardware is None:
            self.boot.hardware = text.split(": ", 1)[1]
            return True
        return False

    def _current(self, caller: str | None) -> Event | None:
        if caller is None:
            return next(reversed(self._open.values())) if self._open else None
        return self._open.get(caller)

    def _begin(self, line: Line) -> None:
        if _PANIC.match(line.text):
            self._panic(line)
            return
        form = _find_form(line.text)
        event = self._current(line.caller)
        if form is None:
            if not _OOPS.match(line.text):
                self._append(line)
            elif event is not None and _is_beheaded(event):
                self._append(line)  # "#PF: ..." stood first: both are of one fault
                event.kind, event.grade, event.has_oops = _kind_of_oops(line.text), FATAL, True
            elif event is not None and event.grade == FATAL and not event.has_oops and not event.ended:
                event.has_oops = True
                self._append(line)
            else:
                self._open_event(_kind_of_oops(line.text), FATAL, line, headless=_lost_head(line.text)).has_oops = True
            return
        if event is not None and (_same(event, form) or (line.text == event.header and not event.has_trace)):
            self._merge(event, form, line)
            return
        opened = self._open_event(form.kind, form.grade, line)
        opened.has_oops = line.text.startswith("Oops: ")

    def _merge(self, event: Event, form: _Form, line: Line) -> None:
        if form.kind == "netdev_watchdog":
            event.body.insert(0, event.header)
            event.kind, event.grade, event.header = form.kind, form.grade, line.text
        elif event.kind == "mce" or len(event.body) < BODY_LINES:
            event.body.append(line.text)

    def _open_event(self, kind: str, grade: int, line: Line, headless: bool = False) -> Event:
        event = Event(kind, grade, line.text, self._index, line.time_s, line.caller, self.boot, headless=headless)
        self._index += 1
        kept = sum(1 for other in self.events if other.grade == grade)
        self.boot.events += 1
        event.nth = self.boot.events
        if kept < EVENTS_KEPT:
            self.events.append(event)
        self._open.pop(line.caller, None)
        if len(self._open) >= 64:  # more writers at once than any dying machine has
            self._open.pop(next(iter(self._open)))
        self._open[line.caller] = event
        return event

    def _append(self, line: Line) -> None:
        event = self._current(line.caller)
        text = line.text
        if event is None:
            event = self._adopt(line)
            if event is None or event.header is text:
                return
        if not event.body and _go_on(event, text):
            return
        if not event.has_trace and text.lstrip().startswith(("Call Trace", "Call trace")):
            event.has_trace = True
        if len(event.body) < BODY_LINES:
            event.body.append(text)
        if event.ended:
            self._count_down(event)
        elif text.startswith("---[ end trace"):
            event.ended = True
            event.left = _TAIL_LINES

    def _adopt(self, line: Line) -> Event | None:
        """An event for a line that has none: another processor's part of a stall, or a fault without its head."""
        if line.text.startswith("NMI backtrace for cpu"):
            for event in reversed(list(self._open.values())):
                if event.kind in ("rcu_stall", "hard_lockup"):
                    self._open[line.caller] = event
                    return event
        if self._index == 0 and line.text.lstrip()[:1] in _ORPHAN_STARTS and _ORPHAN.match(line.text.lstrip()):
            return self._open_event("unknown", REPORT, line, headless=True)
        return None

    def _count_down(self, event: Event) -> None:
        event.left -= 1
        if event.left <= 0:
            for caller in [key for key, other in self._open.items() if other is event]:
                del self._open[caller]

    def _panic(self, line: Line) -> None:
        kind = next((name for name, pattern in _PANIC_KINDS if pattern.search(line.text)), "panic")
        cause = self._cause_of(kind)
        if cause is None:
            opened = self._open_event("panic" if kind in ("fault", "warning") else kind, FATAL, line)
            opened.panic = line.text
            opened.headless = kind in ("fault", "warning")
            return
        cause.panic = cause.panic or line.text
        if len(cause.body) < BODY_LINES:
            cause.body.append(line.text)
        self._open[line.caller] = cause

    def _cause_of(self, kind: str) -> Event | None:
        """The event of this boot that a panic of a kind came from. Repeated stalls are one story: its first one."""
        here = [event for event in self.events if event.boot is self.boot]
        if kind == "fault":
            return next((event for event in here if event.kind in _FAULTS and event.panic is None), None) or next(
                (event for event in here if event.fatal), None
            )
        if kind == "warning":
            return next((event for event in reversed(here) if event.grade == REPORT), None)
        return next((event for event in here if event.kind == kind), None)


def _is_beheaded(event: Event) -> bool:
    """Whether this is the beginning of a fault that lost its first line and whose "Oops:" is still to come."""
    return event.kind == "unknown" and event.headless and not (event.has_oops or event.has_trace or event.ended)


def _go_on(event: Event, text: str) -> bool:
    """Put a first line together that a mail program broke before its last words, which tell the kind."""
    if not event.header.endswith(" to handle kernel"):
        return False
    form = _find_form("{0} {1}".format(event.header, text.lstrip()))
    if form is None or not text.lstrip().startswith(
        ("NULL pointer", "paging request", "access to", "read from", "write to")
    ):
        return False
    event.header, event.kind = "{0} {1}".format(event.header, text.lstrip()), form.kind
    return True


def _same(event: Event, form: _Form) -> bool:
    """Whether a first line still belongs to the open event: some events are announced twice."""
    if event.has_trace or event.ended:
        return False
    pair = (event.kind, form.kind)
    if event.kind == form.kind and event.header.endswith(" [inline]"):
        return True  # scripts/decode_stacktrace.sh prints a first line for each inlined function and one for its holder
    if event.kind == "sysrq" and form.grade == FATAL and event.panic:
        return True  # a fault on the way into the crash kernel ends the panic that was asked for; it causes nothing
    if pair == ("warning", "warning"):  # the words of a WARN_ON stand before its own first line
        return event.header.startswith("mem")
    if pair in (("netdev_watchdog", "warning"), ("hard_lockup", "warning"), ("mce", "mce"), ("sysrq", "null_deref")):
        return True
    if pair == ("warning", "netdev_watchdog"):
        return "dev_watchdog" in event.header or "sch_generic" in event.header
    return pair == ("warning", "hard_lockup") and "watchdog" in event.header


def _kind_of_oops(text: str) -> str:
    """The kind of a fault of which this is the first line that there is."""
    if text.startswith(("invalid opcode", "Oops: invalid opcode", "Oops: int3", "int3")):
        return "bug"
    if "Oops - BUG" in text or "Undefined instruction" in text or "undefined instruction" in text or "BRK" in text:
        return "bug"
    if re.match(r"(?:Internal error: )?Oops: [0-9a-f]{4,16} \[#", text):
        return "page_fault"
    return "unknown"


def _lost_head(text: str) -> bool:
    return not text.startswith(
        ("invalid opcode", "Oops: invalid opcode", "Oops: int3", "int3")
    ) and "undefined" not in (text.lower())


def pick(events: t.Sequence[Event]) -> Event | None:
    """The cause: the first event that was fatal; without one the first stall; without one the first report."""
    fatal = [event for event in events if event.fatal]
    if fatal:
        return fatal[0]
    for grade in (STALL, REPORT):
        for event in events:
            if event.grade == grade:
                return event
    return None
