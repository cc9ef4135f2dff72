# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads the head of a memory dump: what it is, of which kernel, and whether it is all there.

Formats: the kdump-compressed one (diskdump_mod.h of makedumpfile; magic "KDUMP   "),
a plain ELF core of /proc/vmcore, either of them flattened (see `flattened`), and by
their magic alone LKCD and files that a compressor made. Nothing large is loaded:
the caller gives a function that reads a few bytes at an offset.
"""

from __future__ import annotations

import dataclasses
import struct
import typing as t

from . import flattened
from .errors import ParseError
from .flattened import ReadAt
from .text import clean
from .vmcoreinfo import LIMIT_BYTES, Vmcoreinfo, parse_vmcoreinfo

__all__ = ["Dump", "Utsname", "dump_facts", "read_dump"]

_KDUMP = b"KDUMP   "
_ELF = b"\x7fELF"
_COMPRESSORS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),  # the legacy frame of lz4 -l
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
#: DUMP_MAGIC_NUMBER of the Linux Kernel Crash Dump project, in both byte orders.
_LKCD = (bytes.fromhex("ed238f61730119a8"), bytes.fromhex("a8190173618f23ed"))

# struct disk_dump_header of a 64-bit machine: signature, version, six names of 65 bytes,
# padding, struct timeval, then status to nr_cpus.
_HEAD_BYTES = 464
_VERSION = 8
_NAMES = 12
_STATUS = 424
# struct kdump_sub_header of a 64-bit machine, one block behind the header.
_SUB_BYTES = 104
_PAGE_DESC = "qIIQ"  #: struct page_desc: offset, size, flags, page flags
_PAGE_DESC_BYTES = 24

_INCOMPLETE = 0x8
_PAGE_COMPRESSION = ((0x1, "zlib"), (0x2, "lzo"), (0x4, "snappy"), (0x20, "zstd"))
_ELF_INCOMPLETE = 0x1  #: set by makedumpfile in e_flags

# The page bitmap is read to find the last page: 1 MiB of it stands for 32 GiB of memory in pages of 4 KiB.
_BITMAP_QUICK = 1024 * 1024
_BITMAP_THOROUGH = 256 * 1024 * 1024
_RECORDS_QUICK = 4096
_RECORDS_THOROUGH = 4_000_000
_CHUNK = 64 * 1024
_LAST_PAGES = 256
_PROGRAM_HEADERS = 4096
_NOTES_LIMIT = 4 * 1024 * 1024
_NOTE_SEGMENTS = 4  #: /proc/vmcore has one

_MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class Utsname(t.NamedTuple):
    """`uname` of the kernel that crashed; "nodename" is its host name. None: empty in the dump (QEMU's own dumps)."""

    sysname: str | None
    nodename: str | None
    release: str | None
    version: str | None
    machine: str | None


@dataclasses.dataclass(frozen=True)
class Dump:
    """What the head (and the end) of a dump says. None: not seen, with the reason in `unread`."""

    format: str  #: "kdump", "elf", "lkcd", "compressed", "empty" or "unknown" (flattened, inside not readable)
    size_bytes: int
    flattened: bool = False
    compression: str | None = None  #: of the whole file, if any
    complete: bool | None = None
    complete_reason: str | None = None  #: why `complete` is not True
    records: int | None = None  #: of the flattened format, as far as walked
    walked_whole: bool | None = None  #: all of them were walked
    reassembled_bytes: int | None = None
    byte_order: str | None = None  #: "little" or "big"
    machine: str | None = None  #: as `uname -m` says it
    utsname: Utsname | None = None
    vmcoreinfo: Vmcoreinfo | None = None
    dump_level: int | None = None
    page_compression: str | None = None  #: "zlib", "lzo", "snappy", "zstd" or "none"
    unread: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def release(self) -> str | None:
        """The kernel release, from VMCOREINFO or else from the utsname."""
        if self.vmcoreinfo is not None and self.vmcoreinfo.release is not None:
            return self.vmcoreinfo.release
        return self.utsname.release if self.utsname is not None else None


def read_dump(read_at: ReadAt, size: int, thorough: bool = False) -> Dump:
    """Read the head and the end of a dump file of `size` bytes.

    Quick, it walks 4096 records of a flattened dump or 1 MiB of page bitmap
    and then trusts the end; `thorough` walks all. Raises ParseError where the
    first bytes are of no known format; damage further in is told in the result.
    """
    if size <= 0:
        return Dump("empty", 0, complete=False, complete_reason="0 bytes")
    head = read_at(0, 16)
    if head == flattened.MAGIC:
        return _read_flattened(read_at, size, _RECORDS_THOROUGH if thorough else _RECORDS_QUICK)
    if head.startswith((_KDUMP, _ELF)):
        return _read_inner(read_at, size, head, _BITMAP_THOROUGH if thorough else _BITMAP_QUICK)
    for magic, name in _COMPRESSORS:
        if head.startswith(magic):
            told = "compressed with {0}: not looked into".format(name)
            return Dump("compressed", size, compression=name, complete_reason=told, unread={"complete": told})
    if head.startswith(_LKCD):
        told = "the LKCD format is not read"
        return Dump("lkcd", size, complete_reason=told, unread={"complete": told})
    raise ParseError("no known dump format: {0} bytes that begin with {1}".format(size, head.hex(" ") or "nothing"))


def _read_flattened(read_at: ReadAt, size: int, records: int) -> Dump:
    try:
        walked = flattened.walk_flattened(read_at, size, records)
    except ParseError as exc:
        return Dump("unknown", size, flattened=True, complete=False, complete_reason=str(exc))
    inner_at = walked.reader(read_at)
    try:
        inner = _read_inner(inner_at, walked.reassembled_bytes, inner_at(0, 16), None)
    except ParseError as exc:
        inner = Dump("unknown", size, unread={"format": str(exc)})
    complete, reason = walked.complete, walked.reason
    if complete and inner.format == "unknown":
        complete, reason = False, "damaged: {0}".format(inner.unread.get("format"))
    elif complete and inner.complete is False:
        complete, reason = False, inner.complete_reason
    return dataclasses.replace(
        inner,
        flattened=True,
        size_bytes=size,
        complete=complete,
        complete_reason=reason,
        records=walked.records,
        walked_whole=walked.whole,
        reassembled_bytes=walked.reassembled_bytes,
    )


def _read_inner(read_at: ReadAt, size: int, head: bytes, bitmap_limit: int | None) -> Dump:
    """Read a dump that is not flattened. `bitmap_limit` None: its end was looked at already, by its records."""
    if head.startswith(_KDUMP):
        return _read_kdump(read_at, size, bitmap_limit)
    if head.startswith(_ELF):
        return _read_elf(read_at, size, bitmap_limit is None)
    raise ParseError("what the records hold is no dump: it begins with {0}".format(head.hex(" ") or "nothing"))


# --- the kdump-compressed format -------------------------------------------------------------------------------------


class _Header(t.NamedTuple):
    order: str  #: "<" or ">", as struct wants it
    version: int
    utsname: Utsname
    status: int
    block_size: int
    sub_blocks: int
    bitmap_blocks: int


class _SubHeader(t.NamedTuple):
    dump_level: int
    split: int
    vmcoreinfo_offset: int
    vmcoreinfo_size: int


def _read_kdump(read_at: ReadAt, size: int, bitmap_limit: int | None) -> Dump:
    raw = read_at(0, _HEAD_BYTES)
    if len(raw) < _HEAD_BYTES:
        told = "truncated inside the header: {0} bytes".format(len(raw))
        return Dump("kdump", size, complete=False, complete_reason=told)
    try:
        header = _parse_header(raw)
    except ParseError as exc:
        return Dump("kdump", size, complete=False, complete_reason="damaged: {0}".format(exc))
    unread: dict[str, str] = {}
    sub = _read_sub_header(read_at, header, unread)
    info = _read_vmcoreinfo(read_at, size, sub, unread)
    complete, reason = _kdump_end(read_at, size, header, sub, bitmap_limit)
    if complete is None and reason:
        unread["complete"] = reason
    if None in header.utsname:
        unread["utsname"] = "the dump leaves part of it empty"
    names = [name for bit, name in _PAGE_COMPRESSION if header.status & bit]
    return Dump(
        "kdump",
        size,
        complete=complete,
        complete_reason=reason,
        byte_order="little" if header.order == "<" else "big",
        machine=header.utsname.machine,
        utsname=header.utsname,
        vmcoreinfo=info,
        dump_level=sub.dump_level if sub is not None and header.version >= 1 else None,
        page_compression=names[0] if names else "none",
        unread=unread,
    )


def _parse_header(raw: bytes) -> _Header:
    order = "<" if 0 < struct.unpack_from("<i", raw, _VERSION)[0] < 256 else ">"
    version = struct.unpack_from(order + "i", raw, _VERSION)[0]
    if not 0 < version < 256:
        raise ParseError("header version {0}".format(version))
    status, block, sub_blocks, bitmap_blocks = struct.unpack_from(order + "IiiI", raw, _STATUS)
    if not 512 <= block <= 1 << 20 or block & (block - 1):
        # The fields of a 32-bit machine lie elsewhere; Debian's dumps of i386 and armhf are not read.
        raise ParseError("block size {0} (a dump of a 32-bit machine is not read)".format(block))
    if not 0 < sub_blocks <= 1 << 20:
        raise ParseError("a sub header of {0} blocks".format(sub_blocks))
    names = [_name(raw[start : start + 65]) for start in range(_NAMES, _NAMES + 5 * 65, 65)]
    return _Header(order, version, Utsname(*names), status, block, sub_blocks, bitmap_blocks)


def _name(raw: bytes) -> str | None:
    return clean(raw.split(b"\0", 1)[0].decode("utf-8", "replace"), 65) or None


def _read_sub_header(read_at: ReadAt, header: _Header, unread: dict[str, str]) -> _SubHeader | None:
    raw = read_at(header.block_size, _SUB_BYTES)
    if len(raw) < _SUB_BYTES:
        told = "the dump ends inside its sub header"
        unread.update(dump_level=told, vmcoreinfo=told)
        return None
    level, split = struct.unpack_from(header.order + "ii", raw, 8)
    offset, length = struct.unpack_from(header.order + "qQ", raw, 32)
    if header.version < 3:
        offset = length = 0
    return _SubHeader(level, split, offset, length)


def _read_vmcoreinfo(read_at: ReadAt, size: int, sub: _SubHeader | None, unread: dict[str, str]) -> Vmcoreinfo | None:
    if sub is None:
        return None
    offset, length = sub.vmcoreinfo_offset, sub.vmcoreinfo_size
    if offset == 0 and length == 0:
        unread["vmcoreinfo"] = "the dump has none"
        return None
    if not (0 < offset < 1 << 52 and 0 < length <= LIMIT_BYTES):
        unread["vmcoreinfo"] = "damaged: {0} bytes at offset {1}".format(length, offset)
        return None
    raw = read_at(offset, length)
    if len(raw) < length:
        unread["vmcoreinfo"] = "the dump ({0} bytes) ends before it: {1} bytes at {2}".format(size, length, offset)
        return None
    return parse_vmcoreinfo(raw)


def _kdump_end(
    read_at: ReadAt, size: int, header: _Header, sub: _SubHeader | None, bitmap_limit: int | None
) -> tuple[bool | None, str | None]:
    if header.status & _INCOMPLETE:
        return False, "makedumpfile marked it as incomplete"
    if sub is None:
        return False, "truncated inside the sub header"
    if bitmap_limit is None:
        return True, None
    if sub.split:
        return None, "one of several files of a split dump"
    return _last_pages(read_at, size, header, bitmap_limit)


def _last_pages(read_at: ReadAt, size: int, header: _Header, bitmap_limit: int) -> tuple[bool | None, str | None]:
    """Whether the data of the last pages lie within the file.

    The second bitmap has a bit for each page kept; as many page descriptors
    follow it, and the data are written in their order (IMPLEMENTATION of makedumpfile).
    """
    bitmaps = (1 + header.sub_blocks) * header.block_size
    descriptors = bitmaps + header.bitmap_blocks * header.block_size
    if descriptors > size:
        return False, "truncated: the page bitmaps end at byte {0}, the file at {1}".format(descriptors, size)
    half = (descriptors - bitmaps) // 2
    if half > bitmap_limit:
        return None, "its page bitmap is too large to look for the last page"
    kept = sum(
        bin(int.from_bytes(read_at(at, min(_CHUNK, descriptors - at)), "big")).count("1")
        for at in range(bitmaps + half, descriptors, _CHUNK)
    )
    if kept == 0:
        return False, "its page bitmap has no page"
    few = min(kept, _LAST_PAGES)
    raw = read_at(descriptors + (kept - few) * _PAGE_DESC_BYTES, few * _PAGE_DESC_BYTES)
    data = descriptors + kept * _PAGE_DESC_BYTES
    if len(raw) < few * _PAGE_DESC_BYTES:
        return False, "truncated: the page descriptors end at byte {0}, the file at {1}".format(data, size)
    for offset, length, _flags, _page_flags in struct.iter_unpack(header.order + _PAGE_DESC, raw):
        if offset < data or not 0 < length <= header.block_size:
            return False, "damaged: a page of {0} bytes at byte {1}".format(length, offset)
        if offset + length > size:
            return False, "truncated: a page ends at byte {0}, the file at {1}".format(offset + length, size)
    return True, None


# --- ELF -------------------------------------------------------------------------------------------------------------


class _Segment(t.NamedTuple):
    kind: int
    offset: int
    size: int


def _read_elf(read_at: ReadAt, size: int, checked_end: bool) -> Dump:
    head = read_at(0, 64)
    if len(head) < 64:
        return Dump("elf", size, complete=False, complete_reason="truncated inside the ELF header")
    if head[4] != 2 or head[5] not in (1, 2):
        raise ParseError("an ELF file of class {0}, data {1}; 64-bit cores alone are read".format(head[4], head[5]))
    order = "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    if kind != 4:
        raise ParseError("an ELF file of type {0}, not a core (4)".format(kind))
    flags = struct.unpack_from(order + "I", head, 48)[0]
    segments, missing = _segments(read_at, order, head)
    unread = {"utsname": "an ELF core records the release alone", "dump_level": "an ELF core records none"}
    info = _elf_vmcoreinfo(read_at, order, segments, unread)
    end = max((part.offset + part.size for part in segments), default=0)
    complete, reason = True, None
    if flags & _ELF_INCOMPLETE:
        complete, reason = False, "makedumpfile marked it as incomplete"
    elif missing:
        complete, reason = False, missing
    elif end > size and not checked_end:
        complete, reason = False, "truncated: its segments end at byte {0}, the file at {1}".format(end, size)
    return Dump(
        "elf",
        size,
        complete=complete,
        complete_reason=reason,
        byte_order="little" if order == "<" else "big",
        machine=_MACHINES.get(machine),
        vmcoreinfo=info,
        unread=unread,
    )


def _segments(read_at: ReadAt, order: str, head: bytes) -> tuple[list[_Segment], str | None]:
    """The program headers, and the reason why not all of them were read."""
    where = struct.unpack_from(order + "Q", head, 32)[0]
    entry, count = struct.unpack_from(order + "HH", head, 54)
    if count == 0 or entry != 56 or where >= 1 << 52:
        return [], "damaged: {0} program headers of {1} bytes at byte {2}".format(count, entry, where)
    # 0xffff (PN_XNUM) stands for more, counted elsewhere; /proc/vmcore's notes come first.
    wanted = min(count, _PROGRAM_HEADERS)
    raw = read_at(where, wanted * entry)
    whole = len(raw) // entry
    found = []
    for start in range(0, whole * entry, entry):
        kind = struct.unpack_from(order + "I", raw, start)[0]
        offset = struct.unpack_from(order + "Q", raw, start + 8)[0]
        length = struct.unpack_from(order + "Q", raw, start + 32)[0]
        found.append(_Segment(kind, offset, length))
    if whole < wanted:
        return found, "truncated inside the program headers"
    return found, None


def _elf_vmcoreinfo(
    read_at: ReadAt, order: str, segments: t.Sequence[_Segment], unread: dict[str, str]
) -> Vmcoreinfo | None:
    notes = [part for part in segments if part.kind == 4 and part.offset < 1 << 52]  # PT_NOTE
    for part in notes[:_NOTE_SEGMENTS]:
        raw = _find_note(read_at(part.offset, min(part.size, _NOTES_LIMIT)), order, b"VMCOREINFO")
        if raw is not None:
            return parse_vmcoreinfo(raw)
    unread["vmcoreinfo"] = "no note of that name"
    return None


def _find_note(notes: bytes, order: str, wanted: bytes) -> bytes | None:
    # Not elfnotes.parse_notes: these are megabytes on a machine of many CPUs, and may be cut.
    at = 0
    while at + 12 <= len(notes):
        name_size, data_size, _kind = struct.unpack_from(order + "III", notes, at)
        name_at = at + 12
        data_at = name_at + (name_size + 3 & ~3)
        if notes[name_at : name_at + name_size].rstrip(b"\0") == wanted:
            return notes[data_at : data_at + data_size]
        at = data_at + (data_size + 3 & ~3)
    return None


# --- facts -----------------------------------------------------------------------------------------------------------


def dump_facts(dump: Dump) -> dict[str, t.Any]:
    """The dump as plain values for JSON: the fields of `Dump`, with VMCOREINFO's keys beside them."""
    info = dump.vmcoreinfo
    unread = dict(dump.unread)
    if info is not None and info.build_id is None:
        unread["build_id"] = "not in VMCOREINFO"
    if info is not None and info.crash_time is None:
        unread["crash_time"] = "not in VMCOREINFO"
    return {
        "format": dump.format,
        "flattened": dump.flattened,
        "compression": dump.compression,
        "complete": dump.complete,
        "complete_reason": dump.complete_reason,
        "size_bytes": dump.size_bytes,
        "reassembled_bytes": dump.reassembled_bytes,
        "records": dump.records,
        "walked_whole": dump.walked_whole,
        "byte_order": dump.byte_order,
        "machine": dump.machine,
        "utsname": dump.utsname._asdict() if dump.utsname is not None else None,
        "release": dump.release,
        "build_id": info.build_id if info is not None else None,
        "crash_time": info.crash_time if info is not None else None,
        "page_size_bytes": info.page_size if info is not None else None,
        "dump_level": dump.dump_level,
        "page_compression": dump.page_compression,
        "unread": unread,
    }
