# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Takes a few files out of a Debian package while it streams by.

linux-image-*-dbg is about 0.9 GB to fetch and 5.6 GB unpacked; vmlinux and one or two modules
are wanted. So nothing else is written, and no path of the archive is ever used as a path here.
Form: deb(5), ar(5), tar. Debian compresses with xz; gzip and none are read as well.
"""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import typing as t
import zlib

from .._core.errors import ParseError
from .._core.text import clean

__all__ = ["FILE_LIMIT", "Readable", "module_name", "take_symbols"]

_MAGIC = b"!<arch>\n"
_MEMBERS = 16
_CHUNK = 1024 * 1024
#: xz -9 needs 65 MiB to unpack, what dpkg-deb uses less.
_XZ_MEMORY = 256 * 1024 * 1024
#: A vmlinux of Debian with debug information is about 0.7 GB, the largest module (amdgpu) 0.3 GB.
FILE_LIMIT = 4 * 1024**3
_UNPACKED_LIMIT = 64 * 1024**3
_ENTRIES_LIMIT = 200_000

_VMLINUX = re.compile(
    r"(?:\./)?usr/lib/debug/(?:usr/lib/|lib/modules/[^/]+/|boot/)?(?:modules/[^/]+/)?vmlinux(?:-[^/]+)?"
)
_MODULE = re.compile(r"(?:\./)?usr/lib/debug/(?:usr/)?lib/modules/[^/]+/(?:[^/]+/)+([^/]+)\.ko(?:\.debug)?")


class Readable(t.Protocol):
    """A stream: `read(n)` gives at most n bytes and b"" at the end."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes."""


def module_name(text: str) -> str:
    """A module's name as the kernel says it: modprobe takes "-" and "_" for the same."""
    return text.replace("-", "_")


class _Exactly:
    """So many bytes of a stream, gathered so that a reader gets what it asks for."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = _CHUNK) -> bytes:
        parts = []
        wanted = min(size, self._left)
        while wanted > 0:
            data = self._stream.read(wanted)
            if not data:
                raise ParseError("the package ends early: {0} bytes are missing".format(self._left))
            parts.append(data)
            wanted -= len(data)
            self._left -= len(data)
        return b"".join(parts)


class _Unpacked:
    """A decompressed stream, for tarfile's mode `r|`. Bounded in what it gives."""

    def __init__(self, member: _Exactly, decompressor: t.Any) -> None:
        self._member = member
        self._decompressor = decompressor
        self._waiting = b""
        self._given = 0

    def read(self, size: int = _CHUNK) -> bytes:
        while len(self._waiting) < size:
            more = self._more(size)
            if not more:
                break
            self._waiting += more
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        self._given += len(data)
        if self._given > _UNPACKED_LIMIT:
            raise ParseError("the package unpacks to more than {0} bytes".format(_UNPACKED_LIMIT))
        return data

    def _more(self, size: int) -> bytes:
        if self._decompressor is None:
            return self._member.read(max(size, _CHUNK))
        while not self._decompressor.eof:
            if isinstance(self._decompressor, lzma.LZMADecompressor):
                raw = self._member.read(_CHUNK) if self._decompressor.needs_input else b""
                if self._decompressor.needs_input and not raw:
                    raise ParseError("the package's data end early")
                data = self._decompressor.decompress(raw, max(size, _CHUNK))
            else:
                raw = self._decompressor.unconsumed_tail or self._member.read(_CHUNK)
                if not raw:
                    raise ParseError("the package's data end early")
                data = self._decompressor.decompress(raw, max(size, _CHUNK))
            if data:
                return bytes(data)
        return b""


def _data_member(stream: Readable) -> _Unpacked:
    """Go to the member data.tar*. Raises ParseError where there is none."""
    whole = _Exactly(stream, 1 << 62)
    if whole.read(len(_MAGIC)) != _MAGIC:
        raise ParseError("not a Debian package: it does not begin with !<arch>")
    for _number in range(_MEMBERS):
        header = whole.read(60)
        name, size_text = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if header[58:60] != b"`\n" or not size_text.isdigit():
            raise ParseError("not a Debian package: damaged ar header {0!r}".format(header[:16]))
        size = int(size_text)
        if name.startswith("data.tar"):
            return _Unpacked(_Exactly(stream, size), _decompressor(name))
        left = size + size % 2
        while left > 0:
            left -= len(whole.read(min(left, _CHUNK)))
    raise ParseError("a Debian package without data.tar")


def _decompressor(name: str) -> t.Any:
    if name == "data.tar.xz":
        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    if name == "data.tar.gz":
        return zlib.decompressobj(wbits=31)
    if name == "data.tar":
        return None
    raise ParseError("{0}: Debian's own packages are compressed with xz".format(clean(name, 40)))


def take_symbols(stream: Readable, modules: t.Collection[str], target: str) -> dict[str, str]:
    """Write vmlinux and the modules asked for into the folder `target`: {"vmlinux" or module name: path}.

    Stops as soon as it has all; a module that is not in the package (built in, or not Debian's) is
    absent from the result. Raises ParseError for a damaged package, OSError where it cannot be written.
    """
    wanted = {module_name(name) for name in modules} | {"vmlinux"}
    taken: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=t.cast(t.IO[bytes], _data_member(stream)), mode="r|", bufsize=_CHUNK) as archive:
            for number, entry in enumerate(archive):
                name = _wanted_name(entry)
                if name in wanted and name not in taken:
                    taken[name] = _write(
                        archive, entry, os.path.join(target, name if name == "vmlinux" else name + ".ko")
                    )
                if len(taken) == len(wanted):
                    break
                if number > _ENTRIES_LIMIT:
                    raise ParseError("the package has more than {0} files".format(_ENTRIES_LIMIT))
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as exc:
        raise ParseError("damaged package: {0}".format(exc)) from exc
    return taken


def _wanted_name(entry: tarfile.TarInfo) -> str | None:
    if not entry.isfile():
        return None
    if _VMLINUX.fullmatch(entry.name):
        return "vmlinux"
    match = _MODULE.fullmatch(entry.name)
    return module_name(match.group(1)) if match is not None else None


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> str:
    if entry.size > FILE_LIMIT:
        raise ParseError("{0}: {1} bytes, more than {2}".format(clean(entry.name), entry.size, FILE_LIMIT))
    source = archive.extractfile(entry)
    if source is None:
        raise ParseError("{0}: has no contents".format(clean(entry.name)))
    with open(path, "wb") as file:
        while True:
            data = source.read(_CHUNK)
            if not data:
                return path
            file.write(data)
