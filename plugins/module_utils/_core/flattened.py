# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The flattened format of makedumpfile, which Debian's dumps are in (G11).

`makedumpfile -F` writes to a pipe and cannot seek, so each write becomes a
record: where it belongs, how long it is, the bytes. `makedumpfile -R` puts them
in place. The form (makedumpfile.h: makedumpfile_header, makedumpfile_data_header):
4096 bytes that begin with "makedumpfile", type and version, then records of a
big-endian signed 64-bit offset and size and the data; offset and size of the
last one are both -1 and no data follows.
"""

from __future__ import annotations

import struct
import typing as t

from .errors import ParseError

__all__ = ["END_FLAG", "HEADER_BYTES", "MAGIC", "Flattened", "ReadAt", "walk_flattened"]

#: Gives at most `length` bytes from `offset`; fewer at the end of the file.
ReadAt = t.Callable[[int, int], bytes]

MAGIC = b"makedumpfile\0\0\0\0"
HEADER_BYTES = 4096
END_FLAG = b"\xff" * 16
_RECORD = struct.Struct(">qq")
#: Where headers, notes and VMCOREINFO lie; what goes behind it is counted and not kept.
_KEPT_BELOW = 16 * 1024 * 1024
#: No machine has a memory of 2^52 bytes; a record that points behind it is damage.
_HIGHEST = 1 << 52
_WINDOW = 8192
#: Segments that are kept; the headers of a real dump are some ten of them.
_KEPT_SEGMENTS = 65536


class Flattened(t.NamedTuple):
    """What a walk over the records found.

    `complete` is None where the walk stopped at its limit and the end flag was not there to see.
    """

    complete: bool | None
    reason: str | None  #: why `complete` is not True
    whole: bool  #: every record was walked
    records: int
    reassembled_bytes: int  #: size of the file that `makedumpfile -R` makes of the records seen
    segments: tuple[tuple[int, int, int], ...]  #: (offset in the dump, length, offset in the file)

    def reader(self, read_at: ReadAt) -> ReadAt:
        """Reads the dump as if it had been reassembled; what no record covers reads as zeros.

        Bytes behind the last record seen are missing, as at the end of a file.
        """
        end = max((start + length for start, length, _where in self.segments), default=0)

        def read(offset: int, length: int) -> bytes:
            out = bytearray(max(0, min(length, end - offset)))
            for start, size, where in self.segments:  # in the order written: a later record wins
                low, high = max(offset, start), min(offset + len(out), start + size)
                if low < high:
                    part = read_at(where + low - start, high - low)
                    out[low - offset : low - offset + len(part)] = part
            return bytes(out)

        return read


class _Walk:
    """One pass over the records through a small window, since most records are short and adjoining."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        self._size = size
        self._start = 0
        self._window = b""
        self.segments: list[tuple[int, int, int]] = []
        self.records = 0
        self.top = 0
        self.position = HEADER_BYTES

    def _take(self, offset: int) -> bytes:
        at = offset - self._start
        if not 0 <= at <= len(self._window) - _RECORD.size:
            self._window = self._read_at(offset, _WINDOW)
            self._start, at = offset, 0
        return self._window[at : at + _RECORD.size]

    def step(self) -> str | None:
        """Walk one record. The reason why it is the last, or None; "" is the proper end."""
        raw = self._take(self.position)
        if len(raw) < _RECORD.size:
            return "truncated: it ends at byte {0} without the end flag".format(self._size)
        if raw == END_FLAG:
            left = self._size - self.position - _RECORD.size
            return "{0} bytes follow the end flag".format(left) if left > 0 else ""
        offset, length = _RECORD.unpack(raw)
        if offset < 0 or length <= 0 or offset + length > _HIGHEST:
            told = "damaged: record {0} at byte {1} says offset {2}, size {3}"
            return told.format(self.records + 1, self.position, offset, length)
        data = self.position + _RECORD.size
        if length > self._size - data:
            self._keep(offset, self._size - data, data)
            told = "truncated: record {0} at byte {1} wants {2} bytes, {3} are there"
            return told.format(self.records + 1, self.position, length, self._size - data)
        self._keep(offset, length, data)
        self.records += 1
        self.top = max(self.top, offset + length)
        self.position = data + length
        return None

    def _keep(self, offset: int, length: int, where: int) -> None:
        if offset < _KEPT_BELOW and length > 0 and len(self.segments) < _KEPT_SEGMENTS:
            self.segments.append((offset, min(length, _KEPT_BELOW - offset), where))


def walk_flattened(read_at: ReadAt, size: int, records: int = 4096) -> Flattened:
    """Walk at most `records` records of a file of `size` bytes.

    Where there are more, the last 16 bytes alone tell whether the dump is
    complete. Raises ParseError where the header is not that of this format.
    """
    _check_header(read_at(0, HEADER_BYTES), size)
    walk = _Walk(read_at, size)
    reason: str | None = None
    while reason is None and walk.records < records:
        reason = walk.step()
    whole = reason is not None
    if reason is None:
        ends_well = read_at(max(0, size - len(END_FLAG)), len(END_FLAG)) == END_FLAG
        reason = "" if ends_well else "truncated: no end flag in the last 16 bytes"
    return Flattened(reason == "", reason or None, whole, walk.records, walk.top, tuple(walk.segments))


def _check_header(head: bytes, size: int) -> None:
    if not head.startswith(MAGIC):
        raise ParseError("not the flattened format: it begins with {0!r}".format(head[:16]))
    if len(head) < HEADER_BYTES:
        raise ParseError("truncated inside the header of the flattened format: {0} bytes".format(size))
    form, version = _RECORD.unpack_from(head, len(MAGIC))
    if (form, version) != (1, 1):
        raise ParseError("flattened format of type {0}, version {1}; type 1, version 1 is known".format(form, version))
