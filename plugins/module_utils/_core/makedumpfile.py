# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernels a version of makedumpfile reads, and what that does to a dump.

The measurements are in docs/kdump-on-debian.md (G9): dumps of idle guests taken
with the versions of Debian 12 and 13 and compared page by page with 1.7.8.
"""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError

__all__ = ["Budget", "Reading", "budget", "reads", "upstream_numbers"]


class Reading(t.NamedTuple):
    """What one makedumpfile makes of one kernel."""

    level: int  #: the dump level (-d) that loses no page of the kernel's own
    finds_free_pages: bool  #: False: the dump can be as large as the memory
    reason: str


# (makedumpfile, first and last kernel line, level, finds free pages). A pair that
# is not in here was neither measured nor declared readable by makedumpfile itself.
_MEASURED: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int, bool], ...] = (
    ((1, 7, 2), (2, 6), (6, 1), 31, True),
    # Level 31 of this pair loses slab pages that crash needs (xa_node.slots).
    ((1, 7, 2), (6, 12), (6, 12), 17, True),
    ((1, 7, 6), (2, 6), (6, 11), 31, True),
    # "Free pages: 0", but nothing of the kernel's own is lost.
    ((1, 7, 6), (6, 12), (6, 12), 31, False),
    ((1, 7, 8), (2, 6), (6, 17), 31, True),
)


def upstream_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "1:1.7.6-1" gives (1, 7, 6), "6.12.95+deb13" gives (6, 12, 95).

    Raises ParseError where there is none.
    """
    match = re.match(r"(?:\d+:)?(\d{1,6}(?:\.\d{1,6}){0,5})", version)
    if match is None:
        raise ParseError("{0!r} does not begin with a version number".format(version[:60]))
    return tuple(int(part) for part in match.group(1).split("."))


def reads(makedumpfile: str | None, kernel: str | None) -> Reading:
    """Judge a pair: package or upstream version of makedumpfile, `uname -r` of the kernel."""
    if makedumpfile is None or kernel is None:
        return Reading(17, False, "the version of makedumpfile or of the kernel is not known")
    tool, line = upstream_numbers(makedumpfile), upstream_numbers(kernel)[:2]
    for measured, first, last, level, finds_free_pages in _MEASURED:
        if tool[:3] == measured and first <= line <= last:
            reason = "makedumpfile {0} on Linux {1} was measured: level {2}{3} (G9)"
            note = "" if finds_free_pages else ", free pages are not found"
            return Reading(level, finds_free_pages, reason.format(_dots(tool), _dots(line), level, note))
    reason = "makedumpfile {0} is not proven on Linux {1}: level 17 keeps every page of the kernel (G9)"
    return Reading(17, False, reason.format(_dots(tool), _dots(line)))


def _dots(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


class Budget(t.NamedTuple):
    """Disk space for one dump."""

    needed_bytes: int  #: the largest dump to be expected
    minimum_bytes: int  #: below this not even a small dump and its dmesg fit
    reason: str


def budget(reading: Reading, memory_bytes: int) -> Budget:
    """Space for one dump of a host of that much memory.

    Level 31 keeps the kernel's own pages, seldom more than a quarter of the memory;
    level 17 keeps caches and user pages as well; where free pages are not found,
    every page that is not zero may stay. Compression is not counted on.
    """
    minimum = 64 * 1024 * 1024 + memory_bytes // 32
    if not reading.finds_free_pages:
        return Budget(memory_bytes, minimum, "free pages are not left out: as large as the memory")
    if reading.level < 31:
        return Budget(memory_bytes * 3 // 4, minimum, "level {0} keeps user pages".format(reading.level))
    return Budget(minimum + memory_bytes // 4, minimum, "level 31 keeps the kernel's own pages")
