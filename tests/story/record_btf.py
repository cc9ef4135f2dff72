# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Records the type information of a module for tests/driver/test_story.py.

    python tests/story/record_btf.py VMLINUX MODULE.ko.xz tests/story/btf/NAME

writes NAME.module.xz, the section as it is, and NAME.base.xz: as many types as vmlinux has, but empty ones, and
of its strings those alone that the module refers to, in their places. VMLINUX is the file of that name in the
package linux-headers-RELEASE, MODULE.ko.xz a file of linux-image-RELEASE or linux-modules-RELEASE.
"""

from __future__ import annotations

import argparse
import lzma
import pathlib
import struct
import typing as t

from btf import Btf, load, section

#: A forward declaration without a name: a type of the smallest size.
EMPTY = struct.pack("<III", 0, 7 << 24, 0)


def names_of(module: Btf) -> t.Iterator[int]:
    """Offset of every name of a type or of a member."""
    for one in module.types():
        yield one.name
        if one.kind in (4, 5):
            for number in range(one.elements):
                yield struct.unpack_from("<I", module._section, one.position + 12 * number)[0]


def thinned(base: Btf, names: t.Iterable[int]) -> bytes:
    """The base with what is needed to read the module on top of it."""
    strings = bytearray(len(base._strings))
    for offset in names:
        if offset < len(strings):
            text = base.text(offset).encode()
            strings[offset : offset + len(text)] = text
    types = EMPTY * len(base.types())
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return head + types + bytes(strings)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("vmlinux", type=pathlib.Path)
    parser.add_argument("module", type=pathlib.Path)
    parser.add_argument("name", type=pathlib.Path)
    options = parser.parse_args()
    base = load(options.vmlinux)
    module = load(options.module, base)
    raw = section(lzma.decompress(options.module.read_bytes()))
    for suffix, data in (("module", raw), ("base", thinned(base, names_of(module)))):
        path = options.name.with_name("{0}.{1}.xz".format(options.name.name, suffix))
        path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
