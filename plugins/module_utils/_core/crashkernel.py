# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The `crashkernel=` parameter: its grammar, and how much a host needs.

Grammar: Documentation/admin-guide/kdump/kdump.rst and kernel/crash_reserve.c
(kernel/crash_core.c before 6.9).
"""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError

__all__ = ["Reservation", "Suggestion", "parse_crashkernel", "render_size", "suggest"]

MIB = 1024 * 1024
GIB = 1024 * MIB

_SIZE = re.compile(r"(\d{1,12})([KMGTkmgt]?)\Z")
_RANGE = re.compile(r"(\d{1,12}[KMGTkmgt]?)-(\d{1,12}[KMGTkmgt]?)?:(\d{1,12}[KMGTkmgt]?)\Z")
_UNITS = {"": 1, "k": 1024, "m": MIB, "g": GIB, "t": 1024 * GIB}


class Reservation(t.NamedTuple):
    """One parsed value of `crashkernel=`."""

    text: str
    ranges: tuple[tuple[int, int | None, int], ...]  #: (from byte, to byte or no end, size in bytes)
    suffix: str  #: "", "high", "low" or "cma"

    def bytes_for(self, memory_bytes: int) -> int:
        """The size asked for on a host of that much memory; 0 where no range holds it."""
        for start, end, size in self.ranges:
            if memory_bytes >= start and (end is None or memory_bytes < end):
                return size
        return 0


def parse_crashkernel(text: str) -> Reservation:
    """Read `256M`, `512M,high`, `256M@16M` or `1G-4G:192M,4G-:256M`.

    Raises ParseError with the part that does not fit.

    >>> parse_crashkernel("384M-:128M").bytes_for(2 * GIB) == 128 * MIB
    True
    """
    if len(text) > 512:
        raise ParseError("crashkernel= value of {0} characters is too long".format(len(text)))
    body, _at, offset = text.partition("@")
    if offset and not _SIZE.match(offset):
        raise ParseError("crashkernel={0}: offset {1!r} is not a size".format(text[:80], offset[:40]))
    parts = body.split(",")
    if ":" in body:
        return Reservation(text, tuple(_parse_range(part, text) for part in parts), "")
    suffix = parts[1] if len(parts) == 2 else ""
    if len(parts) > 2 or (len(parts) == 2 and suffix not in ("high", "low", "cma")):
        raise ParseError("crashkernel={0}: expected SIZE or SIZE,high or START-[END]:SIZE".format(text[:80]))
    return Reservation(text, ((0, None, _parse_size(parts[0], text)),), suffix)


def _parse_size(part: str, whole: str) -> int:
    match = _SIZE.match(part)
    if match is None:
        raise ParseError("crashkernel={0}: {1!r} is not a size such as 256M".format(whole[:80], part[:40]))
    return int(match.group(1)) * _UNITS[match.group(2).lower()]


def _parse_range(part: str, whole: str) -> tuple[int, int | None, int]:
    match = _RANGE.match(part)
    if match is None:
        raise ParseError("crashkernel={0}: {1!r} is not START-[END]:SIZE".format(whole[:80], part[:40]))
    start = _parse_size(match.group(1), whole)
    end = _parse_size(match.group(2), whole) if match.group(2) else None
    if end is not None and end <= start:
        raise ParseError("crashkernel={0}: the range {1!r} is empty".format(whole[:80], part[:40]))
    return start, end, _parse_size(match.group(3), whole)


def render_size(size_bytes: int) -> str:
    """A size as the kernel reads it, in whole MiB (rounded up).

    >>> render_size(268435456)
    '256M'
    """
    return "{0}M".format((size_bytes + MIB - 1) // MIB)


class Suggestion(t.NamedTuple):
    """How much to reserve, and the sum it comes from."""

    total_bytes: int | None  #: None: this host has too little memory for a capture kernel
    parts: tuple[tuple[str, int], ...]  #: (what for, bytes)
    reason: str


# Memory of the host (nominal) -> what Debian's capture boot needs: it starts the
# whole root filesystem with systemd and udev, so Debian's 128M/192M is too little
# for a server (G15). Ubuntu reserves 320M to 4 GiB and 512M to 32 GiB; RHEL 256M to
# 64 GiB with a far smaller userland. The growth is page tables, bitmaps and the
# kernel's own per-memory structures.
_BASE = (
    (1 * GIB, 192 * MIB),
    (2 * GIB, 256 * MIB),
    (8 * GIB, 512 * MIB),
    (64 * GIB, 768 * MIB),
    (256 * GIB, 1024 * MIB),
    (1024 * GIB, 2048 * MIB),
)

# What a NIC driver that must stay in the capture kernel costs there: rings and
# firmware pages are per queue, and nr_cpus=1 bounds the queues, not all memory.
# mlx5: 124 MiB with 4k pages measured by Red Hat (kdump-lib.sh of kdump-utils), 188 MiB with 64k.
_NIC_EXTRA = {"mlx5_core": 128 * MIB, "mlx4_core": 64 * MIB, "ice": 96 * MIB, "i40e": 64 * MIB, "bnxt_en": 64 * MIB}
_NIC_EXTRA_DEFAULT = 32 * MIB
_PAGE_64K = 64 * 1024


def nominal_memory(visible_bytes: int) -> int:
    """Installed memory from what the kernel shows (MemTotal plus the reservation).

    The kernel keeps a part for itself before it counts, up to some percent; whole
    steps of 128 MiB make the figure the same before and after a reservation.
    """
    step = 128 * MIB
    return -(-visible_bytes // step) * step


def suggest(visible_bytes: int, kept_nic_modules: t.Sequence[str], page_size: int = 4096) -> Suggestion:
    """The reservation for a host.

    `visible_bytes` is MemTotal plus what is reserved already; `kept_nic_modules` are
    the NIC drivers that the capture kernel has to load (none for a local dump).
    """
    memory = nominal_memory(visible_bytes)
    # The kernel shows two or three percent less than is installed.
    base = [size for floor, size in _BASE if memory >= floor * 95 // 100]
    if not base:
        reason = "{0} MiB of memory; a capture kernel of Debian needs a host of at least 1024 MiB"
        return Suggestion(None, (), reason.format(visible_bytes // MIB))
    parts = [("capture kernel and userland for {0} MiB of memory".format(memory // MIB), base[-1])]
    for module in sorted(set(kept_nic_modules)):
        extra = _NIC_EXTRA.get(module, _NIC_EXTRA_DEFAULT)
        if page_size >= _PAGE_64K:
            extra = extra * 3 // 2
        parts.append(("NIC driver {0} in the capture kernel".format(module), extra))
    total = sum(size for _what, size in parts)
    return Suggestion(total, tuple(parts), " + ".join("{0} ({1})".format(render_size(s), w) for w, s in parts))
