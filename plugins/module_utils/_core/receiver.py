# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What arrives from netconsole, as lines for one file a host: put together, cleaned, limited. Pure, the clock is given.

Two formats (Documentation/networking/netconsole.rst): the plain one, pieces of text that end where a line ends or where
a datagram was full; and the extended one, "<level>,<sequence>,<microseconds>,<flags>[,ncfrag=<offset>/<total>];<text>"
with dictionary lines after the first, split into fragments over about a kilobyte. UDP loses and reorders. Anybody on
the network can send anything from any address, so that nothing here is believed and everything is bounded.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .errors import CoreError, ParseError
from .text import clean

__all__ = ["Bucket", "Limits", "Sender", "allowed_by", "file_name", "limits_from", "needs_rotation", "rotated_names"]

LINE_LIMIT = 4096
#: What a source may owe of an unfinished line or record.
_PENDING_LIMIT = 16 * 1024
_HEAD = re.compile(rb"(?:\S{1,64},)?(\d{1,3}),(\d{1,20}),(\d{1,20}),([^;,\n]{1,8})((?:,[^;\n]{1,200})?);", re.S)
_FRAGMENT = re.compile(rb",ncfrag=(\d{1,7})/(\d{1,7})")


class Limits(t.NamedTuple):
    """Bounds of the receiver. Sizes in bytes."""

    rate_bytes_s: int = 64 * 1024  #: of one host, in the long run
    burst_bytes: int = 1024 * 1024  #: a panic is a burst; an oops with modules is some 10 KiB
    file_bytes: int = 16 * 1024 * 1024
    keep: int = 3  #: older files of a host
    hosts: int = 256
    allow: tuple[str, ...] = ()  #: networks; empty: everybody


_RANGES = {
    "rate_bytes_s": (1024, 1 << 30),
    "burst_bytes": (4096, 1 << 30),
    "file_bytes": (64 * 1024, 1 << 34),
    "keep": (1, 99),
    "hosts": (1, 65536),
}


def limits_from(given: t.Mapping[str, t.Any]) -> Limits:
    """Check values of a user or of a file. Raises CoreError."""
    values = {**Limits()._asdict(), **given}
    if set(values) != set(Limits._fields):
        raise CoreError("receiver: unknown: {0}".format(", ".join(sorted(set(values) - set(Limits._fields)))))
    for name, (low, high) in _RANGES.items():
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CoreError("receiver: {0} {1!r} is not between {2} and {3}".format(name, value, low, high))
    networks = []
    for text in values["allow"] or ():
        try:
            networks.append(str(ipaddress.ip_network(str(text), strict=False)))
        except ValueError as exc:
            raise CoreError("receiver: {0!r} is no network".format(clean(str(text), 80))) from exc
    return Limits(**{**values, "allow": tuple(networks)})


def allowed_by(address: str, networks: t.Sequence[str]) -> bool:
    """Whether a source may write at all."""
    if not networks:
        return True
    found = _plain(address)
    return any(found in ipaddress.ip_network(text) for text in networks)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError as exc:
        raise ParseError("{0!r} is no address".format(clean(address, 80))) from exc
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


def file_name(address: str) -> str:
    """The file of a source: "192.0.2.7.log", "2001-db8--7.log". Raises ParseError.

    >>> file_name("::ffff:192.0.2.7")
    '192.0.2.7.log'
    """
    # An IPv4 address has no "-", so that no two addresses share a name.
    return str(_plain(address)).replace(":", "-") + ".log"


