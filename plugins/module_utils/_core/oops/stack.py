# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Chooses the frames of the first cause and tells in what context they ran."""

from __future__ import annotations

import dataclasses
import typing as t

from ..text import clean
from .events import Event
from .facts import WARNING, WARNING_NEW
from .report import HARDIRQ, NMI, SOFTIRQ, TASK, Report
from .tables import POLL, RX, Tables, normalise
from .trace import Frame, Piece, Registers, Trace, parse_registers

__all__ = ["arch_of_frames", "is_whole", "judge_context", "read_frames"]


def read_frames(
    lines: t.Sequence[str], traces: t.Sequence[Trace], report: Report, event: Event, tables: Tables
) -> None:
    trace = _own_trace(lines, traces, report.kind)
    stop = trace.line if trace is not None else len(lines)
    before = _first_registers(lines[:stop], report.kind)
    if before is not None and before.arm:
        report.arch = report.arch or "aarch64"
    pieces = trace.pieces if trace is not None else []
    report.traced = bool(pieces)
    pieces = _without_observer(pieces, tables) if before is None or before.frame is None else pieces
    frames, borders = _flatten(pieces, tables)
    place = before.frame if before is not None else None
    if before is None:
        place = _named_place(lines, report.kind)
    if report.kind == "sysrq":
        place = None
        frames, borders = _after_panic(frames, borders)
    report.frames, report.borders = _from_place(frames, borders, place, tables)
    if report.kind == "hung_task":
        _drop_switch(report, tables)
    if before is None and place is None and trace is None:
        place = _registers_after(lines[stop:])
        report.frames = [place] if place else []
    if before is None and place is None and not _is_dump(trace, tables) and _lost_place(lines[:stop], event):
        return  # the frames begin with the caller of a function that the text does not name
    _name_function(report, place, before, tables)


def _after_panic(frames: list[Frame], borders: list[int]) -> tuple[list[Frame], list[int]]:
    """The frames outside of panic(), where an asked-for panic has any."""
    places = [
        number for number, frame in enumerate(frames) if frame.function in ("panic", "vpanic", "sysrq_handle_crash")
    ]
    start = places[-1] + 1 if places else 0
    return frames[start:], [border - start for border in borders if border > start]


def _drop_switch(report: Report, tables: Tables) -> None:
    """Every task that waits stands in the scheduler; that says nothing."""
    start = 0
    while start < len(report.frames) and tables.has_role("switches", report.frames[start].function):
        start += 1
    if start < len(report.frames):
        report.frames = report.frames[start:]
        report.borders = [border - start for border in report.borders if border > start]


def _is_dump(trace: Trace | None, tables: Tables) -> bool:
    """Whether a trace was printed by the code itself (dump_stack), so that its own frames begin with the cause."""
    frames = trace.frames if trace is not None else []
    return bool(frames) and tables.has_role("machinery", frames[0].function)


def _own_trace(lines: t.Sequence[str], traces: t.Sequence[Trace], kind: str) -> Trace | None:
    """The first trace that is of the cause. A stall also shows the thread that waits for the stalled processor."""
    for trace in traces:
        before = lines[max(0, trace.line - 3) : trace.line] if kind == "rcu_stall" else []
        if trace.pieces and not any("kthread stack dump" in text or "task:rcu_" in text for text in before):
            return trace
    return None


def _lost_place(lines: t.Sequence[str], event: Event) -> bool:
    """Whether registers were printed, but the line that says where the processor stood is missing."""
    return event.headless or any(text.lstrip().startswith(("RSP: ", "RAX: ", "sp : ", "x29: ")) for text in lines)


def _first_registers(lines: t.Sequence[str], kind: str) -> Registers | None:
    """Where the processor stood that the event is about: the first registers before the trace."""
    for text in lines:
        found = parse_registers(text.lstrip())
        # With source lines decoded, the inlined functions stand before the one that holds them.
        if found is not None and not found.user and not (found.frame is not None and found.frame.inlined):
            return found
    return None


def _registers_after(lines: t.Sequence[str]) -> Frame | None:
    found = _first_registers(lines, "")
    return found.frame if found is not None else None


def _named_place(lines: t.Sequence[str], kind: str) -> Frame | None:
    """The place that the first line names: "WARNING: CPU: 1 PID: 0 at file:1 name+0x1/0x2"."""
    for text in lines[:3]:
        match = WARNING.match(text)
        found = (match.group(4) or match.group(3)) if match else None
        if match is None:
            new = WARNING_NEW.match(text)
            found = new.group(1) if new else None
        if found:
            registers = parse_registers("RIP: " + found.rstrip("()"))
            return registers.frame if registers is not None else None
    return None


def _without_observer(pieces: list[Piece], tables: Tables) -> list[Piece]:
    """Without the frames of the code that printed the trace of what it interrupted.

    A stall is reported from a timer or an NMI on top of the guilty code: the guilty
    frames begin below the interrupt's entry.
    """
    seen = False
    for number, piece in enumerate(pieces):
        if piece.frame is not None and tables.has_role("observers", piece.frame.function):
            seen = True
        elif seen and piece.registers is not None:
            return pieces[number:]
        elif seen and piece.frame is not None and tables.has_role("entries", piece.frame.function):
            rest = pieces[number + 1 :]
            if not rest or rest[0].frame is None or not tables.has_role("entries", rest[0].frame.function):
                return rest
    return pieces


