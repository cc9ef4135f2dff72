# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A program of ours on a host with its systemd units: what is to be there, and what has to change.

Pure; `_change/hostprogram.py` carries it out. What such a program is for, its files and its units are said in a
module of its own: `triage_unit`, `metrics_unit`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
import re
import typing as t
import zlib

from .errors import ParseError
from .plan import Change

__all__ = ["FOLDER", "File", "Layout", "Seen", "Unit", "folder_for_unit", "plan", "shown_program", "unpack_program"]

#: Where programs are put; nothing else is.
FOLDER = "/usr/local/lib/crashready"
_PROGRAM_LIMIT = 16 * 1024 * 1024
_FOLDER = re.compile(r"/[A-Za-z0-9._/+@-]{1,200}")


class File(t.NamedTuple):
    """A file of the program. `shown` makes the text for the diff; without it the content is shown."""

    path: str
    mode: int = 0o644
    shown: t.Callable[[bytes], str] | None = None


class Unit(t.NamedTuple):
    """A systemd unit: its file, the target that wants it ("": it is started by another unit), whether it is
    restarted after a change (a path or a timer, which keeps to what it read at its start)."""

    path: str
    wanted_by: str = ""
    restart: bool = False

    @property
    def name(self) -> str:
        """As systemctl calls it."""
        return posixpath.basename(self.path)


Files = t.Mapping[str, t.Optional[bytes]]


class Layout(t.NamedTuple):
    """All of one program. `needed_by` and `not_wanted` are the reasons in the plan.

    `output` says which file the program writes, by its own files: where it writes no more, that file goes.
    """

    files: tuple[File, ...]
    units: tuple[Unit, ...]
    needed_by: str
    not_wanted: str
    output: t.Callable[[Files], str | None] = lambda _files: None

    @property
    def enabled(self) -> tuple[Unit, ...]:
        """Units that are enabled."""
        return tuple(unit for unit in self.units if unit.wanted_by)


class Seen(t.NamedTuple):
    """What is there: files by path (None: absent), for each unit's name whether it is enabled, and the file that
    the program has written."""

    files: Files
    enabled: t.Mapping[str, bool]
    output: str | None = None


def folder_for_unit(folder: str, what: str) -> str:
    """The folder, where it can stand in a unit file. Raises ParseError."""
    if not _FOLDER.fullmatch(folder):
        raise ParseError("{0!r} cannot be the {1} of a systemd unit".format(folder, what))
    return folder


def unpack_program(text: str | None) -> bytes:
    """The zip that an action plugin sent along. Raises ParseError."""
    if not text:
        raise ParseError("program: the action plugin of this module makes it; call it by its full name")
    try:
        unpacker = zlib.decompressobj()
        program = unpacker.decompress(base64.b64decode(text), _PROGRAM_LIMIT)
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise ParseError("program: {0}".format(exc)) from exc
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ParseError("program: it is cut off, or larger than {0} bytes".format(_PROGRAM_LIMIT))
    return program


def plan(layout: Layout, wanted: t.Mapping[str, bytes] | None, seen: Seen) -> list[Change]:
    """What differs: files first, then the units. Without `wanted` all of it goes, the units before their files."""
    present = wanted is not None
    changes = [
        Change(
            "file",
            file.path,
            _shown(file, before),
            _shown(file, after),
            layout.needed_by if after is not None else layout.not_wanted,
            {"content": after, "mode": file.mode},
        )
        for file, before, after in (
            (file, seen.files.get(file.path), (wanted or {}).get(file.path)) for file in layout.files
        )
        if before != after
    ]
    if seen.output is not None and seen.output != layout.output(wanted or {}):
        changes.append(
            Change("file", seen.output, "(written by the program)", None, layout.not_wanted, {"content": None})
        )
    words = {True: "enabled", False: "not enabled"}
    units = [
        Change("unit", unit.name, words[not present], words[present], why, {"on": present})
        for unit in layout.enabled
        for why in [layout.needed_by if present else layout.not_wanted]
        if seen.enabled.get(unit.name, False) != present
    ]
    # Disabled while its file is still there: systemctl knows no unit without one.
    return [*changes, *units] if present else [*units, *changes]


def _shown(file: File, content: bytes | None) -> str | None:
    if content is None:
        return None
    return file.shown(content) if file.shown is not None else content.decode("utf-8", "replace")


def shown_program(content: bytes) -> str:
    """Of a zip its size and digest."""
    return "a zip of {0} bytes, SHA-256 {1}\n".format(len(content), hashlib.sha256(content).hexdigest())
