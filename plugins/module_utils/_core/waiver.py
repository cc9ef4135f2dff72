# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Waivers: a known bad pairing that an admin lives with, for a reason and until a day."""

from __future__ import annotations

import datetime
import re
import typing as t

from .errors import CoreError
from .rack import host_list
from .text import clean

__all__ = ["Waiver", "parse_waivers"]

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LIMIT = 1000


class Waiver(t.NamedTuple):
    """One waiver of `crashready_waivers`."""

    entry: str
    hosts: tuple[str, ...]  #: empty: every host
    reason: str
    until: str  #: YYYY-MM-DD, the last day on which it holds

    def holds(self, host: str, today: str) -> bool:
        """Whether it counts on that host and day."""
        return not self.expired(today) and self.speaks_of(host)

    def speaks_of(self, host: str) -> bool:
        """Whether the host is one of those it was given for."""
        return not self.hosts or host in self.hosts

    def expired(self, today: str) -> bool:
        """Whether its last day is over."""
        return today > self.until

    def as_facts(self, today: str) -> dict[str, t.Any]:
        """The form for results; an expired one says so and waives nothing."""
        found: dict[str, t.Any] = {"entry": self.entry, "reason": self.reason, "until": self.until}
        return dict(found, hosts=list(self.hosts), expired=self.expired(today))


def parse_waivers(given: t.Any, known: t.Collection[str]) -> list[Waiver]:
    """Read `crashready_waivers`: [{entry, reason, until, hosts?}]. `known` are the ids of the database.

    Raises CoreError with everything that is wrong: a waiver that was not understood
    must not look as if it held.
    """
    if not isinstance(given, (list, tuple)) or len(given) > _LIMIT:
        raise CoreError("crashready_waivers: a list of at most {0} waivers is needed".format(_LIMIT))
    waivers, wrong = [], []
    for index, each in enumerate(given):
        try:
            waivers.append(_waiver(each, known))
        except CoreError as exc:
            wrong.append("crashready_waivers[{0}]: {1}".format(index, exc))
    if wrong:
        raise CoreError("; ".join(wrong))
    return waivers


def _waiver(given: t.Any, known: t.Collection[str]) -> Waiver:
    if not isinstance(given, dict):
        raise CoreError("not a mapping of entry, reason and until")
    extra = sorted(str(key) for key in set(given) - {"entry", "hosts", "reason", "until"})
    if extra:
        raise CoreError("unknown key {0}".format(clean(", ".join(extra), 80)))
    entry, reason = given.get("entry"), given.get("reason")
    if not isinstance(entry, str) or entry not in known:
        raise CoreError("entry: no entry is called {0!r}".format(clean(str(entry), 64)))
    if not isinstance(reason, str) or not reason.strip():
        raise CoreError("reason: a waiver of {0} needs one".format(entry))
    hosts = given.get("hosts")
    return Waiver(entry, () if hosts is None else tuple(host_list(hosts)), clean(reason), _day(given.get("until")))


def _day(value: t.Any) -> str:
    """YAML makes a date of 2027-01-31; in quotes it stays a text."""
    text = value.isoformat()[:10] if isinstance(value, datetime.date) else value
    try:
        if not isinstance(text, str) or not _DATE.fullmatch(text):
            raise ValueError
        return datetime.date(*(int(part) for part in text.split("-"))).isoformat()
    except ValueError as exc:
        raise CoreError("until: the last day as YYYY-MM-DD is needed, not {0!r}".format(clean(str(value), 32))) from exc
