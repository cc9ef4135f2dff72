# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Where a fault sits: in a driver's receive or transmit routine, elsewhere in a driver, or above it.

Frames are walked from the fault outwards and only as far as its own context goes:
what an interrupt interrupted did not call the code that died. Core helpers that a
driver calls directly (an skb, page or DMA function) are passed; the first frame
that is none of these decides. Doubtful frames ("?"), other processors and the
module list never take part.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .report import HARDIRQ, SOFTIRQ, TASK, Report
from .tables import OTHER, POLL, RX, TX, Tables, normalise
from .trace import Frame

__all__ = ["HIGH", "LOW", "MEDIUM", "NONE", "Verdict", "judge"]

NONE = "none"
HIGH, MEDIUM, LOW = "high", "medium", "low"
_ORDER = (LOW, MEDIUM, HIGH)

#: What is no fault of the code that was running: it was asked for, or the machine or its memory gave out.
_NO_CODE = frozenset(("sysrq", "mce", "oom_panic"))
#: The place is sampled some time after the fault began, so it is a hint and no proof.
_SAMPLED = frozenset(("soft_lockup", "hard_lockup", "rcu_stall", "hung_task"))


@dataclasses.dataclass
class Verdict:
    """The answer, how sure it is and what it rests on. `path` is None where there was nothing to judge."""

    path: str | None
    driver: str | None = None
    confidence: str | None = None
    frames_used: list[str] = dataclasses.field(default_factory=list)
    context_path: str | None = None  #: with path "none": the driver's path that lay below
    context_driver: str | None = None
    reason: str = ""


class _Owned(t.NamedTuple):
    """A frame of a NIC driver."""

    driver: str
    way: str  #: nic_rx, nic_tx, nic_other or poll
    sure: bool  #: a table lists it; it is no guess of a rule over the name
    listed: bool = False  #: its way stands in the table
    ruled: bool = False  #: its way is that of a rule


def judge(report: Report, tables: Tables) -> Verdict:
    """The verdict on one event."""
    if report.kind == "netdev_watchdog":
        return _watchdog(report)
    walk = _Walk(report, tables)
    if report.kind in _NO_CODE:
        below = walk.below(0)
        return Verdict(
            NONE,
            None,
            HIGH,
            [],
            *_context_of(below),
            reason="the kind {0} is no fault of the code that ran".format(report.kind),
        )
    if not report.frames:
        return Verdict(None, reason="the text holds no reliable frame of the cause")
    verdict = walk.decide()
    if not report.complete and report.missing != ["the end of its call trace"]:
        verdict.confidence = _at_most(verdict.confidence, MEDIUM if report.traced else LOW)
    if report.kind in _SAMPLED:
        verdict.confidence = _at_most(verdict.confidence, MEDIUM)
    return verdict


def _watchdog(report: Report) -> Verdict:
    used = [_show(frame) for frame in report.frames[:1]]
    if report.driver is None:
        return Verdict(TX, None, LOW, used, reason="a transmit queue timed out; the line names no driver")
    # net/sched/sch_generic.c: dev_watchdog names the driver that is bound to the device.
    return Verdict(TX, report.driver, HIGH, used, reason="a transmit queue of this driver timed out")


