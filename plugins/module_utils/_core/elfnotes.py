# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Notes of an ELF file: of a running kernel (/sys/kernel/notes) above all its build id.

A dump's VMCOREINFO carries the same build id, so that a dump and a kernel can be
matched without asking any version string (gABI "Note Section"; GNU build id is
NT_GNU_BUILD_ID of binutils).
"""

from __future__ import annotations

import struct
import typing as t

from .errors import ParseError

__all__ = ["Note", "build_id", "parse_notes"]

NT_GNU_BUILD_ID = 3
#: /sys/kernel/notes is some hundred bytes; a vmlinux has few more.
NOTES_LIMIT = 64 * 1024


class Note(t.NamedTuple):
    """One note."""

    name: str
    type: int
    data: bytes


def parse_notes(data: bytes, byte_order: str = "<") -> list[Note]:
    """Every note of a note section, 4-byte aligned as Linux writes them. Raises ParseError when it ends early."""
    if len(data) > NOTES_LIMIT:
        raise ParseError("a note section of {0} bytes; {1} at most".format(len(data), NOTES_LIMIT))
    notes: list[Note] = []
    offset = 0
    while offset + 12 <= len(data):
        name_size, data_size, note_type = struct.unpack_from(byte_order + "III", data, offset)
        name_end = offset + 12 + name_size
        start = _aligned(name_end)
        if max(name_end, start + data_size) > len(data):
            raise ParseError("an ELF note at byte {0} reaches beyond its section".format(offset))
        name = data[offset + 12 : name_end].rstrip(b"\0").decode("ascii", "replace")
        notes.append(Note(name, note_type, data[start : start + data_size]))
        offset = _aligned(start + data_size)
    return notes


def build_id(data: bytes) -> str | None:
    """The GNU build id in a note section, in hexadecimal; None when it has none.

    The byte order is not said there: whichever order gives notes is taken. Raises
    ParseError when neither does.
    """
    try:
        notes = parse_notes(data)
    except ParseError:
        notes = parse_notes(data, ">")
    for note in notes:
        if note.name == "GNU" and note.type == NT_GNU_BUILD_ID and 0 < len(note.data) <= 64:
            return note.data.hex()
    return None


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
