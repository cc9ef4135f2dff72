# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The changelog of Debian's kernel packages: which changes of which driver came with which version.

It is the freshest source there is: it knows a fix months before a record of it is
corrected. The package linux-doc-X ships it whole
(/usr/share/doc/linux-doc-6.12/changelog.Debian.gz, 74,000 lines). It has titles
alone, no severity, and CVE ids only where they existed on the day of the upload.

The form (deb-changelog(5), and what the kernel team writes into it)::

    linux (6.1.192-1) bookworm-security; urgency=high

      * New upstream stable update:
        https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.191
        - driver: title of the commit, wrapped with six
          more blanks (CVE-2026-12345)
        - [arm64] driver: title
      * Debian's own change (Closes: #1154101)

     -- Name <mail>  Mon, 16 Nov 2026 11:17:40 +0100

Fixes that a mainline release brought are never listed, so that nothing here says
what lies between two branches.
"""

from __future__ import annotations

import re
import typing as t

from . import debversion
from .errors import ParseError
from .nic_modules import companions, modules_of_title
from .text import clean

__all__ = [
    "Changelog",
    "Item",
    "Stanza",
    "first_fixed",
    "history",
    "items_between",
    "normal_title",
    "parse_changelog",
]

#: The 6.12 file of November 2026 has 6.5 million characters in 74,190 lines and 300 stanzas.
TEXT_LIMIT = 64 * 1024 * 1024
LINE_LIMIT = 1_000_000
STANZA_LIMIT = 5_000
_ITEM_LIMIT = 1024

_HEADER = re.compile(r"(linux[a-z0-9.+-]*) \(([^()\s]{1,128})\) ([^;]{1,128}); urgency")
_UPSTREAM = re.compile(r"    https?://\S*/ChangeLog-(\d[0-9A-Za-z.~-]{0,31})\s*\Z")
_TRAILER = re.compile(r" -- .*>  (.{10,40})\Z")
_CVES = re.compile(r"CVE-\d{4}-\d{4,7}")
_CLOSES = re.compile(r"closes:\s*((?:bug)?#?\s?\d+(?:,\s*(?:bug)?#?\s?\d+)*)", re.IGNORECASE)
_TAGS = re.compile(r"\s*\((?:[^()]*(?:CVE-\d|closes:)[^()]*)\)", re.IGNORECASE)
_ARCH = re.compile(r"\A(?:\[[A-Za-z0-9_/,.!*: -]{1,64}\]\s*)+")
_REVERT = re.compile(r"\Arevert(?:s|ed)?:?\s+[\"\u201c](.+?)[\"\u201d]?\Z", re.IGNORECASE)


class Item(t.NamedTuple):
    """One change. `upstream` is the point release that brought it, None for a change of Debian's own."""

    text: str
    upstream: str | None
    cves: tuple[str, ...]
    closes: tuple[int, ...]


class Stanza(t.NamedTuple):
    """One upload."""

    package: str
    version: str
    suite: str
    date: str | None  #: as it stands behind the maintainer's name
    items: tuple[Item, ...]


