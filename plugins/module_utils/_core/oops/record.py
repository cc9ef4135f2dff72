# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The crash record: everything that one kernel log says of the crash in it, as one object.

docs/triage.md explains each field and both rules, the path's and the signature's.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..text import clean
from .events import Event, Scanner, pick
from .facts import arch_of_line
from .lines import Chunks, kernel_lines
from .reading import parse_event
from .report import Report
from .signature import make_signature
from .tables import Tables
from .verdict import Verdict, judge

__all__ = ["SCHEMA", "CrashRecord", "read_chunks", "read_log"]

#: Version of the shape of `to_dict`.
SCHEMA = 1
#: Frames that the record holds.
FRAMES_SHOWN = 64


@dataclasses.dataclass
class CrashRecord:
    """One crash. A field is None where it could not be read, and `unread` has the reason under the same name."""

    kind: str
    function: str | None = None
    module: str | None = None
    path: str | None = None
    driver: str | None = None
    confidence: str | None = None
    frames: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    context: str | None = None
    cpu: int | None = None
    task: str | None = None
    pid: int | None = None
    taint: list[str] | None = None
    kernel: dict[str, str | None] = dataclasses.field(
        default_factory=lambda: {"release": None, "package_version": None}
    )
    modules: list[str] | None = None
    signature: dict[str, str | None] = dataclasses.field(default_factory=lambda: {"exact": None, "similar": None})
    source: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    pairing: list[str] = dataclasses.field(default_factory=list)
    context_path: str | None = None
    context_driver: str | None = None
    frames_used: list[str] = dataclasses.field(default_factory=list)
    reason: str | None = None
    hardware: str | None = None
    bios: str | None = None
    arch: str | None = None
    fault_address: str | None = None
    error_code: str | None = None
    code: str | None = None
    cause_line: str | None = None
    panic_line: str | None = None
    time_s: float | None = None
    followers: int = 0
    unread: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, t.Any]:
        """The object that is published: plain values, in this order."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


def read_log(
    log: str | bytes | t.Sequence[str], tables: Tables, source: t.Mapping[str, t.Any] | None = None
) -> CrashRecord:
    """The crash record of a log that is at hand: a text, bytes, or a list of lines without their ends.

    `source` says what the log is (such as `{"type": "dmesg", "name": ...}`); it is kept in the
    record, with `complete`, `missing` and `lines` added. Never raises on what the log holds: a log
    without a crash gives the kind "unknown".
    """
    text = log if isinstance(log, (str, bytes)) else "\n".join(log)
    return read_chunks(text, tables, source)


def read_chunks(chunks: Chunks, tables: Tables, source: t.Mapping[str, t.Any] | None = None) -> CrashRecord:
    """The same from pieces as they are read from a file, in memory that does not grow with the log."""
    scanner = Scanner()
    for line in kernel_lines(chunks):
        scanner.feed(line)
    event = pick(scanner.events)
    origin = {**(source or {}), "lines": scanner.lines}
    if event is None:
        return _no_crash(scanner, origin)
    report = parse_event(event, tables)
    report.arch = report.arch or _arch_of_boot(scanner.events, event)
    verdict = judge(report, tables)
    origin["complete"], origin["missing"] = report.complete, report.missing
    return _assemble(event, report, verdict, origin, tables)


def _no_crash(scanner: Scanner, origin: dict[str, t.Any]) -> CrashRecord:
    reason = "no fault, lockup, stall, warning or panic in the text"
    if not scanner.lines:
        reason = "no line of a kernel log in the text"
    origin["complete"], origin["missing"] = False, ["a crash"]
    record = CrashRecord("unknown", source=origin, reason=reason)
    names = ("function", "path", "context", "cpu", "task", "taint", "modules", "kernel", "signature", "frames")
    record.unread = dict.fromkeys(("kind", *names), reason)
    return record


def _assemble(event: Event, report: Report, verdict: Verdict, origin: dict[str, t.Any], tables: Tables) -> CrashRecord:
    cause_line = clean(event.header, 300)
    record = CrashRecord(
        kind=report.kind,
        function=report.function,
        module=report.module,
        path=verdict.path,
        driver=verdict.driver,
        confidence=verdict.confidence,
        frames=[frame.to_dict() for frame in report.frames[:FRAMES_SHOWN]],
        context=report.context,
        cpu=report.cpu,
        task=report.task,
        pid=report.pid,
        taint=report.taint,
        kernel={"release": report.release, "package_version": report.package_version},
        modules=report.modules,
        signature=make_signature(report, verdict, cause_line, tables),
        source=origin,
        context_path=verdict.context_path,
        context_driver=verdict.context_driver,
        frames_used=verdict.frames_used,
        reason=verdict.reason or None,
        hardware=report.hardware,
        bios=report.bios,
        arch=report.arch or _arch_of(report.release),
        fault_address=report.fault_address,
        error_code=report.error_code,
        code=report.code,
        cause_line=cause_line,
        panic_line=clean(event.panic, 300) if event.panic else None,
        time_s=event.time_s,
        followers=max(0, event.boot.events - event.nth),
    )
    record.unread = _unread(record, report)
    return record


def _arch_of_boot(events: t.Sequence[Event], event: Event) -> str | None:
    """Another event of the same boot may show what this one does not: a machine has one architecture."""
    for other in events:
        for text in other.body if other.boot is event.boot else ():
            arch = arch_of_line(text.lstrip())
            if arch is not None:
                return arch
    return None


def _arch_of(release: str | None) -> str | None:
    """Debian's flavour names the architecture where no register does."""
    for part, arch in (("amd64", "x86_64"), ("x86_64", "x86_64"), ("arm64", "aarch64"), ("aarch64", "aarch64")):
        if release is not None and part in release:
            return arch
    return None


def _unread(record: CrashRecord, report: Report) -> dict[str, str]:
    """Why each field that every crash has is None here."""
    lacks = "the text lacks {0}".format(", ".join(report.missing)) if report.missing else ""
    unread: dict[str, str] = {}
    for name, otherwise in (
        ("function", "no address of the fault has a symbol"),
        ("path", "the text holds no reliable frame of the cause"),
        ("context", "neither the stacks nor the frames tell"),
        ("cpu", "a report of this kind names no processor here"),
        ("task", "no line names the task"),
        ("taint", "no line with the taints"),
        ("modules", "no list of modules"),
        ("hardware", "no line names the machine"),
        ("arch", "neither registers nor the release tell"),
    ):
        if getattr(record, name) is None:
            unread[name] = lacks or otherwise
    if report.release is None:
        unread["kernel.release"] = lacks or "no line names the kernel"
    if report.package_version is None:
        unread["kernel.package_version"] = lacks or "the kernel's lines name no Debian package"
    if record.signature["exact"] is None:
        unread["signature"] = "neither frames nor words to tell it by"
    if report.kind == "unknown":
        unread["kind"] = lacks or "the first line of the event is of no known form"
    return unread
