# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Package sources of apt, in both forms of sources.list(5): one line a source, and deb822 stanzas.

Only what decides whether a suite is there already, and from which mirror the host takes Debian.
"""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["Source", "debian_mirror", "find_suite", "parse_deb822", "parse_one_line", "render_deb822"]

#: A sources file is some lines; a stanza with an embedded key some hundred.
TEXT_LIMIT = 256 * 1024
SOURCE_LIMIT = 1000

_ONE_LINE = re.compile(r"\s*deb(?:\s+\[([^\]]*)\])?\s+(\S+)\s+(\S+)((?:\s+[^\s#]+)*)\s*(?:#.*)?\Z")


class Source(t.NamedTuple):
    """One mirror with one suite of binary packages."""

    uri: str
    suite: str  #: as written: a codename ("trixie-backports") or a class ("stable-backports")
    components: tuple[str, ...]
    signed_by: str | None  #: path or fingerprint; None where any trusted key will do
    file: str  #: where it stands


def parse_one_line(text: str, file: str) -> list[Source]:
    """Sources of a *.list file. Lines that apt would refuse give none. Raises ParseError where it is too long."""
    found: list[Source] = []
    for line in _bounded(text, file).splitlines():
        match = _ONE_LINE.match(line)
        if match:
            options, uri, suite, components = match.groups()
            signed = re.search(r"(?:^|\s)signed-by=(\S+)", options or "", re.I)
            named = tuple(clean(word, 64) for word in components.split())
            found.append(Source(clean(uri, 512), clean(suite, 128), named, signed.group(1) if signed else None, file))
    return found[:SOURCE_LIMIT]


def parse_deb822(text: str, file: str) -> list[Source]:
    """Sources of a *.sources file, one for each mirror and suite. Disabled stanzas and deb-src give none."""
    found: list[Source] = []
    for stanza in re.split(r"\n[ \t]*\n", _bounded(text, file)):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip().lower() in _NO:
            continue
        # An embedded key begins on the line after the field and is no path.
        signed = fields.get("signed-by", "").strip() or None
        signed = None if signed is None or "\n" in signed else clean(signed, 512)
        components = tuple(clean(word, 64) for word in fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                found.append(Source(clean(uri, 512), clean(suite, 128), components, signed, file))
    return found[:SOURCE_LIMIT]


#: As apt reads a boolean (StringToBool of apt-pkg/contrib/strutl.cc).
_NO = ("no", "false", "without", "off", "disable", "0")


def _bounded(text: str, file: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise ParseError("{0} has {1} characters; {2} at most".format(file, len(text), TEXT_LIMIT))
    return text


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower() if colon else ""
        if name:
            fields[name] = value.strip()
    return fields


def find_suite(sources: t.Sequence[Source], suite: str, codename: str) -> Source | None:
    """The source that brings a suite with its main component, under its codename or under its class.

    What "stable-backports" stands for is the mirror's to say; it counts where the host takes its own
    release from "stable" as well, and then the two are the same on every mirror.
    """
    names = {suite}
    if suite.startswith(codename + "-"):
        names |= {kind + suite[len(codename) :] for kind in _CLASSES if any(s.suite == kind for s in sources)}
    return next((s for s in sources if s.suite in names and "main" in s.components), None)


_CLASSES = ("stable", "oldstable")


def debian_mirror(sources: t.Sequence[Source], codename: str) -> Source | None:
    """The source that the host takes its own release from, for another suite of the same mirror.

    The first one with the main component wins; without one of the codename the first of the class
    "stable" (a host that follows it) does.
    """
    for suite in (codename, *_CLASSES):
        found = next((s for s in sources if s.suite == suite and "main" in s.components), None)
        if found:
            return found
    return None


def render_deb822(source: Source, comment: str) -> str:
    """A stanza for a *.sources file, with each line of `comment` before it."""
    lines = ["# " + line for line in comment.splitlines()]
    lines += ["Types: deb", "URIs: " + source.uri, "Suites: " + source.suite]
    lines.append("Components: " + " ".join(source.components))
    if source.signed_by:
        lines.append("Signed-By: " + source.signed_by)
    return "\n".join(lines) + "\n"
