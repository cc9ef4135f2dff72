# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which dumps may go when the same crash comes again and again: the first and the last of each signature stay.

The first is the most useful one (what came later may be its consequence), the last shows that it
still happens. A crash without a signature is never removed: nobody knows what it is.
"""

from __future__ import annotations

import typing as t

__all__ = ["Kept", "removable"]


class Kept(t.NamedTuple):
    """A crash that lies on the host."""

    path: str
    signature: str | None  #: exact
    stamp: str  #: sorts by time


def removable(crashes: t.Iterable[Kept]) -> list[Kept]:
    """Those between the first and the last of their signature, oldest first."""
    by_signature: dict[str, list[Kept]] = {}
    for crash in crashes:
        if crash.signature:
            by_signature.setdefault(crash.signature, []).append(crash)
    found = []
    for same in by_signature.values():
        found += sorted(same, key=lambda crash: (crash.stamp, crash.path))[1:-1]
    return sorted(found, key=lambda crash: (crash.stamp, crash.path))
