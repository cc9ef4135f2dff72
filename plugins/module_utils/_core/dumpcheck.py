# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Compares a dump that was read with the panic that it should be."""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["Expectation", "expectation_from", "unmet"]


class Expectation(t.NamedTuple):
    """What a dump should be; None: not asked."""

    build_id: str | None = None  #: lower-case hex; "running" where that kernel's is not known
    release: str | None = None
    marker: str | None = None  #: a word that stands in the kernel log before the panic
    newer_than: float | None = None  #: seconds since the epoch, by the clock of the host


def expectation_from(given: t.Mapping[str, t.Any] | None, running_build_id: str | None) -> Expectation:
    """Check what a user asked for.

    `build_id` may be "running"; it stays that where the running kernel's is not
    known, and no dump meets it. Raises ParseError where a value cannot be meant.
    """
    values = {key: value for key, value in (given or {}).items() if value is not None}
    unknown = sorted(set(values) - set(Expectation._fields))
    if unknown:
        raise ParseError("expect: unknown keys {0}".format(", ".join(unknown)))
    build_id = values.get("build_id")
    if build_id is not None:
        build_id = str(build_id).strip().lower()
        if build_id == "running":
            build_id = running_build_id or "running"
        elif not re.fullmatch("[0-9a-f]{16,128}", build_id):
            raise ParseError("expect.build_id: {0!r} is neither 'running' nor hex digits".format(clean(build_id, 60)))
    marker = values.get("marker")
    if marker is not None and not 0 < len(str(marker).strip()) <= 200:
        raise ParseError("expect.marker: empty, or longer than 200 characters")
    try:
        newer_than = float(values["newer_than"]) if "newer_than" in values else None
    except (TypeError, ValueError) as exc:
        raise ParseError("expect.newer_than: {0!r} is not a number".format(values["newer_than"])) from exc
    release = str(values["release"]) if "release" in values else None
    return Expectation(build_id, release, str(marker).strip() if marker is not None else None, newer_than)


def unmet(dump: t.Mapping[str, t.Any] | None, dmesg: t.Mapping[str, t.Any] | None, expected: Expectation) -> list[str]:
    """What does not hold, one sentence each. What could not be read does not hold.

    `dump` is what `dump.dump_facts` gives, `dmesg` has `markers` {text: found}.
    """
    dump, dmesg = dump or {}, dmesg or {}
    found = []
    for key, word in (("build_id", "build id"), ("release", "release")):
        wanted, seen = getattr(expected, key), dump.get(key)
        if key == "build_id" and wanted == "running":
            found.append("the build id of the running kernel is not known (/sys/kernel/notes)")
        elif wanted is not None and wanted != seen:
            found.append("the {0} is {1}, expected {2}".format(word, seen or "not known", wanted))
    if expected.newer_than is not None:
        crashed = dump.get("crash_time")
        if crashed is None:
            found.append("when it crashed is not known, expected after {0:.0f}".format(expected.newer_than))
        elif crashed < int(expected.newer_than):  # CRASHTIME has whole seconds
            found.append("it crashed at {0}, before {1:.0f}: an older panic".format(crashed, expected.newer_than))
    if expected.marker is not None and not (dmesg.get("markers") or {}).get(expected.marker):
        found.append("its kernel log does not name {0!r} before the panic".format(clean(expected.marker, 200)))
    return found
