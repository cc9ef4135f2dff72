# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Writes small dumps as makedumpfile lays them out, for the tests of what reads them."""

from __future__ import annotations

import struct
import typing as t

BLOCK = 4096
#: The layout that makedumpfile 1.7.2 gave a guest of Linux 6.1.0-56-amd64: the note before the sub header's
#: own record, and VMCOREINFO inside the note.
VMCOREINFO = (
    "OSRELEASE=6.1.0-56-amd64\n"
    "BUILD-ID=eb4fbcd037e7253717950bf2b93bd5566f47c56f\n"
    "PAGESIZE=4096\n"
    "SYMBOL(init_uts_ns)=ffffffff827fb000\n"
    "NUMBER(phys_base)=-90177536\n"
    "CRASHTIME=1795439109\n"
)
NAMES = ("Linux", "db1", "6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", "x86_64", "(none)")


def reader(data: bytes) -> t.Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def note(name: bytes, kind: int, data: bytes, order: str = "<") -> bytes:
    padded = name + b"\0"
    head = struct.pack(order + "III", len(padded), len(data), kind)
    return head + padded.ljust(-(-len(padded) // 4) * 4, b"\0") + data.ljust(-(-len(data) // 4) * 4, b"\0")


def kdump_parts(
    order: str = "<",
    vmcoreinfo: str | None = VMCOREINFO,
    names: t.Sequence[str] = NAMES,
    status: int = 0x1,
    level: int = 31,
    split: int = 0,
    pages: int = 40,
    block: int = BLOCK,
    version: int = 6,
) -> list[tuple[int, bytes]]:
    """A kdump-compressed dump as (offset, bytes), in the order in which makedumpfile writes them."""
    notes = note(b"CORE", 1, b"\1" * 336, order)
    info_at = info_size = 0
    if vmcoreinfo is not None:
        text = vmcoreinfo.encode()
        info_at, info_size = block + 104 + len(notes) + 24, len(text)
        notes += note(b"VMCOREINFO", 0, text, order)
    sub_blocks = -(-(104 + len(notes)) // block)
    bitmap_blocks = 2
    head = b"KDUMP   " + struct.pack(order + "i", version)
    head += b"".join(name.encode().ljust(65, b"\0") for name in names)
    head = head.ljust(408, b"\0") + struct.pack(order + "qq", 0, 0)
    fields = (status, block, sub_blocks, bitmap_blocks, pages, 0, 0, 0, 0, 2)
    head += struct.pack(order + "IiiIIIIIIi", *fields)
    sub = struct.pack(order + "QiiQQ", 0, level, split, 0, 0)
    sub += struct.pack(order + "qQqQqQ", info_at, info_size, block + 104, len(notes), 0, 0)
    sub += struct.pack(order + "QQQ", 0, 0, pages)
    bitmap = ((1 << pages) - 1).to_bytes(block, "little")
    bitmaps = (1 + sub_blocks) * block
    descriptors = bitmaps + bitmap_blocks * block
    where = descriptors + 24 * pages
    table, data = b"", b""
    for number in range(pages):
        page = bytes([number + 1]) * (100 + number)
        table += struct.pack(order + "qIIQ", where + len(data), len(page), 1, 0)
        data += page
    parts = [(0, head), (block + 104, notes), (block, sub), (bitmaps, bitmap), (bitmaps + block, bitmap)]
    return [*parts, (where, data), (descriptors, table)]


def plain(parts: t.Sequence[tuple[int, bytes]]) -> bytes:
    """The parts put in place: what `makedumpfile` writes without -F, and what -R makes."""
    out = bytearray(max(offset + len(data) for offset, data in parts))
    for offset, data in parts:
        out[offset : offset + len(data)] = data
    return bytes(out)


def flat(parts: t.Sequence[tuple[int, bytes]], end: bool = True) -> bytes:
    """The parts as records of the flattened format."""
    out = b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)
    out = out.ljust(4096, b"\0")
    for offset, data in parts:
        out += struct.pack(">qq", offset, len(data)) + data
    return out + (b"\xff" * 16 if end else b"")


def boundaries(parts: t.Sequence[tuple[int, bytes]]) -> list[int]:
    """Where each part of the flattened file begins and ends, its end flag not counted."""
    at, found = 4096, [0, 16, 4096]
    for _offset, data in parts:
        found += [at + 16, at + 16 + len(data)]
        at += 16 + len(data)
    return found


def kdump(flattened: bool = True, **given: t.Any) -> bytes:
    parts = kdump_parts(**given)
    return flat(parts) if flattened else plain(parts)


def elf_parts(
    order: str = "<", machine: int = 62, flags: int = 0, kind: int = 4, vmcoreinfo: str | None = VMCOREINFO
) -> list[tuple[int, bytes]]:
    """An ELF core as /proc/vmcore has it: one PT_NOTE, then memory."""
    notes = note(b"CORE", 1, b"\1" * 336, order)
    if vmcoreinfo is not None:
        notes += note(b"VMCOREINFO", 0, vmcoreinfo.encode(), order)
    ident = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    head = ident + struct.pack(order + "HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, flags, 64, 56, 2, 0, 0, 0)
    memory = b"\5" * 5000
    note_at = 64 + 2 * 56
    for part in ((4, note_at, len(notes)), (1, 4096, len(memory))):
        head += struct.pack(order + "IIQQQQQQ", part[0], 0, part[1], 0, 0, part[2], part[2], 0)
    return [(0, head), (note_at, notes), (4096, memory)]