class _Walk:
    """One walk over the frames of a report's own context."""

    def __init__(self, report: Report, tables: Tables) -> None:
        self._tables = tables
        self._report = report
        self._loaded = frozenset(report.modules or ())
        end = report.borders[0] if report.borders else len(report.frames)
        # An inlined name is there only in a decoded trace, and the same bug must get the same verdict in both forms.
        self._frames = [frame for frame in _own_context(report.frames[:end], tables) if not frame.inlined]
        self._built_in_near = [frame.function for frame in self._frames if frame.module is None]
        self._polled = any(_calls_driver(frame.function, tables) for frame in report.frames[:end])

    def decide(self) -> Verdict:
        """Walk outwards until a frame decides."""
        passed: list[Frame] = []
        for number, frame in enumerate(self._frames):
            owned = self._owner(number)
            if owned is not None:
                return self._in_driver(owned, passed, frame, number)
            passed.append(frame)
            if not self._passes(frame):
                return self._above(number, frame)
        if passed and self._report.context != TASK and self._tables.has_role("softirq", passed[-1].function):
            return Verdict(NONE, None, MEDIUM, [_show(passed[0])], reason="no frame of a driver below the fault")
        confidence = MEDIUM if self._report.complete else LOW
        return Verdict(NONE, None, confidence, [_show(frame) for frame in passed[:4]], reason="core code alone")

    def below(self, start: int) -> _Owned | None:
        """The first frame of a NIC driver from `start` outwards."""
        for number in range(start, len(self._frames)):
            owned = self._owner(number)
            if owned is not None:
                return self._by_callers(owned, number)
        return None

    def _above(self, number: int, frame: Frame) -> Verdict:
        below = self.below(number + 1)
        path, driver = _context_of(below)
        return Verdict(
            NONE, None, HIGH, [_show(frame)], path, driver, reason="{0} is no code of a NIC driver".format(_show(frame))
        )

    def _in_driver(self, owned: _Owned, passed: list[Frame], frame: Frame, number: int) -> Verdict:
        owned = self._by_callers(owned, number)
        way, sure = owned.way, owned.sure
        if way == POLL:
            way, told = self._direction(passed)
            sure = sure and told
        used = [_show(each) for each in [*passed[-3:], frame]]
        reason = "{0} belongs to the driver {1}".format(_show(frame), owned.driver)
        if passed:
            reason += " and called {0}".format(_show(passed[-1]))
        return Verdict(way, owned.driver, HIGH if sure else MEDIUM, used, reason=reason)

    def _direction(self, passed: list[Frame]) -> tuple[str, bool]:
        """Of a poll routine, which cleans both rings: what it called tells; without that, receive is its main work."""
        for frame in reversed(passed):
            if self._tables.has_role("helpers_tx", frame.function):
                return TX, True
            if self._tables.has_role("helpers_rx", frame.function):
                return RX, True
        return RX, False

    def _passes(self, frame: Frame) -> bool:
        """Whether a frame leaves the decision to its caller."""
        tables, name = self._tables, frame.function
        if frame.module is not None:
            return tables.has_role("helper_modules", frame.module)
        roles = ["helpers_rx", "helpers_tx", "helpers_any", "machinery"]
        if self._report.kind in _SAMPLED:
            roles.append("waits")
        return any(tables.has_role(role, name) for role in roles)

    def _owner(self, number: int) -> _Owned | None:
        frame = self._frames[number]
        if frame.module is None:
            return self._built_in(frame)
        module = frame.module.replace("-", "_")
        found = self._tables.owner_of_module(module, self._loaded)
        if found is not None:
            owned = self._in_module(frame, found[0].name, found[0].ways)
            return owned._replace(sure=owned.sure and found[1])
        if module in self._tables.foreign or not self._polls(number, module):
            return None
        way, listed, ruled = self._way(frame, {})
        return _Owned(module, way, False, listed, ruled)

    def _in_module(self, frame: Frame, name: str, ways: dict[str, str]) -> _Owned:
        way, listed, ruled = self._way(frame, ways)
        # A driver's own module: a rule over the name says the direction well; only "other" may be a name unheard of.
        return _Owned(name, way, listed or way in (RX, TX, POLL), listed, ruled)

    def _built_in(self, frame: Frame) -> _Owned | None:
        found = self._tables.built_in(frame.function, self._loaded, self._built_in_near)
        if found is None:
            return None
        driver, only = found
        way, listed, ruled = self._way(frame, driver.ways)
        return _Owned(driver.name, way, only and listed, listed, ruled)

    def _way(self, frame: Frame, ways: dict[str, str]) -> tuple[str, bool, bool]:
        """The way of a driver's routine, whether the table lists it, and whether a rule told."""
        name = normalise(frame.function)
        listed = ways.get(name) or ways.get(name.lstrip("_"))
        if listed is not None:
            return listed, True, False
        rule = self._tables.rule_for(frame.function)
        if rule is None:
            return OTHER, False, False
        if rule.below == "poll" and not self._in_interrupt():
            return OTHER, False, True
        return rule.way, False, True

    def _by_callers(self, owned: _Owned, number: int) -> _Owned:
        """What the driver's own routines further out say of the one that decides.

        A small routine that neither table nor rule knows, or that a rule takes for a setting, works for the
        listed routine that called it. And a listed receive routine works for who opens or closes the interface
        where one of those called it outside of any poll: the ring is filled and emptied by the same code.
        """
        callers = self._callers(owned.driver, number)
        if owned.way == OTHER and not owned.listed:
            first = next((each for each in callers if each.ruled or each.listed), None)
            if first is not None and first.listed and first.way in (RX, TX):
                owned = first
        opens = any(each.way == OTHER and (each.ruled or each.listed) for each in callers)
        if owned.way == RX and owned.listed and opens and not self._in_interrupt():
            return owned._replace(way=OTHER)
        return owned

    def _callers(self, driver: str, number: int) -> list[_Owned]:
        """The driver's frames outside of one, as far as only it and helpers of the core stand there."""
        callers: list[_Owned] = []
        for place in range(number + 1, len(self._frames)):
            owned = self._owner(place)
            if owned is not None and owned.driver == driver:
                callers.append(owned)
            elif owned is not None or not self._passes(self._frames[place]):
                break
        return callers

    def _in_interrupt(self) -> bool:
        """Whether a poll or an interrupt stands below, or nothing tells that none does."""
        return self._polled or self._report.context in (SOFTIRQ, HARDIRQ, None)

    def _polls(self, number: int, module: str) -> bool:
        """Whether a module that no table knows acts as a NIC driver here: a routine of it was called as a NAPI poll."""
        for place in range(number, len(self._frames) - 1):
            frame = self._frames[place]
            if frame.module is None or frame.module.replace("-", "_") != module:
                continue
            if self._tables.has_role("poll_callers", self._frames[place + 1].function):
                return True
        return False


def _calls_driver(function: str, tables: Tables) -> bool:
    """Whether packets are taken below it: a NAPI poll, or an interrupt that runs as a thread (kernel/irq/manage.c)."""
    return tables.has_role("poll_callers", function) or function.startswith(("irq_thread", "irq_forced_thread"))


def _own_context(frames: t.Sequence[Frame], tables: Tables) -> list[Frame]:
    """The frames up to the entry of the softirq or interrupt that they ran in."""
    kept: list[Frame] = []
    for frame in frames:
        kept.append(frame)
        if tables.has_role("softirq", frame.function) or tables.has_role("hardirq", frame.function):
            break
    return kept


def _context_of(owned: _Owned | None) -> tuple[str | None, str | None]:
    if owned is None:
        return None, None
    return (RX if owned.way == POLL else owned.way), owned.driver


def _at_most(confidence: str | None, limit: str) -> str | None:
    if confidence is None:
        return None
    return _ORDER[min(_ORDER.index(confidence), _ORDER.index(limit))]


def _show(frame: Frame) -> str:
    return "{0} [{1}]".format(frame.function, frame.module) if frame.module else frame.function
