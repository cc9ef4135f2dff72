# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Where the members of a driver's private structures lie, from the type information (BTF) of its kernel.

    python3 btf.py /sys/kernel/btf/e1000e ring_count=e1000_ring.count buffer_size=e1000_buffer

prints `ring_count=24 buffer_size=40`, in bytes, as parameters of a kernel module. A module's BTF continues that of
vmlinux: type ids and string offsets count on from there (split BTF, Documentation/bpf/btf.rst), so `--base` is read
too. Both may be raw BTF, an ELF file with a section .BTF, or that compressed with xz.

Runs by itself inside a guest: the standard library alone, Python 3.9 or later.
"""

from __future__ import annotations

import argparse
import lzma
import pathlib
import struct
import sys
import typing as t

__all__ = ["Btf", "BtfError", "load", "section", "values"]

MAGIC = 0xEB9F
#: vmlinux of Debian 13 has 5 MB and 130 000 types.
MAX_BYTES = 64 << 20
MAX_TYPES = 1 << 20
#: Anonymous structures inside one another.
MAX_DEPTH = 8

PTR, ARRAY, STRUCT, UNION = 2, 3, 4, 5
#: Kind -> bytes that follow the type itself, and bytes of each of its `vlen` elements (include/uapi/linux/btf.h).
SIZES = {
    1: (4, 0),  # INT
    PTR: (0, 0),
    ARRAY: (12, 0),
    STRUCT: (0, 12),
    UNION: (0, 12),
    6: (0, 8),  # ENUM
    7: (0, 0),  # FWD
    8: (0, 0),  # TYPEDEF
    9: (0, 0),  # VOLATILE
    10: (0, 0),  # CONST
    11: (0, 0),  # RESTRICT
    12: (0, 0),  # FUNC
    13: (0, 8),  # FUNC_PROTO
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    16: (0, 0),  # FLOAT
    17: (4, 0),  # DECL_TAG
    18: (0, 0),  # TYPE_TAG
    19: (0, 12),  # ENUM64
}


class BtfError(Exception):
    """The type information cannot be read, or does not have what was asked for."""


class Type(t.NamedTuple):
    """The head of one type; `size` is a type id for the kinds that refer to another one."""

    position: int  #: of its elements, in the type section
    name: int  #: offset of its name
    kind: int
    elements: int
    bitfields: bool
    size: int


class Btf:
    """One BTF section, on top of another where it is a module's."""

    def __init__(self, data: bytes, base: Btf | None = None) -> None:
        self._base = base
        self._types: list[Type] | None = None
        if len(data) > MAX_BYTES:
            raise BtfError("{0} bytes of BTF: more than {1}".format(len(data), MAX_BYTES))
        try:
            magic, version, head, types, types_len, strings, strings_len = struct.unpack_from("<HBxIIIII", data)
        except struct.error as exc:
            raise BtfError("BTF of {0} bytes has no header".format(len(data))) from exc
        if (magic, version) != (MAGIC, 1):
            raise BtfError("no little-endian BTF of version 1: it begins with {0}".format(data[:4].hex()))
        if max(head + types + types_len, head + strings + strings_len) > len(data):
            raise BtfError("BTF is cut off: {0} bytes".format(len(data)))
        self._section = data[head + types : head + types + types_len]
        self._strings = data[head + strings : head + strings + strings_len]

    def text(self, offset: int) -> str:
        """The name at an offset, "" for an anonymous type. Raises BtfError beyond the strings."""
        own = offset
        if self._base is not None:
            own -= len(self._base._strings)
            if own < 0:
                return self._base.text(offset)
        end = self._strings.find(b"\0", own)
        if not 0 <= own < len(self._strings) or end < 0:
            raise BtfError("a name at {0}, beyond the strings".format(offset))
        return self._strings[own:end].decode("utf-8", "replace")

    def types(self) -> list[Type]:
        """Every type of this section, in its order. Raises BtfError on one that is cut off or of an unknown kind."""
        if self._types is None:
            self._types = list(self._walk())
        return self._types

    def _walk(self) -> t.Iterator[Type]:
        position = 0
        for _number in range(MAX_TYPES):
            if position == len(self._section):
                return
            try:
                name, info, size = struct.unpack_from("<III", self._section, position)
            except struct.error as exc:
                raise BtfError("a type at {0} is cut off".format(position)) from exc
            # Up to Linux 7.2 a kind has 5 bits and a count 16; the bits in between were 0, so the wider
            # fields of 7.3 read both.
            kind, elements = info >> 24 & 0x7F, info & 0xFFFFFF
            if kind not in SIZES:
                raise BtfError("a type of the unknown kind {0} at {1}".format(kind, position))
            fixed, each = SIZES[kind]
            yield Type(position + 12, name, kind, elements, bool(info >> 31), size)
            position += 12 + fixed + each * elements
            if position > len(self._section):
                raise BtfError("a type before {0} is cut off".format(position))
        raise BtfError("more than {0} types".format(MAX_TYPES))

    def first_id(self) -> int:
        """The id of the first type of this section; 0 is void."""
        return 1 if self._base is None else self._base.first_id() + len(self._base.types())

    def by_id(self, number: int) -> tuple[Btf, Type]:
        """A type with the section it stands in."""
        first = self.first_id()
        if number < first and self._base is not None:
            return self._base.by_id(number)
        if not first <= number < first + len(self.types()):
            raise BtfError("no type {0}".format(number))
        return self, self.types()[number - first]

    def structures(self, name: str) -> list[tuple[Btf, Type]]:
        """The structures of this name, the module's own ones first. Raises BtfError where there is none."""
        found = [(self, one) for one in self.types() if one.kind == STRUCT and name and self.text(one.name) == name]
        if not found and self._base is not None:
            return self._base.structures(name)
        if not found:
            raise BtfError("no struct {0}".format(name))
        return found

    def size(self, name: str) -> int:
        """The size of a structure in bytes."""
        return _same(name, [one.size for _btf, one in self.structures(name)])

    def offset(self, name: str, member: str) -> int:
        """The offset of a member in bytes, also of one inside an anonymous structure or union."""
        what = "{0}.{1}".format(name, member)
        if not member:
            raise BtfError("{0} names no member".format(what))
        return _same(what, [holder._member_bytes(one, member, what) for holder, one in self.structures(name)])

    def _member_bytes(self, one: Type, member: str, what: str) -> int:
        bits = self._member_bits(one, member, 0)
        if bits is None:
            raise BtfError("there is no {0}".format(what))
        if bits % 8:
            raise BtfError("{0} is a bit field".format(what))
        if bits // 8 >= one.size:
            raise BtfError("{0} lies at {1}, beyond its structure's {2} bytes".format(what, bits // 8, one.size))
        return bits // 8

    def _member_bits(self, one: Type, member: str, depth: int) -> int | None:
        if depth > MAX_DEPTH:
            raise BtfError("more than {0} structures inside one another".format(MAX_DEPTH))
        for number in range(one.elements):
            name, kind, place = struct.unpack_from("<III", self._section, one.position + 12 * number)
            bits = place & 0xFFFFFF if one.bitfields else place
            text = self.text(name)
            if text == member:
                if one.bitfields and place >> 24:
                    raise BtfError("{0} is a bit field".format(member))
                return bits
            if text == "":
                holder, inner = self.by_id(kind)
                if inner.kind in (STRUCT, UNION):
                    below = holder._member_bits(inner, member, depth + 1)
                    if below is not None:
                        return bits + below
        return None


def _same(what: str, found: t.Sequence[int]) -> int:
    """The one value that all copies of a structure agree on.

    Copies are usual: pahole leaves two where files of a module saw different parts of the types inside.
    """
    if len(set(found)) != 1:
        raise BtfError("{0} is not the same in every copy: {1}".format(what, ", ".join(map(str, found))))
    return found[0]


def section(data: bytes, name: str = ".BTF") -> bytes:
    """The content of a section of a 64-bit little-endian ELF file. Raises BtfError."""
    try:
        if data[:6] != b"\x7fELF\x02\x01":
            raise BtfError("no 64-bit little-endian ELF file: it begins with {0}".format(data[:6].hex()))
        (table,) = struct.unpack_from("<Q", data, 40)
        size, count, names = struct.unpack_from("<HHH", data, 58)
        heads = [struct.unpack_from("<IIQQQQ", data, table + size * number) for number in range(count)]
        start = heads[names][4]
        for head in heads:
            at = start + head[0]
            if data[at : at + len(name) + 1] == name.encode() + b"\0":
                if head[4] + head[5] > len(data):
                    raise BtfError("section {0} is cut off".format(name))
                return data[head[4] : head[4] + head[5]]
    except (struct.error, IndexError) as exc:
        raise BtfError("the ELF file is cut off: {0} bytes".format(len(data))) from exc
    raise BtfError("the ELF file has no section {0}".format(name))


def load(path: pathlib.Path, base: Btf | None = None) -> Btf:
    """Read raw BTF, an ELF file or a .ko.xz. Raises BtfError, OSError."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if data[:6] == b"\xfd7zXZ\0":
        try:
            data = lzma.LZMADecompressor(memlimit=256 << 20).decompress(data, MAX_BYTES + 1)
        except lzma.LZMAError as exc:
            raise BtfError("{0}: {1}".format(path, exc)) from exc
    if data[:4] == b"\x7fELF":
        data = section(data)
    return Btf(data, base)


def values(btf: Btf, wanted: t.Mapping[str, str]) -> dict[str, int]:
    """Name -> bytes, for each name -> "STRUCT.MEMBER" (an offset) or "STRUCT" (a size)."""
    found = {}
    for name, what in wanted.items():
        holder, dot, member = what.partition(".")
        found[name] = btf.offset(holder, member) if dot else btf.size(holder)
    return found


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The command line; 0, or 4 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", type=pathlib.Path, default=pathlib.Path("/sys/kernel/btf/vmlinux"))
    parser.add_argument("module", type=pathlib.Path, help="BTF of the driver")
    parser.add_argument("wanted", nargs="+", metavar="NAME=STRUCT[.MEMBER]")
    options = parser.parse_args(arguments)
    try:
        found = values(load(options.module, load(options.base)), dict(text.split("=", 1) for text in options.wanted))
    except (BtfError, OSError) as exc:
        print("btf.py: {0}: {1}".format(options.module, exc), file=sys.stderr)
        return 4
    print(" ".join("{0}={1}".format(*pair) for pair in found.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
