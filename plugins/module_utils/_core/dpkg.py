# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Stanzas of dpkg's status file and of apt's Packages lists (deb-control(5), dpkg's lib/dpkg/parse.c).

The status file of a full host is some megabytes and nearly all of it is not
wanted: the text is searched for the names, and only the stanzas of wanted
packages are taken apart.
"""

from __future__ import annotations

import itertools
import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["Package", "find_stanzas", "parse_packages", "removable", "unfinished"]

#: A bound on what one file can make us keep; full hosts have some 4000 packages.
WANTED_LIMIT = 10_000
#: Characters of one stanza that are looked at, before and behind its name; real ones have up to some 30 000.
STANZA_CHARS = 128 * 1024

_MARK = "\nPackage: "
_SOURCE = re.compile(r"(\S+)(?:\s+\(([^()\s]+)\))?")
_UNFINISHED = re.compile(
    r"\nStatus: \S+ \S+ (half-installed|unpacked|half-configured|triggers-awaited|triggers-pending)\n"
)


class Package(t.NamedTuple):
    """One package of a status file or of a list; texts are cut to one clean line."""

    name: str
    version: str  #: empty where the stanza has none, as after `dpkg --set-selections`
    architecture: str
    want: str  #: "install", "hold", "deinstall", "purge"; empty in a list of apt
    state: str  #: "installed", "config-files", "half-configured", ...; empty in a list of apt
    error: str  #: "ok" or "reinstreq"; empty in a list of apt
    source: str  #: name of the source package
    source_version: str

    @property
    def installed(self) -> bool:
        """Unpacked, configured and not flagged for reinstallation."""
        return self.state == "installed" and self.error != "reinstreq"


def find_stanzas(text: str, wanted: t.Callable[[str], bool]) -> t.Iterator[tuple[str, str]]:
    """Name and text of each stanza whose package name is wanted, in order. Raises ParseError when they are too many."""
    text = "\n" + text if text.startswith(_MARK[1:]) else text
    behind, offset, count = 0, text.find(_MARK), 0
    while offset >= 0:
        end = text.find("\n", offset + len(_MARK))
        end = len(text) if end < 0 else end
        following = text.find(_MARK, end)
        name = text[offset + len(_MARK) : end].strip()
        if wanted(name):
            count += 1
            if count > WANTED_LIMIT:
                raise ParseError("more than {0} packages of the wanted names".format(WANTED_LIMIT))
            yield name, _stanza_around(text, behind, offset, len(text) if following < 0 else following)
        behind, offset = end, following


def _stanza_around(text: str, behind: int, offset: int, following: int) -> str:
    """The stanza about `offset`, between the two names next to its own: dpkg writes Package first, others need not."""
    first, last = max(behind, offset - STANZA_CHARS), min(following, offset + STANZA_CHARS)
    start = text.rfind("\n\n", first, offset + 1)
    end = text.find("\n\n", offset + 1, last + 1)
    return "\n" + text[first if start < 0 else start + 1 : last if end < 0 else end] + "\n"


def parse_packages(text: str, wanted: t.Callable[[str], bool]) -> list[Package]:
    """Packages with a wanted name, in order of the file; a package of two architectures comes twice."""
    return [_package(name, stanza) for name, stanza in find_stanzas(text, wanted)]


def unfinished(text: str) -> list[Package]:
    """Packages that dpkg has begun to change and not finished, as `dpkg --audit` would list them."""
    found: list[Package] = []
    for match in itertools.islice(_UNFINISHED.finditer(text), WANTED_LIMIT):
        low, high = max(0, match.start() - STANZA_CHARS), match.end() + STANZA_CHARS
        stanza = _stanza_around(text, low, match.start(), min(len(text), high))
        found.append(_package(_field(stanza, "Package"), stanza))
    return found


def _package(name: str, stanza: str) -> Package:
    version = _field(stanza, "Version")
    want, error, state = [*_field(stanza, "Status").split(), "", "", ""][:3]
    source = _SOURCE.match(_field(stanza, "Source"))
    return Package(
        name=clean(name),
        version=version,
        architecture=_field(stanza, "Architecture"),
        want=want,
        state=state,
        error=error,
        source=source.group(1) if source else clean(name),
        source_version=(source.group(2) if source else None) or version,
    )


def _field(stanza: str, name: str) -> str:
    mark = "\n" + name + ":"
    at = stanza.find(mark)
    if at < 0:
        return ""
    end = stanza.find("\n", at + len(mark))
    return clean(stanza[at + len(mark) : end if end >= 0 else len(stanza)])


def removable(text: str, names: t.Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Which of these packages can go without taking any other along, and for each that cannot, who needs it.

    `text` is dpkg's status file. Names that it does not have are left out; what is
    removed with its files left counts as one that can go. Only Depends and
    Pre-Depends hold a package (deb-control(5)); one alternative that stays is enough.
    """
    known = [(_package(name, stanza), stanza) for name, stanza in find_stanzas(text, lambda name: True)]
    wanted = {name.partition(":")[0] for name in names}
    going = {p.name for p, stanza in known if p.name in wanted and p.state not in ("", "not-installed")}
    present = [(p.name, _alternatives(stanza)) for p, stanza in known if p.state not in _GONE]
    provided = {p.name: {p.name, *_provided(stanza)} for p, stanza in known if p.state not in _GONE}
    needed: dict[str, str] = {}
    found = True
    while found:
        found = False
        staying = {name for package, more in provided.items() if package not in going for name in more}
        for package, groups in present:
            for group in groups if package not in going else ():
                held = _held(group, staying, going, provided)
                if held:
                    going.discard(held)
                    needed[held] = package
                    found = True
    return sorted(going), needed


_GONE = ("", "not-installed", "config-files")
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


def _alternatives(stanza: str) -> list[list[str]]:
    """Each dependency as the list of its alternatives' names."""
    lines = re.findall(r"\n(?:Pre-)?Depends:([^\n]*)", stanza)
    groups = [group.split("|") for line in lines for group in line.split(",")]
    return [[m.group(1) for m in map(_NAME.match, group) if m] for group in groups]


def _provided(stanza: str) -> list[str]:
    lines = re.findall(r"\nProvides:([^\n]*)", stanza)
    return [m.group(1) for line in lines for m in map(_NAME.match, line.split(",")) if m]


def _held(
    group: t.Sequence[str], staying: t.Container[str], going: t.Iterable[str], provided: t.Mapping[str, set[str]]
) -> str | None:
    """The package among those that would go which this dependency cannot do without."""
    if any(name in staying for name in group):
        return None
    return next((package for package in sorted(going) if provided.get(package, set()) & set(group)), None)
