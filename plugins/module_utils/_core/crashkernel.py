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

__all__ = [
    "Needs",
    "Reservation",
    "Suggestion",
    "Unneeded",
    "estimate",
    "nominal_memory",
    "parse_crashkernel",
    "propose",
    "render_size",
    "suggest",
    "usual",
]

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


# --- a size of this host's own: estimated from what it has, or measured by a drill ---------------------------------


class Needs(t.NamedTuple):
    """What a capture boot of one host takes memory for. Sizes in bytes; None: not seen."""

    memory_bytes: int
    kernel_bytes: int | None = None  #: code, data and bss of the kernel (/proc/iomem)
    initrd_bytes: int | None = None  #: the capture initrd as it lies on the disk
    unpacked_bytes: int | None = None  #: and unpacked
    modules_bytes: int | None = None  #: modules in use, less those that the capture kernel is told not to load
    cpus: int | None = None
    nics: tuple[tuple[str, int, int | None], ...] = ()  #: drivers that stay: (module, ports, queues in use now)
    kdf_bytes: int | None = 0  #: what unlocking the largest LUKS volume takes; None: not seen
    page_size: int = 4096


# The kernel at work (slab, per-CPU areas and page tables of one CPU) and Debian's userland up to the dump: systemd,
# udev, journald, a shell, makedumpfile. Both are assumptions until a drill has measured the whole.
_KERNEL_AT_WORK = 32 * MIB
_USERLAND = 64 * MIB
#: Of a capture initrd whose contents could not be listed: zstd, xz and gzip make a quarter to a third of modules.
_UNPACKED_TIMES = 4
_KERNEL_UNSEEN = 48 * MIB
_MODULES_UNSEEN = 16 * MIB
#: makedumpfile has two bits for each page of the host, in a buffer that it makes smaller where memory is short.
_BITMAPS_LIMIT = 64 * MIB
#: Shares that are kept free on top. An estimate can miss what nobody thought of; a measured boot is repeated with
#: another order of devices, more log and a fuller crash folder.
ESTIMATE_MARGIN = 4  #: one in four
MEASURED_MARGIN = 4
LEAST_MARGIN = 32 * MIB
_STEP = 16 * MIB


def estimate(needs: Needs) -> Suggestion:
    """The reservation for a host that has had no drill, as a sum of what its capture boot takes."""
    unpacked = needs.unpacked_bytes
    if unpacked is None and needs.initrd_bytes is not None:
        unpacked = needs.initrd_bytes * _UNPACKED_TIMES
    parts = [
        _part("kernel code and data", needs.kernel_bytes, _KERNEL_UNSEEN),
        _part("capture initrd, packed", needs.initrd_bytes, 32 * MIB),
        _part("capture initrd, unpacked", unpacked, 32 * MIB * _UNPACKED_TIMES),
        _part("modules", needs.modules_bytes, _MODULES_UNSEEN),
        ("kernel at work on one CPU (assumed)", _KERNEL_AT_WORK),
        ("systemd, udev, makedumpfile (assumed)", _USERLAND),
        ("page bitmaps of makedumpfile", min(_BITMAPS_LIMIT, needs.memory_bytes // needs.page_size // 4)),
        ("notes of {0} CPUs".format(needs.cpus or "an unknown number of"), 4096 * (needs.cpus or 256)),
    ]
    parts += [_nic_part(nic, needs.page_size) for nic in needs.nics]
    parts.append(_part("unlocking LUKS (argon2)", needs.kdf_bytes, GIB))
    parts = [part for part in parts if part[1]]
    subtotal = sum(size for _what, size in parts)
    parts.append(("the kernel's own list of the pages (1/64)", subtotal // 64))
    parts.append(("margin, one in {0}".format(ESTIMATE_MARGIN), max(LEAST_MARGIN, subtotal // ESTIMATE_MARGIN)))
    return _summed(parts)


def _part(what: str, seen: int | None, otherwise: int) -> tuple[str, int]:
    return (what, seen) if seen is not None else (what + " (not seen, assumed)", otherwise)


def _nic_part(nic: tuple[str, int, int | None], page_size: int) -> tuple[str, int]:
    """Rings and firmware pages of a driver that stays. One CPU brings one queue a port, however many there are now."""
    module, ports, queues = nic
    extra = _NIC_EXTRA.get(module, _NIC_EXTRA_DEFAULT) * (3 if page_size >= _PAGE_64K else 2) // 2
    shown = "{0} ports".format(ports) if queues is None else "{0} ports, {1} queues now".format(ports, queues)
    return "NIC driver {0} ({1})".format(module, shown), extra * max(1, ports)


def propose(reserved_bytes: int, lowest_available_bytes: int, needs: Needs) -> Suggestion:
    """The smallest safe reservation after a drill.

    What the capture kernel had in use at its fullest is the reservation less the lowest MemAvailable; the margin
    is a quarter of that and at least 32 MiB. The recorder starts with systemd, so what came before, the kernel with
    its initrd packed and unpacked, is a floor of its own.
    """
    used = max(0, reserved_bytes - lowest_available_bytes)
    margin = max(LEAST_MARGIN, used // MEASURED_MARGIN)
    unpacked = needs.unpacked_bytes
    if unpacked is None:
        unpacked = (needs.initrd_bytes or 0) * _UNPACKED_TIMES
    floor = (needs.kernel_bytes or _KERNEL_UNSEEN) + (needs.initrd_bytes or 0) + unpacked + LEAST_MARGIN
    if used + margin >= floor:
        return _summed([("in use at the fullest, measured", used), ("margin", margin)])
    parts = [("kernel with its initrd, packed and unpacked, before systemd", floor - LEAST_MARGIN)]
    return _summed([*parts, ("margin", LEAST_MARGIN)])


def _summed(parts: t.Sequence[tuple[str, int]]) -> Suggestion:
    total = -(-sum(size for _what, size in parts) // _STEP) * _STEP
    reason = " + ".join("{0} ({1})".format(render_size(size), what) for what, size in parts)
    return Suggestion(total, tuple(parts), "{0}, in steps of {1}".format(reason, render_size(_STEP)))


class Unneeded(t.NamedTuple):
    """One usual reservation beside a size that is enough."""

    whose: str
    crashkernel: str
    bytes: int
    saved_bytes: int  #: negative where the usual one is too small


#: What the packages of Debian 12 and 13 set, and what Ubuntu's documentation recommends (D0, G15).
_USUAL = (
    ("Debian 12", "384M-:128M"),
    ("Debian 13", "512M-:192M"),
    ("Ubuntu", "2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M"),
)


def usual(memory_bytes: int, enough_bytes: int) -> list[Unneeded]:
    """What others would reserve on a host of that much memory, and how much of it `enough_bytes` saves."""
    memory = nominal_memory(memory_bytes)
    found = []
    for whose, text in _USUAL:
        size = parse_crashkernel(text).bytes_for(memory)
        if size:
            found.append(Unneeded(whose, text, size, size - enough_bytes))
    own = suggest(memory_bytes, ()).total_bytes
    if own is not None:
        found.append(Unneeded("Crashready without a drill", render_size(own), own, own - enough_bytes))
    return found
