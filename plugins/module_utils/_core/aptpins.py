# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Preferences of apt (apt_preferences(5)): what an administrator has pinned, and whether it speaks of a package."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["Pin", "matches", "parse_preferences", "pins_of"]

TEXT_LIMIT = 256 * 1024
PIN_LIMIT = 2000


class Pin(t.NamedTuple):
    """One stanza."""

    packages: tuple[str, ...]  #: names, globs, /regular expressions/ or "*"
    pin: str  #: such as "release n=trixie-backports" or "version 6.12.*"
    priority: int
    file: str
    line: int  #: where the stanza begins, counted from 1

    @property
    def where(self) -> str:
        """For people: file and line."""
        return "{0}:{1}".format(self.file, self.line)


def parse_preferences(text: str, file: str) -> list[Pin]:
    """Stanzas in order; one without Package, Pin or a number as Pin-Priority gives none, as in apt.

    Raises ParseError where the text is too long.
    """
    if len(text) > TEXT_LIMIT:
        raise ParseError("{0} has {1} characters; {2} at most".format(file, len(text), TEXT_LIMIT))
    found: list[Pin] = []
    fields: dict[str, str] = {}
    start = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip() and not line.startswith("#"):
            start = start if fields else number
            name, colon, value = line.partition(":")
            if colon and not line[:1].isspace():
                fields[name.strip().lower()] = value.strip()
        elif not line.strip():
            found += _stanza(fields, file, start)
            fields = {}
    return found[:PIN_LIMIT]


def _stanza(fields: t.Mapping[str, str], file: str, line: int) -> list[Pin]:
    priority = re.match(r"-?\d{1,9}\b", fields.get("pin-priority", ""))
    if not fields.get("package") or not fields.get("pin") or not priority:
        return []
    packages = tuple(clean(word, 256) for word in fields["package"].split()[:256])
    return [Pin(packages, clean(fields["pin"], 256), int(priority.group()), file, line)]


def matches(pattern: str, package: str) -> bool:
    """Whether a word of a Package field names a package: `/x/` is a regular expression that may match anywhere.

    One that Python cannot read is taken to match: apt's grammar is POSIX's, and a pin that is overlooked
    would be overruled.
    """
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        expression = re.sub(r"\[:(\w+):\]", lambda m: _CLASSES.get(m.group(1), m.group()), pattern[1:-1])
        if "[:" in expression:
            return True
        try:
            return re.search(expression, package) is not None
        except re.error:
            return True
    return fnmatch.fnmatchcase(package, pattern)


#: Of POSIX, as they stand between brackets.
_CLASSES = {
    "digit": "0-9",
    "alpha": "A-Za-z",
    "alnum": "A-Za-z0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def pins_of(pins: t.Iterable[Pin], packages: t.Iterable[str]) -> list[Pin]:
    """Those that name one of the packages and are no rule for everything (`Package: *`)."""
    names = tuple(packages)
    return [pin for pin in pins if any(p != "*" and matches(p, name) for p in pin.packages for name in names)]
