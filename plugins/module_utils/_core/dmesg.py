# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finds in a kernel log which panic it is. The full triage of an oops is elsewhere.

A line counts only where the message itself begins with the words looked for:
user space can put any text into the log's middle (a process name, a USB string).
"""

from __future__ import annotations

import re
import typing as t

from .text import clean

__all__ = ["TEXT_LIMIT", "DmesgSummary", "cause_lines", "find_marker", "panic_line", "summarise", "version_line"]

#: Characters looked at, from the end of the text: the largest log buffer in use is 16 MiB,
#: and what led to the panic stands at the end.
TEXT_LIMIT = 4 * 1024 * 1024
_LINE_LIMIT = 512
_MARKER_LIMIT = 200

# "<4>" (a raw record), "[   12.345678]", "[    T123]" or "[    C1]" (CONFIG_PRINTK_CALLER): each optional.
_PREFIX = r"^(?:<\d{1,3}>)?(?:\[ {0,8}\d{1,12}\.\d{1,9}\])? ?(?:\[ {0,8}[TC]\d{1,9}\])? ?"
_PANIC = re.compile(_PREFIX + r"(Kernel panic - not syncing.*)$", re.MULTILINE)
_CAUSE = re.compile(
    _PREFIX
    + r"("
    + r"sysrq: Trigger a crash"
    + r"|BUG: .*"
    + r"|kernel BUG at .*"
    + r"|Unable to handle kernel .*"  # arm64
    + r"|Internal error: .*"  # arm64
    + r"|general protection fault.*"
    + r"|divide error: .*"
    + r"|Oops: .*"
    + r"|invalid opcode: .*"
    + r"|watchdog: BUG: .*"
    + r"|(?:NMI )?watchdog: Watchdog detected hard LOCKUP.*"
    + r"|Kernel panic - not syncing.*"
    + r")$",
    re.MULTILINE,
)
_SYSRQ = re.compile(_PREFIX + r"sysrq: Trigger a crash$", re.MULTILINE)
_VERSION = re.compile(_PREFIX + r"(Linux version .*)$", re.MULTILINE)


class DmesgSummary(t.NamedTuple):
    """What a kernel log tells of the panic that ended it."""

    panic: str | None  #: the last "Kernel panic - not syncing" line, without its time stamp
    causes: tuple[str, ...]  #: the lines that tell a fault, the first one first
    sysrq: bool  #: it was asked for: "sysrq: Trigger a crash"
    version: str | None  #: the "Linux version" line, where the log still holds it
    markers: dict[str, bool]  #: each marker asked for, and whether it stands in the log before the panic


def summarise(text: str, markers: t.Sequence[str] = ()) -> DmesgSummary:
    """Everything this module finds in one text."""
    return DmesgSummary(
        panic=panic_line(text),
        causes=cause_lines(text),
        sysrq=_SYSRQ.search(_tail(text)) is not None,
        version=version_line(text),
        markers={marker: find_marker(text, marker) for marker in markers},
    )


def panic_line(text: str) -> str | None:
    """The last "Kernel panic - not syncing: ..." message, or None."""
    found = _PANIC.findall(_tail(text))
    return clean(found[-1], _LINE_LIMIT) if found else None


def cause_lines(text: str, limit: int = 8) -> tuple[str, ...]:
    """At most `limit` messages that tell a fault, the first one first; the panic line comes last if it fits."""
    found = []
    for match in _CAUSE.finditer(_tail(text)):
        found.append(clean(match.group(1), _LINE_LIMIT))
        if len(found) >= limit:
            break
    return tuple(found)


def version_line(text: str) -> str | None:
    """The last "Linux version" message: a log that was taken over from a boot before holds several."""
    found = _VERSION.findall(_tail(text))
    return clean(found[-1], _LINE_LIMIT) if found else None


def find_marker(text: str, marker: str) -> bool:
    """Whether the log holds the marker as a whole word: "drill-1" is not found in "drill-12".

    Only what stands before the last panic message counts.
    """
    marker = marker.strip()
    if not marker or len(marker) > _MARKER_LIMIT:
        return False
    tail = _tail(text)
    end = len(tail)
    for match in _PANIC.finditer(tail):
        end = match.start()
    return re.search(r"(?<![\w-])" + re.escape(marker) + r"(?![\w-])", tail[:end]) is not None


def _tail(text: str) -> str:
    """The end of a long text, from the beginning of a line on."""
    if len(text) <= TEXT_LIMIT:
        return text.replace("\r\n", "\n")
    return text[-TEXT_LIMIT:].split("\n", 1)[-1].replace("\r\n", "\n")
