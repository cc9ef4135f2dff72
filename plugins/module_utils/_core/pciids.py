# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finds the name of a PCI device in the texts that a Debian host keeps.

Sources: pci.ids(5) of pciutils; hwdb(7) and 20-pci-vendor-model.hwdb of
systemd, whose pci entries are made from pci.ids; the property records that
udev keeps in /run/udev/data (systemd, src/libsystemd/sd-device).

The files are a megabyte and more: they are searched, not turned into tables.
"""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["hwdb_name", "parse_pci_id", "pci_ids_name", "udev_property"]

_SYSFS_ID = re.compile(r"0x([0-9a-f]{4})")
_ID = re.compile(r"[0-9a-f]{4}")
_NAME_LIMIT = 160


def parse_pci_id(text: str) -> str:
    """The id of a sysfs attribute (vendor, device, subsystem_*) as four hex digits.

    >>> parse_pci_id("0x8086")
    '8086'
    """
    found = _SYSFS_ID.fullmatch(text)
    if found is None:
        raise ParseError("not a PCI id: {0!r}".format(clean(text, 32)))
    return found.group(1)


def pci_ids_name(text: str, vendor: str, device: str) -> str | None:
    """The device's name in a pci.ids, without the vendor's; None where it is not listed."""
    _require_ids(vendor, device)
    header = vendor + "  "
    at = 0 if text.startswith(header) else text.find("\n" + header) + 1
    end = text.find("\n", at)
    if end < 0 or not text.startswith(header, at):
        return None
    wanted = "\t" + device + "  "
    for line in _lines(text, end + 1):
        if line.startswith(wanted):
            return clean(line[len(wanted) :], _NAME_LIMIT) or None
        if line and line[0] not in "\t#":
            return None
    return None


def hwdb_name(text: str, vendor: str, device: str) -> str | None:
    """The device's name in the text form of udev's hardware database; None where it is not listed."""
    _require_ids(vendor, device)
    record = "\npci:v0000{0}d0000{1}*\n".format(vendor.upper(), device.upper())
    at = ("\n" + text).find(record)
    if at < 0:
        return None
    for line in _lines(text, at + len(record) - 1):
        if not line.startswith(" "):
            return None
        key, _separator, value = line.strip().partition("=")
        if key == "ID_MODEL_FROM_DATABASE":
            return clean(value, _NAME_LIMIT) or None
    return None


def udev_property(record: str, name: str) -> str | None:
    """One `E:` property of a file in /run/udev/data; None where it has none."""
    wanted = "E:" + name + "="
    for line in _lines(record, 0):
        if line.startswith(wanted):
            return clean(line[len(wanted) :], _NAME_LIMIT) or None
    return None


def _require_ids(*ids: str) -> None:
    for each in ids:
        if _ID.fullmatch(each) is None:
            raise ParseError("not a PCI id: {0!r}".format(clean(each, 32)))


def _lines(text: str, at: int) -> t.Iterator[str]:
    """Lines from an offset on, without a copy of the rest."""
    while 0 <= at < len(text):
        end = text.find("\n", at)
        if end < 0:
            end = len(text)
        yield text[at:end]
        at = end + 1
