# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finds the crashes behind a path and reads their kernel logs: a text, a dump, or a folder of either.

Folders: of kdump-tools (dmesg.<stamp>, dump.<stamp>), of pstore and of systemd-pstore, of other
distributions (vmcore, vmcore-dmesg.txt), and one that holds such folders. A log is read in pieces,
so that its size does not matter; gzip, xz and bzip2 are unpacked on the way.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import typing as t

from .._core import pstore
from .._core.dump import Dump
from .._core.errors import ParseError
from .._core.oops import CrashRecord, Tables, read_chunks
from .._core.text import clean
from .base import Host, Unreadable
from .crashes import is_crash_name, read_dump_file

__all__ = ["CrashSource", "event_of", "find_sources", "log_chunks", "read_source", "seconds_of_stamp"]

_CHUNK = 1024 * 1024
#: Of one log after unpacking: a compressed bomb ends here, and so does a log of a terabyte.
LOG_LIMIT = 8 * 1024**3
_SOURCES_LIMIT = 512
_DEPTH = 5

_LOG = re.compile(r"dmesg(?:\.(?P<stamp>[0-9]{12}))?(?:\.txt)?(?:\.(?:gz|xz|bz2))?|vmcore-dmesg(?:\.txt)?")
_DUMP = re.compile(r"(?:dump|vmcore)(?:\.[0-9]{12})?(?:-incomplete)?(?:\.flat)?(?:\.(?:gz|bz2|lz4|xz|zst))?")
_STAMP = re.compile(r"(?:^|[-.])([0-9]{12})(?:\.[a-z0-9]+)?$")
_HOST = re.compile(r"([A-Za-z0-9._:-]{1,255})-[0-9]{12}")
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))
_DUMP_HEADS = (b"KDUMP   ", b"\x7fELF", b"makedumpfile\0")


class CrashSource(t.NamedTuple):
    """One crash: where its kernel log and its memory lie."""

    name: str  #: for people, and for the record's file: the last part of the path
    kind: str  #: "text", "dump", "kdump", "pstore" or "folder"
    path: str  #: what it was found at
    logs: tuple[str, ...] = ()  #: files, read one after the other
    dump: str | None = None
    head: Dump | None = None  #: of the dump
    host: str | None = None  #: name of the machine that crashed, where the path or the dump tells
    crashed_at: int | None = None  #: seconds since the epoch
    crashed_at_from: str | None = None
    unread: tuple[tuple[str, str], ...] = ()


def seconds_of_stamp(stamp: str) -> int | None:
    """kdump-tools' "YYYYmmddHHMM", taken for UTC since it has no zone. None for no date."""
    try:
        return int(dt.datetime.strptime(stamp, "%Y%m%d%H%M").replace(tzinfo=dt.timezone.utc).timestamp())
    except ValueError:
        return None


# --- finding ---------------------------------------------------------------------------------------------------------


def find_sources(host: Host, path: str) -> list[CrashSource]:
    """The crashes at a path, by name. Raises Unreadable, and ParseError where there is none."""
    real = host.realpath(path)
    status = host.lstat(real)
    if status.kind == "file":
        return [_of_file(host, real, status.size)]
    if status.kind != "directory":
        raise ParseError("{0}: neither a file nor a folder".format(clean(path, 4096)))
    found = _of_folder(host, real, 0)
    if not found:
        expected = "kdump-tools writes dmesg.<stamp> and dump.<stamp>, pstore dmesg-<backend>-<id>"
        raise ParseError("{0}: no crash in this folder ({1})".format(clean(path, 4096), expected))
    return found


def _of_file(host: Host, path: str, size: int) -> CrashSource:
    name = path.rsplit("/", 1)[-1]
    if size == 0:
        raise ParseError("{0}: 0 bytes".format(clean(path, 4096)))
    head = host.read_bytes(path, 16)
    packing = next((kind for magic, kind in _PACKED if head.startswith(magic)), None)
    inner = next(_unpacked(host, path, packing), b"")[:16] if packing is not None else head
    if inner.startswith(_DUMP_HEADS) or (packing is None and _looks_packed(head)):
        return _with_dump(host, CrashSource(name, "dump", path), path)
    return _timed(CrashSource(name, "text", path, logs=(path,)))


