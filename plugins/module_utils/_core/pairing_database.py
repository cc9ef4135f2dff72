# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From the files of the database, as they were read, to a `judge.Database`: meaning, overrides, contradictions."""

from __future__ import annotations

import typing as t

from .coverage import Coverage, read_coverage
from .errors import CoreError
from .judge import Database
from .pairing_entry import EntryError, Problem, find_conflicts, merge_entries, read_entry

__all__ = ["DatabaseError", "File", "build_database", "build_entries"]


class File(t.Protocol):
    """A file as plugin_utils/pairings.py reads it: structure is already checked."""

    @property
    def path(self) -> str: ...
    @property
    def own(self) -> bool: ...
    @property
    def value(self) -> dict[str, t.Any]: ...
    def fault(self, field: str, message: str) -> t.Any: ...


class DatabaseError(CoreError):
    """The database cannot be used; `faults` has all that is wrong, each as text with file, line and field."""

    def __init__(self, faults: t.Sequence[t.Any]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        shown = "; ".join(str(fault) for fault in self.faults[:20])
        more = "; and {0} more".format(count - 20) if count > 20 else ""
        super().__init__("{0} in the pairing entries: {1}{2}".format(_count(count), shown, more))


def _count(count: int) -> str:
    return "1 fault" if count == 1 else "{0} faults".format(count)


def build_entries(files: t.Sequence[File]) -> tuple[list[t.Any], list[t.Any]]:
    """Entries in force, and faults (made by the files, so that they carry lines)."""
    problems: list[Problem] = []
    read = []
    for each in files:
        try:
            read.append(read_entry(each.value, each.path, each.own))
        except EntryError as exc:
            problems += exc.problems
    entries, wrong = merge_entries(read)
    problems += wrong
    problems += find_conflicts(entries)
    by_path = {each.path: each for each in files}
    return entries, [by_path[problem.path].fault(problem.field, problem.message) for problem in problems]


def build_database(files: t.Sequence[File], coverage: File | None, faults: t.Sequence[t.Any] = ()) -> Database:
    """The database; raises DatabaseError where anything is wrong, `faults` of the reading included.

    A database with a hole would call clear what the broken entry is about, so there is none.
    """
    entries, wrong = build_entries(files)
    found = [*faults, *wrong]
    limits = Coverage()
    if coverage is not None:
        limits, problems = read_coverage(coverage.value, coverage.path)
        found += [coverage.fault(problem.field, problem.message) for problem in problems]
    if found:
        raise DatabaseError(found)
    return Database(entries, limits)
