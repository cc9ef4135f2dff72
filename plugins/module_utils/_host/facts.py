# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""All facts of one machine, as the module, the driver and the tests give them."""

from __future__ import annotations

import typing as t

from .base import Host, look
from .capture import collect_capture, collect_os
from .crashes import collect_crashes
from .crashrecords import with_records
from .kernel import collect_kernel
from .nics import collect_nics

__all__ = ["DEFAULT_SUBSETS", "SCHEMA", "SUBSETS", "collect_facts", "subsets_of"]

#: Version of the facts' shape; it grows when a field changes its meaning or goes.
SCHEMA = 1
SUBSETS = ("nics", "kernel", "capture", "crashes", "candidates")
#: What `apt` offers costs more than all else together, so it is asked for by name.
DEFAULT_SUBSETS = ("nics", "kernel", "capture", "crashes")


def subsets_of(asked: t.Sequence[str]) -> tuple[str, ...]:
    """Resolve a `gather_subset` list: names, `all`, `min` (the default ones) and `!name`.

    Raises ValueError for a name that is none.
    """
    chosen: set[str] = set()
    if not asked or all(name.startswith("!") for name in asked):
        chosen = set(DEFAULT_SUBSETS)
    for name in asked:
        plain = name.lstrip("!")
        group = {"all": SUBSETS, "min": DEFAULT_SUBSETS}.get(plain, (plain,))
        if plain not in (*SUBSETS, "all", "min"):
            raise ValueError("unknown subset {0!r}; there are {1}, all and min".format(plain[:40], ", ".join(SUBSETS)))
        chosen = chosen.difference(group) if name.startswith("!") else chosen.union(group)
    return tuple(name for name in SUBSETS if name in chosen)


def collect_facts(host: Host, subsets: t.Sequence[str] = DEFAULT_SUBSETS) -> dict[str, t.Any]:
    """The dict under the key `crashready`; a subset that was not asked for is absent."""
    unread: dict[str, str] = {}
    facts: dict[str, t.Any] = {"schema": SCHEMA, "os": collect_os(host), "unread": unread}
    kernel: dict[str, t.Any] = {}
    if {"kernel", "capture", "crashes", "candidates"} & set(subsets):
        kernel = collect_kernel(host, with_candidates="candidates" in subsets)
    if "nics" in subsets:
        facts["nics"] = look(unread, "nics", collect_nics, host)
    if "kernel" in subsets or "candidates" in subsets:
        facts["kernel"] = kernel
    if "capture" in subsets:
        facts["capture"] = collect_capture(host, kernel)
    if "crashes" in subsets:
        folder = (facts.get("capture") or {}).get("config", {}).get("KDUMP_COREDIR") or "/var/crash"
        build_id = kernel.get("build_id")
        crashes = look(unread, "crashes", collect_crashes, host, folder, running_build_id=build_id)
        facts["crashes"] = None if crashes is None else with_records(host, crashes)
    return facts
