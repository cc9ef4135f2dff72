# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the derived index of CVEs says of a host's NIC drivers: bugs that its kernels fix and bring.

These are bugs of a driver, whatever the card and whatever its firmware: they are shown
beside a remedy and give no verdict.
"""

from __future__ import annotations

import typing as t

from . import cve_index
from .judge import physical_cards
from .kernel_range import Kernel, candidate_kernel, running_kernel
from .nic_modules import companions

__all__ = ["DerivedBugs", "drivers_of"]

_VERSIONS_LIMIT = 256
_CACHE_LIMIT = 10_000


def drivers_of(facts: t.Any) -> tuple[str, ...]:
    """Drivers of the host's NICs and the modules that belong to them (bnxt_en has bnxt_re), sorted."""
    named = {card.driver for _name, card in physical_cards(facts) or () if card.driver and card.own is not False}
    return tuple(sorted(named.union(*(companions(name) for name in named))))


class DerivedBugs:
    """The index, with what was compared before: hosts of a rack ask the same again and again. Not for threads."""

    def __init__(self, index: cve_index.CveIndex) -> None:
        self._index = index
        self._compared: dict[tuple[tuple[str, ...], str, str], dict[str, t.Any]] = {}

    def of(self, facts: t.Any) -> dict[str, dict[str, t.Any]]:
        """For each kernel package version that apt offers: what changes for the host's NIC drivers.

        Returns {package version: {"fixes": [CVE ids], "brings": [CVE ids], "undecided":
        number}}; versions that cannot be compared are left out. Raises nothing.
        """
        kernel = facts.get("kernel") if isinstance(facts, dict) else None
        kernel = kernel if isinstance(kernel, dict) else {}
        running, drivers = _upstream(running_kernel(kernel)), drivers_of(facts)
        if running is None:
            return {}
        found = {}
        for version in _offered(kernel.get("candidates")):
            upstream = _upstream(candidate_kernel(version))
            if upstream is not None:
                found[version] = self._compare(drivers, running, upstream)
        return found

    def _compare(self, drivers: tuple[str, ...], before: str, after: str) -> dict[str, t.Any]:
        key = (drivers, before, after)
        if key not in self._compared:
            if len(self._compared) >= _CACHE_LIMIT:
                self._compared.clear()
            outcome = cve_index.compare(self._index, drivers, before, after)
            self._compared[key] = {
                "fixes": [row["cve"] for row in outcome["fixes"]],
                "brings": [row["cve"] for row in outcome["brings"]],
                "undecided": len(outcome["undecided"]),
            }
        return self._compared[key]


def _offered(candidates: t.Any) -> list[str]:
    if not isinstance(candidates, dict):
        return []
    rows = [row for rows in candidates.values() if isinstance(rows, list) for row in rows if isinstance(row, dict)]
    return sorted({row["version"] for row in rows if isinstance(row.get("version"), str)})[:_VERSIONS_LIMIT]


def _upstream(kernel: Kernel) -> str | None:
    return ".".join(str(part) for part in kernel.upstream) if kernel.upstream else None