def _looks_packed(head: bytes) -> bool:
    """lz4 and zstd: the standard library cannot unpack them, so whether a dump or a log is inside is not seen."""
    return head.startswith((b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd"))


def _of_folder(host: Host, path: str, depth: int) -> list[CrashSource]:
    names = host.listdir(path)
    logs = [name for name in names if _LOG.fullmatch(name)]
    dumps = [name for name in names if _DUMP.fullmatch(name)]
    if logs or dumps:
        found = _of_crash(host, path, logs, dumps)
        if found is not None:
            return [found]
    groups = pstore.group_records(names)
    if groups:
        return [_of_pstore(path, group) for group in groups]
    found_below: list[CrashSource] = []
    for name in sorted(names, key=lambda name: (not is_crash_name(name), name)) if depth < _DEPTH else ():
        below = path + "/" + name
        try:
            if host.lstat(below).kind == "directory":
                found_below += _of_folder(host, below, depth + 1)
        except Unreadable:
            continue
        if len(found_below) >= _SOURCES_LIMIT:
            break
    return found_below[:_SOURCES_LIMIT]


def _of_crash(host: Host, path: str, logs: t.Sequence[str], dumps: t.Sequence[str]) -> CrashSource | None:
    """A folder with a log, a dump or both: of several, the newest, and no half dump where there is a whole one."""
    name = path.rsplit("/", 1)[-1]
    match = _HOST.fullmatch(name)
    source = CrashSource(
        name, "kdump" if is_crash_name(name) else "folder", path, host=match.group(1) if match else None
    )
    unread: dict[str, str] = {}
    for log in sorted(logs, reverse=True):
        if _size(host, path + "/" + log, unread):
            source = source._replace(logs=(path + "/" + log,))
            break
    for dump in sorted(dumps, key=lambda each: ("incomplete" not in each, each), reverse=True):
        if _size(host, path + "/" + dump, unread):
            source = _with_dump(host, source, path + "/" + dump)
            break
    if not source.logs and source.dump is None and not unread:
        return None
    return _timed(source._replace(unread=tuple({**dict(source.unread), **unread}.items())))


def _size(host: Host, path: str, unread: dict[str, str]) -> int:
    try:
        status = host.lstat(path)
        if status.kind == "file" and not status.size:
            unread[path.rsplit("/", 1)[-1]] = "0 bytes (G1)"
        return status.size if status.kind == "file" else 0
    except Unreadable as exc:
        unread[path.rsplit("/", 1)[-1]] = exc.reason
        return 0


def _with_dump(host: Host, source: CrashSource, path: str) -> CrashSource:
    source = source._replace(dump=path)
    try:
        head = read_dump_file(host, path, host.lstat(path).size)
    except (Unreadable, ParseError) as exc:
        told = exc.reason if isinstance(exc, Unreadable) else str(exc)
        return _timed(source._replace(unread=(*source.unread, ("dump", told))))
    source = source._replace(head=head)
    if head.utsname is not None and head.utsname.nodename:
        source = source._replace(host=head.utsname.nodename)
    if head.vmcoreinfo is not None and head.vmcoreinfo.crash_time is not None:
        source = source._replace(crashed_at=head.vmcoreinfo.crash_time, crashed_at_from="VMCOREINFO of the dump")
    return _timed(source)


def _timed(source: CrashSource) -> CrashSource:
    """The time of the crash by the name of its folder or file, where nothing better tells it."""
    if source.crashed_at is not None:
        return source
    for name in (source.path.rsplit("/", 1)[-1], source.path.rsplit("/", 2)[-2] if "/" in source.path else ""):
        match = _STAMP.search(name)
        seconds = seconds_of_stamp(match.group(1)) if match else None
        if seconds is not None:
            return source._replace(crashed_at=seconds, crashed_at_from="the name {0}, taken for UTC".format(name))
    return source


def _of_pstore(path: str, group: pstore.Group) -> CrashSource:
    unread = tuple((name, "the kernel could not unpack it") for name in group.unreadable)
    told = "the id that efi_pstore gave the record" if group.seconds is not None else None
    files = tuple(path + "/" + name for name in group.files)
    source = CrashSource("pstore-" + group.name, "pstore", path, logs=files, unread=unread)
    return source._replace(crashed_at=group.seconds, crashed_at_from=told)


# --- reading ---------------------------------------------------------------------------------------------------------


def log_chunks(host: Host, paths: t.Sequence[str], unread: dict[str, str]) -> t.Iterator[bytes]:
    """The logs one after the other, unpacked, in pieces; what is damaged further in is noted in `unread`.

    Raises Unreadable, and ParseError for an archive of which nothing can be had.
    """
    left = LOG_LIMIT
    for path in paths:
        start = left
        head = host.read_bytes(path, 16)
        packing = next((kind for magic, kind in _PACKED if head.startswith(magic)), None)
        try:
            for chunk in _unpacked(host, path, packing):
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    unread[path] = "only its first {0} bytes were read".format(LOG_LIMIT)
                    return
        except ParseError as exc:
            if left == start:
                raise
            unread[path] = str(exc)
        yield b"\n"


def _raw(host: Host, path: str) -> t.Iterator[bytes]:
    offset = 0
    while True:
        chunk = host.read_bytes(path, _CHUNK, offset)
        if not chunk:
            return
        yield chunk
        offset += len(chunk)


def _unpacked(host: Host, path: str, packing: str | None) -> t.Iterator[bytes]:
    if packing is None:
        yield from _raw(host, path)
        return
    try:
        yield from _pieces(_raw(host, path), packing)
    except (OSError, EOFError, ValueError) as exc:
        raise ParseError("{0}: damaged {1} file: {2}".format(clean(path, 4096), packing, exc)) from exc


def _pieces(raw: t.Iterator[bytes], packing: str) -> t.Iterator[bytes]:
    """Unpack in pieces of bounded size. What is cut off ends where it is cut: the start is worth reading."""
    if packing == "gzip":
        yield from _gunzipped(raw)
        return
    if packing == "xz":
        import lzma

        decompressor: t.Any = lzma.LZMADecompressor(memlimit=256 * 1024 * 1024)
        errors: tuple[type[Exception], ...] = (lzma.LZMAError,)
    else:
        import bz2

        decompressor, errors = bz2.BZ2Decompressor(), ()
    try:
        for chunk in raw:
            data = decompressor.decompress(chunk, _CHUNK)
            while True:
                if data:
                    yield data
                if decompressor.eof or decompressor.needs_input:
                    break
                data = decompressor.decompress(b"", _CHUNK)
            if decompressor.eof:  # pylint: disable=using-constant-test
                return
    except errors as exc:
        raise ValueError(str(exc)) from exc


def _gunzipped(raw: t.Iterator[bytes]) -> t.Iterator[bytes]:
    import zlib

    decompressor = zlib.decompressobj(wbits=31)
    try:
        for chunk in raw:
            left = chunk
            while left and not decompressor.eof:
                data = decompressor.decompress(left, _CHUNK)
                if data:
                    yield data
                left = decompressor.unconsumed_tail
            if decompressor.eof:
                return
    except zlib.error as exc:
        raise ValueError(str(exc)) from exc


class _Seen:
    """Passes pieces on and remembers what they were: the event of a log without time stamps."""

    def __init__(self, chunks: t.Iterable[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()

    def __iter__(self) -> t.Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            yield chunk

    def digest(self) -> str:
        return self._hash.hexdigest()


def read_source(source: CrashSource, tables: Tables, chunks: t.Iterable[bytes]) -> tuple[CrashRecord, str]:
    """The crash record of a log, and its event. The log comes as it is read: from `log_chunks`, or out of a dump."""
    seen = _Seen(chunks)
    record = read_chunks(
        seen, tables, {"type": source.kind, "name": clean(source.name), "path": clean(source.path, 4096)}
    )
    return record, event_of(record, seen.digest())


def event_of(record: CrashRecord, digest: str) -> str:
    """Tells one crash from another of the same signature, whichever copy of its log is read.

    The kernel's own clock at the first line of the fault is in all of them, to the microsecond; a
    log without time stamps is told by its text (`digest`).
    """
    if record.time_s is None or record.cause_line is None:
        return digest[:32]
    text = "\n".join((record.kernel.get("release") or "", "{0:.6f}".format(record.time_s), record.cause_line))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
