# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads call traces: frames, the stacks that they lie on, and registers in between.

Three forms are in use: `name+0x12/0x34 [module]` of every kernel since 4.19 (with
`[<address>]` before it on older ones and on arm64 up to 4.x), the same with a
source line behind it and `[inline]` lines in between (decode_stacktrace.sh, syzbot),
and `name (file:line) module` (decode_stacktrace.sh without offsets).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

__all__ = ["FRAMES_KEPT", "Frame", "Piece", "Registers", "Trace", "parse_frame", "parse_registers", "parse_traces"]

#: Frames that are kept of one trace; a kernel stack of 16 KiB rarely holds more than 60.
FRAMES_KEPT = 128
_TRACES_KEPT = 6
#: Lines of another writer that a trace may be mixed with before it counts as ended.
_FOREIGN_LINES = 4

_NAME = r"[A-Za-z_.$][\w.$]{0,159}"
_FRAME = re.compile(
    r"(?:\[<[^>]{0,40}>\] {0,12}){0,2}"
    r"(?P<unsure>\? {1,4})?"
    r"(?P<name>" + _NAME + r")\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})(?=[\s(]|$)"
    r"(?: \([^()\s]{1,160}:\d{1,7}(?: \(discriminator \d{1,4}\))?\)| [^\s\[\]()]{1,200}:\d{1,7})?"
    r"(?: {1,4}\[(?P<module>[\w.-]{1,64})(?: [0-9a-f]{8,64}\]|\]| ?$))?"
)
_DECODED = re.compile(
    r"(?P<unsure>\? )?(?P<name>" + _NAME + r") \([^()\s]{1,200}:[\d?]{1,7}(?: \(discriminator \d{1,4}\))?\)"
    r"(?: (?P<module>[\w-]{1,64}))?(?: \(\w{1,4}\))?$"
)
_INLINE = re.compile(r"(?P<name>" + _NAME + r") [^\s\[\]]{1,200}:\d{1,7} \[inline\]")
_MARKER = re.compile(r"<{1,2}(/?)(#?[A-Za-z_]{2,20}\d{0,2})>{1,2} {0,12}")
_REGISTERS = re.compile(
    r"(?:RIP: (?P<segment>[0-9a-f]{4}):|RIP: |IP: |pc : |PC is at )(?:\[<[^>]{0,40}>\] {0,12}){0,2}(?P<rest>.{0,400})"
)
_OTHER_REGISTERS = re.compile(
    r"(?:[RE]?[A-Z]{2}\d?|R\d\d|[RE]SP|CR\d|FS|CS|DR\d|PKRU|Code|x\d{1,2}|sp |lr |pstate)\s{0,3}:"
)
_START = re.compile(r"\s{0,8}Call [Tt]race:")
_END = re.compile(
    r"Modules linked in|---\[|Kernel panic|Kernel Offset|NMI backtrace|Sending NMI|CPU: \d|Code: |INFO: |rcu: |===="
    r"|SMP: |Allocated by|Freed by|The buggy address|Mem-Info|task:|handlers:"
)
# "<EOI>" and "<<EOE>>" end a stack on kernels before 4.10; since then "</IRQ>" does.
_ENDS = ("EOI", "EOE")


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame. `offset` and `size` are bytes; None for an inlined one, which has no place of its own."""

    function: str
    offset: int | None
    size: int | None
    module: str | None
    inlined: bool = False
    stack: str | None = None  #: "IRQ", "NMI", "TASK", "SOFTIRQ" where the trace marks it

    def to_dict(self) -> dict[str, t.Any]:
        """The form of the crash record."""
        return {
            "function": self.function,
            "offset": self.offset,
            "size": self.size,
            "module": self.module,
            "inlined": self.inlined,
        }


@dataclasses.dataclass(frozen=True)
class Registers:
    """Where a processor stood: `frame` is None in user space and at an address without a symbol."""

    frame: Frame | None
    user: bool
    address: str | None = None  #: what stands there in place of a symbol
    arm: bool = False


class Piece(t.NamedTuple):
    """A reliable frame, or the registers at an interrupt's border (`registers` set, `frame` None)."""

    frame: Frame | None
    registers: Registers | None = None


@dataclasses.dataclass
class Trace:
    """One call trace from the inside out, without the frames that the unwinder doubts ("?")."""

    pieces: list[Piece] = dataclasses.field(default_factory=list)
    line: int = 0  #: where it begins in the event's lines
    ended: bool = False  #: something that comes after a trace was seen
    doubted: int = 0  #: how many "?" frames were left out
    unnamed: int = 0  #: reliable frames without a symbol

    @property
    def frames(self) -> list[Frame]:
        """The frames alone."""
        return [piece.frame for piece in self.pieces if piece.frame is not None]


