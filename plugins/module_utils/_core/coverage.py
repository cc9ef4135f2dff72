# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the database was reviewed for: per driver and branch, and until which version. Beyond it nothing is clear."""

from __future__ import annotations

import dataclasses
import typing as t

from .errors import ParseError
from .firmware import grammar_of
from .kernel_range import Branch, Kernel, Numbers, parse_release
from .pairing_entry import Problem

__all__ = ["Coverage", "read_coverage"]


@dataclasses.dataclass(frozen=True)
class Coverage:
    """`limits[driver][branch]` is the last version that was reviewed."""

    limits: t.Mapping[str, t.Mapping[Branch, Numbers]] = dataclasses.field(default_factory=dict)

    def reviewed(self, driver: str, kernel: Kernel) -> Numbers | None:
        """The last reviewed version of this kernel's branch, None where it was not reviewed."""
        return self.limits.get(grammar_of(driver), {}).get(kernel.branch or (0, 0))

    def gap(self, driver: str, kernel: Kernel) -> str:
        """Why the absence of a match says nothing about this driver in this kernel; empty where it says "clear"."""
        if kernel.foreign:
            return "{0} is not a kernel of Debian: {1}".format(kernel.release or "it", kernel.foreign)
        if kernel.upstream is None:
            return "the version of the kernel is not known"
        shown = ".".join(str(number) for number in kernel.upstream)
        if grammar_of(driver) not in self.limits:
            return "the database does not cover the driver {0}".format(driver)
        until = self.reviewed(driver, kernel)
        if until is None:
            return "the database does not cover {0} in Linux {1}.{2}".format(driver, *kernel.upstream)
        if kernel.upstream > until:
            last = ".".join(str(number) for number in until)
            return "{0} in Linux {1} is newer than what was reviewed ({2})".format(driver, shown, last)
        return ""


def read_coverage(given: t.Mapping[str, t.Any], path: str = "") -> tuple[Coverage, list[Problem]]:
    """Make a Coverage of data/coverage.yml, as its schema accepts it. `branches` hold for drivers without their own."""
    problems: list[Problem] = []

    def read(branches: t.Mapping[str, t.Any], field: str) -> dict[Branch, Numbers]:
        found = {}
        for name, value in branches.items():
            try:
                branch, until = parse_release(name)[:2], parse_release(value["until"])
            except (ParseError, KeyError, TypeError) as exc:
                problems.append(Problem(path, "{0}.{1}".format(field, name), str(exc)))
                continue
            if until[:2] != branch:
                message = "{0} is not of the branch {1}".format(value["until"], name)
                problems.append(Problem(path, "{0}.{1}.until".format(field, name), message))
            found[branch] = until
        return found

    common = read(given.get("branches") or {}, "branches")
    limits = {}
    for driver, value in (given.get("drivers") or {}).items():
        own = (value or {}).get("branches")
        limits[grammar_of(driver)] = common if own is None else read(own, "drivers.{0}.branches".format(driver))
    return Coverage(limits), problems
