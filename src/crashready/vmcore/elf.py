# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which build an ELF file is, and whether it has debug information. Section headers alone are read."""

from __future__ import annotations

import os
import struct
import typing as t

from .._core import elfnotes
from .._core.errors import ParseError

__all__ = ["ElfFile", "read_elf"]

_HEADER = 64
_SECTION = 64
_SECTIONS = 65536
_NAMES_LIMIT = 1024 * 1024
_SHT_NOTE = 7


class ElfFile(t.NamedTuple):
    """What decides whether a file serves as debug symbols."""

    build_id: str | None  #: lower-case hex
    has_dwarf: bool


class _Section(t.NamedTuple):
    name: int
    kind: int
    offset: int
    size: int


def read_elf(path: str) -> ElfFile:
    """Read a vmlinux or a module, 64-bit. Raises ParseError for what is none, OSError for what cannot be read."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_HEADER)
        if len(head) < _HEADER or not head.startswith(b"\x7fELF") or head[4] != 2 or head[5] not in (1, 2):
            raise ParseError("{0}: not a 64-bit ELF file".format(path))
        order = "<" if head[5] == 1 else ">"
        sections, names_at = _sections(stream, order, head, size)
        names = _bytes(stream, names_at, size, _NAMES_LIMIT) if names_at is not None else b""
        found = None
        for section in sections:
            if section.kind == _SHT_NOTE and found is None:
                found = _build_id(_bytes(stream, section, size, elfnotes.NOTES_LIMIT))
        dwarf = any(_name(names, section.name) in (".debug_info", ".zdebug_info") for section in sections)
    return ElfFile(found, dwarf)


def _sections(stream: t.BinaryIO, order: str, head: bytes, size: int) -> tuple[list[_Section], _Section | None]:
    (where,) = struct.unpack_from(order + "Q", head, 40)
    entry, count, names = struct.unpack_from(order + "HHH", head, 58)
    if not count or entry != _SECTION or where + count * entry > size or count > _SECTIONS:
        return [], None
    stream.seek(where)
    raw = stream.read(count * entry)
    found = []
    for start in range(0, len(raw) - _SECTION + 1, _SECTION):
        name, kind = struct.unpack_from(order + "II", raw, start)
        offset, length = struct.unpack_from(order + "QQ", raw, start + 24)
        found.append(_Section(name, kind, offset, length))
    return found, found[names] if names < len(found) else None


def _bytes(stream: t.BinaryIO, section: _Section, size: int, limit: int) -> bytes:
    if section.size > limit or section.offset + section.size > size:
        return b""
    stream.seek(section.offset)
    return stream.read(section.size)


def _build_id(notes: bytes) -> str | None:
    try:
        return elfnotes.build_id(notes)
    except ParseError:
        return None


def _name(names: bytes, start: int) -> str:
    end = names.find(b"\0", start)
    return names[start:end].decode("ascii", "replace") if 0 <= start < end else ""
