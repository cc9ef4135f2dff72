# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The text of `apt-cache policy NAME...`: which suites offer which versions (apt-cache(8), apt_preferences(5))."""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["OfferedVersion", "Policy", "parse_policy"]

TEXT_LIMIT = 1024 * 1024

_PACKAGE = re.compile(r"(\S+):\Z")
_VERSION = re.compile(r" (?:\*\*\*|   ) (\S+) (-?\d+)\Z")
_SOURCE = re.compile(r"\s+(-?\d+) (\S+) (\S+)/([^/\s]+) (\S+) Packages\Z")


class OfferedVersion(t.NamedTuple):
    """One version, wherever it can be had from."""

    version: str
    priority: int  #: with pins applied
    suites: tuple[str, ...]  #: as sources.list names them, such as "trixie-backports"
    installed: bool


class Policy(t.NamedTuple):
    """What apt knows about one package."""

    package: str
    installed: str | None
    candidate: str | None  #: what apt would install
    versions: tuple[OfferedVersion, ...]  #: newest first, as apt lists them


def parse_policy(text: str) -> list[Policy]:
    """One Policy per package, in the order of the text (LC_ALL=C). Raises ParseError when it is too long.

    Names that apt does not know leave nothing behind.
    """
    if len(text) > TEXT_LIMIT:
        raise ParseError("the output of apt-cache policy has {0} characters; {1} at most".format(len(text), TEXT_LIMIT))
    found: list[Policy] = []
    for line in text.splitlines():
        package = _PACKAGE.match(line)
        if package and not line.startswith(" "):
            found.append(Policy(clean(package.group(1)), None, None, ()))
        elif found:
            found[-1] = _with_line(found[-1], line)
    return found


def _with_line(policy: Policy, line: str) -> Policy:
    key, colon, value = line.strip().partition(": ")
    if colon and key in ("Installed", "Candidate"):
        shown = None if value == "(none)" else clean(value)
        return policy._replace(installed=shown) if key == "Installed" else policy._replace(candidate=shown)
    version = _VERSION.match(line)
    if version:
        offered = OfferedVersion(clean(version.group(1)), int(version.group(2)), (), line.startswith(" ***"))
        return policy._replace(versions=(*policy.versions, offered))
    source = _SOURCE.match(line)
    if source and policy.versions:
        last = policy.versions[-1]
        suite = clean(source.group(3), 128)
        if suite not in last.suites:
            last = last._replace(suites=(*last.suites, suite))
        return policy._replace(versions=(*policy.versions[:-1], last))
    return policy