class Changelog(t.NamedTuple):
    """Uploads, newest first as in the file."""

    stanzas: tuple[Stanza, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """The package versions, newest first."""
        return tuple(stanza.version for stanza in self.stanzas)


class _Reader:
    """Line after line to stanzas. A line that fits nowhere is passed over: the file has 20 years of habits."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []
        self._items: list[Item] = []
        self._upstream: str | None = None
        self._open: list[str] | None = None

    def line(self, line: str) -> None:
        header = _HEADER.match(line)
        if header:
            self._begin(header)
        elif not self.stanzas:
            if line.strip():
                raise ParseError("not a changelog of a Debian kernel: {0!r}".format(clean(line, 80)))
        elif line.startswith(" -- "):
            self._end(line)
        elif line.startswith("  * "):
            self._bullet_item(line[4:])
        elif line.startswith(("    - ", "    + ")):
            self._close()
            self._open = [line[6:]]
        else:
            self._other(line)

    def result(self) -> Changelog:
        """What was read; the last upload needs no trailer, since a file may be cut."""
        self._finish()
        if not self.stanzas:
            raise ParseError("not a changelog of a Debian kernel: it is empty")
        return Changelog(tuple(self.stanzas))

    def _begin(self, header: t.Match[str]) -> None:
        self._finish()
        if len(self.stanzas) >= STANZA_LIMIT:
            raise ParseError("a changelog of more than {0} uploads".format(STANZA_LIMIT))
        version = debversion.parse(header.group(2)).text
        self.stanzas.append(Stanza(header.group(1), version, clean(header.group(3), 80), None, ()))

    def _end(self, line: str) -> None:
        self._finish()
        trailer = _TRAILER.match(line.rstrip())
        if trailer:
            self.stanzas[-1] = self.stanzas[-1]._replace(date=clean(trailer.group(1), 40))

    def _bullet_item(self, text: str) -> None:
        self._close()
        if "upstream" not in text.lower():
            self._upstream = None
        self._open = [text]

    def _other(self, line: str) -> None:
        upstream = _UPSTREAM.match(line)
        if upstream:
            self._close()
            self._upstream = upstream.group(1)
        elif self._open is not None and line.startswith("    ") and len(self._open) < 32:
            self._open.append(line)
        elif not line.strip():
            self._close()

    def _close(self) -> None:
        if self._open is None:
            return
        text = clean(" ".join(" ".join(self._open).split()), _ITEM_LIMIT)
        self._open = None
        if text and not re.match(r"(?i)new upstream (?:stable )?(?:update|release)|\[.{1,40}\]\Z", text):
            self._items.append(Item(text, self._upstream, _cves_of(text), _closes_of(text)))

    def _finish(self) -> None:
        self._close()
        if self.stanzas and self._items:
            last = self.stanzas[-1]
            self.stanzas[-1] = last._replace(items=(*last.items, *self._items))
        self._items, self._upstream = [], None


def _cves_of(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_CVES.findall(text)))


def _closes_of(text: str) -> tuple[int, ...]:
    numbers = [number for match in _CLOSES.finditer(text) for number in re.findall(r"\d{1,9}", match.group(1))]
    return tuple(dict.fromkeys(int(number) for number in numbers))


def parse_changelog(text: str) -> Changelog:
    """Read a changelog. Raises ParseError for what is none, or is beyond all bounds."""
    if len(text) > TEXT_LIMIT:
        raise ParseError("a changelog of {0} characters, more than {1}".format(len(text), TEXT_LIMIT))
    lines = text.splitlines()
    if len(lines) > LINE_LIMIT:
        raise ParseError("a changelog of {0} lines, more than {1}".format(len(lines), LINE_LIMIT))
    reader = _Reader()
    for line in lines:
        reader.line(line[:_ITEM_LIMIT])
    return reader.result()


# ---------------------------------------------------------------------------------------------------------------------
# Titles


def normal_title(text: str) -> tuple[str, bool]:
    """The title that changes are told apart by, and whether the item takes it back.

    Without architecture, CVE and bug numbers, in lower case with single blanks. Only
    the whole title tells: many differ in their last word alone.

    >>> normal_title('[x86] Revert "ice: fix double-free of tx_buf skb" (CVE-2026-53009)')
    ('ice: fix double-free of tx_buf skb', True)
    """
    title = " ".join(_ARCH.sub("", _TAGS.sub("", text)).split()).lower().rstrip(".")
    taken_back = False
    for _round in range(8):
        revert = _REVERT.match(title)
        if revert is None:
            break
        title, taken_back = revert.group(1).strip().rstrip("."), not taken_back
    return title, taken_back


def history(changelog: Changelog, title: str) -> tuple[tuple[str, str | None, bool], ...]:
    """(package version, upstream, applied) for every time that a title came in or was taken back, oldest first."""
    wanted, _back = normal_title(title)
    found = []
    for stanza in reversed(changelog.stanzas):
        for item in stanza.items:
            name, taken_back = normal_title(item.text)
            if name == wanted:
                found.append((stanza.version, item.upstream, not taken_back))
    return tuple(found)


def first_fixed(changelog: Changelog, title: str) -> tuple[str, str | None] | None:
    """Package version and upstream release from which on a title is in for good; None where it is not, or taken back.

    The first time after the last revert counts: 6.12.91 brought the fix of
    CVE-2026-53009, 6.12.92 took it back, 6.12.114 brought it again.
    """
    fixed: tuple[str, str | None] | None = None
    for version, upstream, applied in history(changelog, title):
        fixed = (fixed or (version, upstream)) if applied else None
    return fixed


# ---------------------------------------------------------------------------------------------------------------------
# Between two versions


def items_between(
    changelog: Changelog, from_version: str, to_version: str, drivers: t.Iterable[str]
) -> dict[str, t.Any]:
    """What came for these drivers after `from_version` up to and with `to_version` (Debian package versions).

    Returns `items` (in at the end and not before), `taken_back` (in before and not
    at the end), each a list of {"title", "version", "upstream", "modules", "cves",
    "closes"}, oldest first; `complete` and `reason`: false where the list cannot be
    all of the difference. Rebuilds count as what they were built from. Raises
    ParseError for texts that are no versions.
    """
    low, high = (debversion.parse(debversion.base(text)) for text in (from_version, to_version))
    names = {name for driver in drivers for name in (driver, *companions(driver))}
    before: dict[str, bool] = {}
    after: dict[str, bool] = {}
    rows: dict[str, dict[str, t.Any]] = {}
    for stanza in reversed(changelog.stanzas):
        version = debversion.parse(debversion.base(stanza.version))
        if version > high:
            continue
        for item in stanza.items:
            title, taken_back = normal_title(item.text)
            modules = [name for name in modules_of_title(title) if name in names]
            if not modules:
                continue
            if version <= low:
                before[title] = not taken_back
            elif taken_back or not after.get(title, False):
                rows[title] = _row(stanza, item, modules)
            after[title] = not taken_back
    complete, reason = _completeness(changelog, low, high)
    return {
        "items": [row for title, row in rows.items() if after[title] and not before.get(title, False)],
        "taken_back": [row for title, row in rows.items() if not after[title] and before.get(title, False)],
        "complete": complete,
        "reason": reason,
    }


def _row(stanza: Stanza, item: Item, modules: list[str]) -> dict[str, t.Any]:
    return {
        "title": " ".join(_ARCH.sub("", _TAGS.sub("", item.text)).split()),
        "version": stanza.version,
        "upstream": item.upstream,
        "modules": modules,
        "cves": list(item.cves),
        "closes": list(item.closes),
    }


def _branch(version: debversion.DebianVersion) -> tuple[str, ...]:
    return tuple(re.split(r"[.~+-]", version.upstream)[:2])


def _completeness(
    changelog: Changelog, low: debversion.DebianVersion, high: debversion.DebianVersion
) -> tuple[bool, str]:
    held = {debversion.parse(debversion.base(version)) for version in changelog.versions}
    if high < low:
        return False, "{0} is older than {1}: read it the other way round".format(high, low)
    for version in (low, high):
        if version not in held:
            return False, "the changelog has no upload {0}".format(version)
    if _branch(low) != _branch(high):
        return False, "{0} and {1} are of different branches: what mainline brought in between is not listed".format(
            low, high
        )
    return True, "every upload from {0} to {1} is listed".format(low, high)