def _flatten(pieces: t.Sequence[Piece], tables: Tables) -> tuple[list[Frame], list[int]]:
    """Frames, and the places in the list where one context ends and what it interrupted begins."""
    frames: list[Frame] = []
    borders: list[int] = []
    for piece in pieces:
        if piece.registers is not None:
            if frames:
                borders.append(len(frames))
            if piece.registers.user:
                break
            if piece.registers.frame is not None:
                frames.append(piece.registers.frame)
        elif piece.frame is not None:
            if frames and frames[-1].stack != piece.frame.stack and (frames[-1].stack or piece.frame.stack == "TASK"):
                borders.append(len(frames))
            frames.append(piece.frame)
            if tables.has_role("entries", piece.frame.function):
                borders.append(len(frames))
    return frames, sorted(set(borders))


def _from_place(
    frames: list[Frame], borders: list[int], place: Frame | None, tables: Tables
) -> tuple[list[Frame], list[int]]:
    """The frames from the faulting one on, without the machinery that reports the fault."""
    start = 0
    if place is not None:
        for number, frame in enumerate(frames[:24]):
            if normalise(frame.function) == normalise(place.function) and frame.offset in (place.offset, None):
                return frames[number:], [border - number for border in borders if border > number]
    while start < len(frames) and tables.has_role("machinery", frames[start].function):
        start += 1
    kept = frames[start:] if start < len(frames) or place is not None else frames
    start = len(frames) - len(kept)
    moved = [border - start for border in borders if border > start]
    if place is None:
        return kept, moved
    if kept and kept[0].stack:
        place = dataclasses.replace(place, stack=kept[0].stack)
    return [place, *kept], [border + 1 for border in moved]


def _name_function(report: Report, place: Frame | None, before: Registers | None, tables: Tables) -> None:
    if report.kind == "sysrq":
        # drivers/tty/sysrq.c: no other function says "Trigger a crash". Frames of it begin above the panic.
        report.function, report.module = "sysrq_handle_crash", None
        return
    if report.function is not None:
        return
    frame = place
    if frame is None and (before is None or report.kind not in ("null_deref", "page_fault")):
        frame = report.frames[0] if report.frames else None
    if frame is not None:
        report.function, report.module = clean(normalise(frame.function), 160), frame.module


# -------------------------------------------------------------------- context


def judge_context(report: Report, tables: Tables, whole: bool, caller: str | None) -> str | None:
    """In what the fault happened, from the stacks and the entry functions between it and the next border."""
    if report.kind == "hung_task":
        return TASK
    end = report.borders[0] if report.borders else len(report.frames)
    inner = report.frames[:end]
    stack = next((frame.stack for frame in inner if frame.stack), None)
    if stack == "NMI":
        return NMI
    if any(frame.function.startswith(("napi_threaded_poll", "napi_busy_loop")) for frame in inner):
        return TASK
    for frame in inner:
        for role, context in (("softirq", SOFTIRQ), ("hardirq", HARDIRQ), ("task", TASK), ("entries", HARDIRQ)):
            if tables.has_role(role, frame.function):
                return _by_entry(frame.function) if role == "entries" else context
    if stack == "SOFTIRQ" or any(_polls(frame, tables) for frame in inner if stack == "IRQ"):
        return SOFTIRQ
    if stack == "IRQ":
        return HARDIRQ if whole else None
    if stack == "TASK":
        return TASK
    # kernel/printk/printk.c: printk_caller_id is the task's number in task context alone.
    return TASK if (caller or "").startswith("T") and inner else None


def _polls(frame: Frame, tables: Tables) -> bool:
    """Whether a frame on an interrupt's stack runs in a softirq: NAPI, the network stack, a listed receive routine."""
    if frame.module is None:
        return tables.has_role("poll_callers", frame.function) or tables.has_role("network", frame.function)
    driver = tables.driver_of_module(frame.module)
    return driver is not None and driver.ways.get(normalise(frame.function)) in (RX, POLL)


def is_whole(traces: t.Sequence[Trace], tables: Tables) -> bool:
    """Whether the first trace reaches its end: something stands behind it, or its last frame begins a stack."""
    trace = next((each for each in traces if each.pieces), None)
    if trace is None:
        return False
    last = trace.pieces[-1]
    if trace.ended or last.registers is not None:
        return True
    return last.frame is not None and tables.has_role("roots", last.frame.function)


def _by_entry(function: str) -> str | None:
    if "nmi" in function:
        return NMI
    return HARDIRQ if "irq" in function or "interrupt" in function or "sysvec" in function else None


_ARCH_NAMES = (
    ("entry_SYSCALL_64", "x86_64"),
    ("asm_", "x86_64"),
    ("el0_", "aarch64"),
    ("el1_", "aarch64"),
    ("el0t_64", "aarch64"),
)


def arch_of_frames(report: Report) -> str | None:
    """Entry functions are of one architecture; QEMU's "Standard PC" is a machine of x86 alone."""
    for frame in report.frames:
        for start, arch in _ARCH_NAMES:
            if frame.function.startswith(start):
                return arch
    return "x86_64" if (report.hardware or "").startswith("QEMU Standard PC (") else None