def parse_frame(text: str, stack: str | None = None) -> tuple[Frame, bool] | None:
    """A frame and whether it is reliable; None for any other line."""
    match = _FRAME.match(text)
    if match:
        frame = Frame(
            match.group("name"),
            int(match.group("offset"), 16),
            int(match.group("size"), 16),
            match.group("module"),
            stack=stack,
        )
        return frame, match.group("unsure") is None
    match = _INLINE.match(text)
    if match:
        return Frame(match.group("name"), None, None, None, True, stack), True
    match = _DECODED.match(text)
    if match:
        return Frame(match.group("name"), None, None, match.group("module"), False, stack), not match.group("unsure")
    return None


def parse_registers(text: str, stack: str | None = None) -> Registers | None:
    """The line that says where a processor stood: "RIP: 0010:name+0x1/0x2 [module]", "pc : name+0x1/0x2"."""
    match = _REGISTERS.match(text)
    if not match:
        return None
    rest = match.group("rest")
    segment = match.group("segment")
    arm = text.startswith(("pc", "PC"))
    # Kernel code segments have the privilege level 0 in their two low bits; 0033 is user space.
    if segment is not None and int(segment, 16) & 3:
        return Registers(None, user=True)
    found = parse_frame(rest, stack)
    if found:
        return Registers(found[0], user=False, arm=arm)
    return Registers(None, user=False, address=rest.strip()[:40] or None, arm=arm)


def parse_traces(body: t.Sequence[str]) -> list[Trace]:
    """Every call trace of an event's lines, at most six."""
    traces: list[Trace] = []
    reader: _Reader | None = None
    for number, text in enumerate(body):
        if _START.match(text):
            if reader is not None:
                reader.trace.ended = True
            if len(traces) >= _TRACES_KEPT:
                return traces
            reader = _Reader(Trace(line=number))
            traces.append(reader.trace)
        elif reader is not None and not reader.take(text.lstrip()):
            reader = None
    return traces


class _Reader:
    """Reads the lines of one trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._stack: str | None = None
        self._foreign = 0
        self._inlined: list[Frame] = []

    def take(self, text: str) -> bool:
        """Take one line; False when the trace is over."""
        text = self._markers(text)
        if not text:
            return True
        found = parse_frame(text, self._stack)
        if found:
            self._foreign = 0
            self._frame(*found)
            return True
        if _END.match(text) and self.trace.pieces:
            if not text.startswith("Code: ") or not self._registers_last():
                self.trace.ended = True
                return False
            return True
        registers = parse_registers(text, self._stack)
        if registers:
            self.trace.pieces.append(Piece(None, registers))
            return True
        return self._other(text)

    def _registers_last(self) -> bool:
        return bool(self.trace.pieces) and self.trace.pieces[-1].registers is not None

    def _other(self, text: str) -> bool:
        if re.match(r"(?:\[<[^>]{0,40}>\] ?|0x)[0-9a-f]{0,16}$", text):
            self.trace.unnamed += 1
            return True
        if _OTHER_REGISTERS.match(text):
            return True
        self._foreign += 1
        if self._foreign > _FOREIGN_LINES:
            self.trace.ended = True
            return False
        return True

    def _markers(self, text: str) -> str:
        for _turn in range(3):
            match = _MARKER.match(text)
            if not match:
                break
            closing, name = match.groups()
            self._stack = None if closing or name in _ENDS else name
            self.trace.ended = self.trace.ended or (bool(closing) and name == "TASK")
            text = text[match.end() :]
        return text

    def _frame(self, frame: Frame, reliable: bool) -> None:
        if frame.inlined:
            if len(self._inlined) < 16:
                self._inlined.append(frame)
            return
        if not reliable:
            self.trace.doubted += 1
        elif len(self.trace.pieces) < FRAMES_KEPT:
            # An inlined function is printed before the one that holds it, and is as reliable as that one.
            self.trace.pieces += [Piece(inner) for inner in _owned(self._inlined, frame)]
            self.trace.pieces.append(Piece(frame))
        self._inlined = []


def _owned(inlined: list[Frame], holder: Frame) -> list[Frame]:
    return [dataclasses.replace(frame, module=holder.module) for frame in inlined]
