# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Debian package versions: their parts and dpkg's total order (deb-version(7), dpkg's lib/dpkg/version.c).

The order of two builds answers "what would apt install". It does not answer
"does it have the fix": a rebuild such as 6.12.95-1~bpo12+1 sorts before its base
6.12.95-1 and has the same fixes. `base` is for that question.
"""

from __future__ import annotations

import functools
import re

from .errors import ParseError

__all__ = ["DebianVersion", "base", "compare", "parse", "upstream"]

#: dpkg knows no limit; a longer one is no version but an attempt.
TEXT_LIMIT = 256

_EPOCH_LIMIT = 2**31 - 1
_UPSTREAM = re.compile(r"[A-Za-z0-9.+~:-]+\Z")
_REVISION = re.compile(r"[A-Za-z0-9.+~]+\Z")
_STEP = re.compile(r"([^0-9]*)([0-9]*)")


@functools.total_ordering
class DebianVersion:
    """One version; equal when dpkg takes them for equal (`1.0` and `1.00-0` are).

    >>> DebianVersion("6.12.95-1~bpo12+1") < DebianVersion("6.12.95-1~deb12u1") < DebianVersion("6.12.95-1")
    True
    """

    __slots__ = ("_key", "epoch", "revision", "text", "upstream")

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.epoch, self.upstream, self.revision = _split(self.text)
        self._key = (self.epoch, _order(self.upstream), _order(self.revision))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "DebianVersion({0!r})".format(self.text)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, DebianVersion) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._key < other._key if isinstance(other, DebianVersion) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)


def parse(text: str) -> DebianVersion:
    """A version from its text; ParseError says what dpkg would refuse about it."""
    return DebianVersion(text)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as `dpkg --compare-versions` orders the two.

    >>> compare("1:1.8.1", "1:1.10.7"), compare("2.0", "1:1.0")
    (-1, -1)
    """
    a, b = DebianVersion(left), DebianVersion(right)
    return (a > b) - (a < b)


def base(text: str) -> str:
    """The version that a rebuild was made from: everything from the first `~` of the revision on is left away.

    >>> base("6.12.95-1~bpo12+1"), base("6.12~rc7-1~exp1"), base("6.1.180-1~deb11u1")
    ('6.12.95-1', '6.12~rc7-1', '6.1.180-1')
    """
    version = DebianVersion(text)
    if not version.revision:
        return version.text.partition("~")[0]
    head = version.text[: len(version.text) - len(version.revision)]
    return head + version.revision.partition("~")[0]


def upstream(text: str) -> str:
    """The upstream part alone, without epoch and revision: for a kernel its point release.

    >>> upstream("6.1.192-2"), upstream("1:1.10.7")
    ('6.1.192', '1.10.7')
    """
    return DebianVersion(text).upstream


def _split(text: str) -> tuple[int, str, str]:
    if not text or len(text) > TEXT_LIMIT:
        raise ParseError("a version of {0} characters".format(len(text)))
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    if not (epoch.isascii() and epoch.isdigit() and int(epoch) <= _EPOCH_LIMIT):
        raise ParseError("the epoch of a version is not a number: {0!r}".format(text))
    head, dash, revision = rest.rpartition("-")
    if not dash:
        head, revision = rest, ""
    if not _UPSTREAM.match(head) or (dash and not _REVISION.match(revision)):
        raise ParseError("not a version: {0!r}".format(text))
    return int(epoch), head, revision


def _weight(sign: str) -> int:
    """`~` before the end (0), letters before all other signs."""
    return -1 if sign == "~" else ord(sign) if sign.isalpha() else ord(sign) + 256


def _order(part: str) -> tuple[object, ...]:
    """Signs and numbers in turn. Both kinds always stand in pairs, so that an absent number counts as 0."""
    key: list[object] = []
    for match in _STEP.finditer(part):
        signs, digits = match.groups()
        if signs or digits or not key:
            key.append((*map(_weight, signs), 0))
            key.append(int(digits or "0"))
    key.append((0,))
    return tuple(key)