class Bucket:
    """How much a host may still write; it fills with time."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._left = float(limits.burst_bytes)
        self._last_s = now_s
        self.dropped_bytes = 0

    def take(self, count: int, now_s: float) -> bool:
        """Whether `count` bytes fit now; what does not is counted in `dropped_bytes`."""
        grown = self._left + max(0.0, now_s - self._last_s) * self._limits.rate_bytes_s
        self._left, self._last_s = min(float(self._limits.burst_bytes), grown), now_s
        if count > self._left:
            self.dropped_bytes += count
            return False
        self._left -= count
        return True


class Sender:
    """What one source sent and has not finished."""

    def __init__(self) -> None:
        self._rest = b""
        self._record: tuple[bytes, bytes, int] | None = None  #: head of the record, its text so far, its length
        self.heard_s = 0.0

    def feed(self, datagram: bytes, now_s: float) -> list[str]:
        """Whole lines, clean, without their ends."""
        self.heard_s = now_s
        head = _HEAD.match(datagram)
        if head is None:
            return self._close_record() + self._plain_text(datagram)
        lines = self.flush() if self._rest else []
        fragment = _FRAGMENT.match(head.group(5))
        text = datagram[head.end() :]
        if fragment is None:
            return lines + self._close_record() + [_line(head, text)]
        return lines + self._fragment(head, text, int(fragment.group(1)), int(fragment.group(2)))

    def flush(self) -> list[str]:
        """What never got its end: the last words of a host often do not."""
        rest, self._rest = self._rest, b""
        return self._close_record() + ([_clean(rest)] if rest.strip() else [])

    @property
    def waits(self) -> bool:
        """Whether something is unfinished."""
        return bool(self._rest) or self._record is not None

    def _plain_text(self, datagram: bytes) -> list[str]:
        *whole, rest = (self._rest + datagram).split(b"\n")
        if len(rest) > _PENDING_LIMIT:
            whole, rest = [*whole, rest], b""
        self._rest = rest
        return [_clean(line) for line in whole if line.strip()]

    def _fragment(self, head: re.Match[bytes], text: bytes, offset: int, total: int) -> list[str]:
        name = b",".join(head.group(1, 2, 3, 4))
        lines = []
        if self._record is not None and (self._record[0] != name or len(self._record[1]) != offset):
            lines = self._close_record()
        if self._record is None and offset:
            # The beginning was lost: what there is goes down as it is.
            return [*lines, "{0} \u2026{1}".format(_stamp(head), _clean(text))]
        so_far = (self._record[1] if self._record else b"") + text
        self._record = (name, so_far, total)
        if len(so_far) >= min(total, _PENDING_LIMIT):
            lines += self._close_record()
        return lines

    def _close_record(self) -> list[str]:
        if self._record is None:
            return []
        (name, text, total), self._record = self._record, None
        head = _HEAD.match(name + b";")
        if head is None:
            return []
        return [_line(head, text) + ("" if len(text) >= total else " \u2026")]


def _stamp(head: re.Match[bytes]) -> str:
    """Seconds since the host's boot, as its own kernel log prints them."""
    micros = int(head.group(3))
    return "[{0:5d}.{1:06d}]".format(micros // 1_000_000, micros % 1_000_000)


def _line(head: re.Match[bytes], text: bytes) -> str:
    # The lines after the first are the dictionary (SUBSYSTEM=, DEVICE=): no words of the kernel log.
    first = text.split(b"\n", 1)[0]
    return "{0} {1}".format(_stamp(head), _clean(first)).rstrip()


def _clean(data: bytes) -> str:
    return clean(data.decode("utf-8", "replace"), LINE_LIMIT)


def needs_rotation(size_bytes: int, more_bytes: int, limits: Limits) -> bool:
    """Whether the next line goes into a new file."""
    return size_bytes > 0 and size_bytes + more_bytes > limits.file_bytes


def rotated_names(name: str, keep: int) -> list[tuple[str, str]]:
    """Renames that make room for a new file, in order; the oldest one is replaced.

    >>> rotated_names("192.0.2.7.log", 2)
    [('192.0.2.7.log.1', '192.0.2.7.log.2'), ('192.0.2.7.log', '192.0.2.7.log.1')]
    """
    names = [name] + ["{0}.{1}".format(name, number) for number in range(1, keep + 1)]
    return [(names[index], names[index + 1]) for index in range(keep - 1, -1, -1)]
