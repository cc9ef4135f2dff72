# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads one event: who, where, on which kernel, with which frames; what is missing is said."""

from __future__ import annotations

import re

from .events import Event
from .facts import read_boot, read_header, read_lines
from .report import Report
from .stack import arch_of_frames, is_whole, judge_context, read_frames
from .tables import Tables
from .trace import parse_traces

__all__ = ["parse_event"]

_BROKEN = re.compile(r"RIP:|WARNING: CPU: \d{1,5} PID: \d{1,10} at")
_PLACE = re.compile(r".{0,400}\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_MODULE_ALONE = re.compile(r"\[[\w-]{1,64}(?: [0-9a-f]{8,64})?\]")


def parse_event(event: Event, tables: Tables) -> Report:
    """Read an event. Never raises: what cannot be read stays None and is named in `missing`."""
    lines = _unbroken([event.header, *event.body])
    report = Report(event.kind)
    read_lines(lines, report, event)
    read_header(lines, report, event)
    read_boot(event, report)
    traces = parse_traces(lines)
    read_frames(lines, traces, report, event, tables)
    report.arch = report.arch or arch_of_frames(report)
    report.context = judge_context(report, tables, is_whole(traces, tables), event.caller)
    report.missing = _missing(event, is_whole(traces, tables), report)
    return report


def _unbroken(lines: list[str]) -> list[str]:
    """The lines, with those put together again that a mail program broke before a place or before its module."""
    joined: list[str] = []
    for text in lines:
        if joined and (_BROKEN.fullmatch(joined[-1].lstrip()) or _is_rest_of_place(joined[-1], text)):
            joined[-1] += " " + text.lstrip()
        else:
            joined.append(text)
    return joined


def _is_rest_of_place(before: str, text: str) -> bool:
    return text.startswith("[") and _MODULE_ALONE.fullmatch(text) is not None and _PLACE.fullmatch(before) is not None


def _missing(event: Event, whole: bool, report: Report) -> list[str]:
    """What a whole report of this kind has and this text lacks."""
    missing = []
    if event.headless:
        missing.append("its first lines")
    if event.kind == "netdev_watchdog" and "NETDEV WATCHDOG: CPU" in event.header:
        return missing  # since 6.7 the watchdog prints one line and no trace
    if report.oops_number is not None and report.oops_number > 1:
        missing.append("the oops before it (this one is number {0})".format(report.oops_number))
    if event.kind in ("mce", "oom_panic"):
        return missing
    if not report.traced:
        missing.append("its call trace")
    elif not whole and not event.panic:
        missing.append("the end of its call trace")
    return missing
