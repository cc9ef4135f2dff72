# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware files that a driver of another kernel asks for, against those that are on the disk.

A module names every file that it may ask for (MODULE_FIRMWARE), most of them for other cards, so "a file
is missing" says little. What counts is what a host loses: a file that the running kernel's module finds
and whose counterpart for the new kernel is nowhere. Counterparts differ in their version alone:
bnx2x-e2-7.13.15.0.fw and bnx2x-e2-7.13.21.0.fw are one slot.
"""

from __future__ import annotations

import re
import typing as t

from .text import clean

__all__ = ["Loss", "find_losses", "firmware_packages", "found_in", "parse_modinfo_firmware", "slot"]

#: iwlwifi names some 200 files, NIC drivers for servers at most 60.
FILE_LIMIT = 1000

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@,~-]{0,254}\Z")


class Loss(t.NamedTuple):
    """A driver that would not find its firmware under the new kernel."""

    driver: str
    slot: str  #: name of the file with its version left out
    wanted: tuple[str, ...]  #: files that the new kernel's module would take
    had: tuple[str, ...]  #: files that are there and that the running kernel's module takes
    packages: tuple[str, ...]  #: Debian packages that carry files of this driver


def parse_modinfo_firmware(text: str) -> list[str]:
    """Lines of `modinfo -F firmware`: paths below /lib/firmware. What is no plain relative path is left out."""
    names = [line.strip() for line in text.splitlines()[: FILE_LIMIT * 2]]
    return [name for name in names if _NAME.match(name) and ".." not in name.split("/")][:FILE_LIMIT]


def slot(name: str) -> str:
    """The name with every version in it replaced by a sign.

    >>> slot("bnx2x/bnx2x-e2-7.13.21.0.fw"), slot("intel/ice/ddp/ice.pkg")
    ('bnx2x/bnx2x-e2-#.fw', 'intel/ice/ddp/ice.pkg')
    """
    return _VERSION.sub("#", name)


def found_in(names: t.Iterable[str], there: t.Container[str]) -> list[str]:
    """Those of the names that are there, packed or not (CONFIG_FW_LOADER_COMPRESS_XZ and _ZSTD)."""
    return [name for name in names if any(name + end in there for end in ("", ".xz", ".zst"))]


def find_losses(driver: str, running: t.Sequence[str], coming: t.Sequence[str], there: t.Container[str]) -> list[Loss]:
    """What one driver loses. `running` and `coming` are the files that the two kernels' modules name."""
    losses = []
    slots: dict[str, list[str]] = {}
    for name in coming:
        slots.setdefault(slot(name), []).append(name)
    for key, names in slots.items():
        had = found_in([name for name in running if slot(name) == key], there)
        if had and not found_in(names, there):
            losses.append(Loss(driver, key, tuple(names), tuple(had), firmware_packages(driver)))
    return losses


#: Drivers of NICs -> packages of Debian 12 and 13 with their files (Contents of non-free-firmware; in Debian 13
#: the files of Intel's cards moved from firmware-misc-nonfree to firmware-intel-misc).
_PACKAGES: t.Mapping[str, tuple[str, ...]] = {
    "bnx2": ("firmware-bnx2",),
    "bnx2x": ("firmware-bnx2x",),
    "cxgb3": ("firmware-misc-nonfree",),
    "cxgb4": ("firmware-misc-nonfree",),
    "e100": ("firmware-intel-misc", "firmware-misc-nonfree"),
    "ice": ("firmware-intel-misc", "firmware-misc-nonfree"),
    "liquidio": ("firmware-cavium",),
    "myri10ge": ("firmware-myricom",),
    "netxen_nic": ("firmware-netxen",),
    "nfp": ("firmware-netronome",),
    "qed": ("firmware-qlogic",),
    "qede": ("firmware-qlogic",),
    "r8169": ("firmware-realtek",),
    "tg3": ("firmware-misc-nonfree",),
}


def firmware_packages(driver: str) -> tuple[str, ...]:
    """Names of the packages that carry files of a driver; empty where none is known."""
    return _PACKAGES.get(clean(driver, 64), ())
