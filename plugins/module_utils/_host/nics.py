# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Collects the network interfaces of a host: card, driver, firmware, and how they hang together.

Sources: sysfs (Documentation/ABI/testing/sysfs-class-net, sysfs-bus-pci and
sysfs-class-net-queues of the kernel), the ethtool ioctl, and pci.ids or udev
for the name of the card. Nothing here needs root.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from .._core.errors import ParseError
from .._core.firmware import parse_firmware
from .._core.pciids import hwdb_name, parse_pci_id, pci_ids_name, udev_property
from .._core.text import clean
from .base import DriverInfo, Host, Unreadable
from .firmware_files import FirmwareFiles

__all__ = ["collect_nics"]

_CLASS = "/sys/class/net"
_PCI_DEVICES = "/sys/bus/pci/devices"
_PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
_HWDB = ("/usr/lib/udev/hwdb.d/20-pci-vendor-model.hwdb", "/lib/udev/hwdb.d/20-pci-vendor-model.hwdb")
#: Intel's VMD controllers open PCI domains above ffff.
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5,31}")
_NUMBER = re.compile(r"-?[0-9]{1,10}")
#: Buses whose devices are parts of a PCI device and sit below it in the device tree.
_BELOW_PCI = frozenset(("virtio", "auxiliary"))

Facts = dict[str, t.Any]
_T = t.TypeVar("_T")


def collect_nics(host: Host) -> list[Facts]:
    """The interfaces of the host except the loopback, sorted by name.

    Each has the keys of `crashready.nics[]`; a value that could not be seen is
    None, with the reason under the same (dotted) name in `unread`. None without
    a reason means that there is none: no bond, no physical function, no PCI
    card behind a virtual interface. Raises Unreadable where the host shows no
    interfaces at all (no sysfs).
    """
    models, files = _Models(host), FirmwareFiles(host)
    names = [name for name in host.listdir(_CLASS) if name != "lo" and _is_interface(host, name)]
    return [_Interface(host, name, models, files).facts() for name in names]


def _is_interface(host: Host, name: str) -> bool:
    """The bonding driver keeps a plain file, bonding_masters, among the interfaces."""
    try:
        return host.lstat(posixpath.join(_CLASS, name)).kind in ("link", "directory")
    except Unreadable:
        return False


class _Seen:
    """Reads values one by one and keeps the reason of each that stayed unseen."""

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}

    def value(self, field: str, read: t.Callable[[], _T]) -> _T | None:
        try:
            return read()
        except Unreadable as exc:
            self.unread[field] = exc.reason
        except ParseError as exc:
            self.unread[field] = str(exc)
        return None


class _Interface(_Seen):
    """One interface of the host."""

    def __init__(self, host: Host, name: str, models: _Models, files: FirmwareFiles) -> None:
        super().__init__()
        self._host = host
        self._name = name
        self._models = models
        self._files = files
        self._base = posixpath.join(_CLASS, name)
        #: Where the device is, such as /sys/devices/pci0000:00/0000:00:03.0/virtio2; without one, why.
        self._device: str | None = None
        self._no_device = ""
        #: None where it could not be seen whether there is a device: that is no virtual interface yet.
        self._virtual: bool | None = None
        self._find_device()

    def facts(self) -> Facts:
        """The facts object; every read has its own guard, so one failure costs one field."""
        pci = self._pci()
        info = self.value("driver_info", lambda: self._host.driver_info(self._name))
        no_info = self.unread.pop("driver_info", "")
        link = self.value("link", self._read_link)
        module = self.value("module", self._read_module)
        return {
            "name": _shown(self._name, 64),
            "mac": self.value("mac", self._read_mac),
            "pci": pci,
            "driver": self.value("driver", lambda: self._read_driver(info)),
            "module": module,
            "driver_version": self.value("driver_version", lambda: _reported(info and info.version, no_info)),
            "firmware": self._firmware(info, no_info, pci["device"] if pci else None),
            "firmware_files": self.value("firmware_files", lambda: self._read_firmware_files(module)),
            "speed_mbps": self.value("speed_mbps", lambda: self._read_speed(link)),
            "link": link,
            "queues": self._queues(),
            "numa_node": self.value("numa_node", lambda: self._read_numa_node(pci)),
            "bonded_in": self._optional("bonded_in", self._read_bond),
            "virtual": self._virtual,
            "vf_of": self._optional("vf_of", self._read_physical_function),
            "unread": self.unread,
        }

    def _optional(self, field: str, read: t.Callable[[], _T]) -> _T | None:
        """A value where "not found" means that there is none, as long as the interface itself is there."""
        found = self.value(field, read)
        if self._virtual is not None and self.unread.get(field) == "not found":
            del self.unread[field]
        return found

    def _find_device(self) -> None:
        link = posixpath.join(self._base, "device")
        try:
            self._host.lstat(link)
        except Unreadable as exc:
            if exc.reason == "not found" and self._host.exists(self._base):
                self._virtual, self._no_device = True, "a virtual interface"
            else:
                self._no_device = self.unread["virtual"] = self.unread["pci"] = exc.reason
            return
        self._virtual, self._device = False, self._host.realpath(link)

    def _read_line(self, path: str) -> str:
        return self._host.read_line(posixpath.join(self._base, path))

    def _read_mac(self) -> str:
        text = self._read_line("address").lower()
        if _MAC.fullmatch(text) is None:
            raise ParseError("not a hardware address: {0!r}".format(clean(text, 48)) if text else "it has none")
        return text

    def _read_link(self) -> bool:
        text = self._while_up("carrier")
        if text not in ("0", "1"):
            raise ParseError("neither 0 nor 1: {0!r}".format(clean(text, 32)))
        return text == "1"

    def _read_speed(self, link: bool | None) -> int:
        speed = _number(self._while_up("speed"))
        if 0 < speed < 2**31:
            return speed
        raise ParseError("the link is down" if link is False else "the driver does not know it")

    def _while_up(self, attribute: str) -> str:
        """The kernel answers EINVAL for an interface that is not up (net-sysfs.c)."""
        try:
            return self._read_line(attribute)
        except Unreadable as exc:
            if exc.reason == "invalid argument":
                raise Unreadable(exc.path, "the interface is down") from exc
            raise

    def _read_driver(self, info: DriverInfo | None) -> str:
        """The bound driver; a virtual interface has none there and answers by ethtool alone."""
        if self._device is not None:
            return _shown(posixpath.basename(self._host.readlink(self._device + "/driver")), 64)
        name = clean(info.driver, 32) if info is not None else ""
        if not name:
            raise ParseError(self._no_device)
        return name

    def _read_module(self) -> str:
        if self._device is None:
            raise ParseError(self._no_device)
        # The link into /sys/bus must be resolved first: "module" lies in the driver's directory.
        driver = self._host.realpath(self._device + "/driver")
        try:
            return _shown(posixpath.basename(self._host.readlink(driver + "/module")), 64)
        except Unreadable as exc:
            if exc.reason == "not found" and self._host.exists(driver):
                raise ParseError("the driver is built into the kernel") from exc
            raise

    def _firmware(self, info: DriverInfo | None, no_info: str, device: str | None) -> Facts:
        if self._virtual:
            self.unread["firmware.raw"] = self.unread["firmware.parsed"] = self._no_device
            return {"raw": None, "parsed": None}
        raw = self.value("firmware.raw", lambda: _reported(info and info.firmware, no_info))
        parsed = self.value("firmware.parsed", lambda: _parsed_firmware(info, no_info, device))
        return {"raw": raw, "parsed": parsed}

    def _read_firmware_files(self, module: str | None) -> dict[str, bool]:
        if module is None:
            raise ParseError(self.unread["module"])
        return self._files.of(module)

    def _queues(self) -> Facts:
        counts = self.value("queues", lambda: self._host.channels(self._name))
        if counts is not None:
            return {key: counts[key] for key in ("rx", "tx", "combined", "other")}
        # Without ETHTOOL_GCHANNELS the directories tell receive and send queues, not how they share interrupts.
        reason = self.unread.pop("queues")
        listed = self.value("queues.rx", lambda: self._host.listdir(self._base + "/queues"))
        if listed is None:
            self.unread["queues.tx"] = self.unread["queues.rx"]
        self.unread["queues.combined"] = self.unread["queues.other"] = reason
        return {
            "rx": None if listed is None else sum(name.startswith("rx-") for name in listed),
            "tx": None if listed is None else sum(name.startswith("tx-") for name in listed),
            "combined": None,
            "other": None,
        }

    def _read_numa_node(self, pci: Facts | None) -> int:
        if self._device is None:
            raise ParseError(self._no_device)
        # virtio and auxiliary devices have no node of their own: ask the card.
        directory = posixpath.join(_PCI_DEVICES, pci["address"]) if pci else self._device
        node = _number(self._host.read_line(directory + "/numa_node"))
        if node < 0:
            raise ParseError("the platform names none")
        return node

    def _read_bond(self) -> str | None:
        """The bond above; a bridge or a team is a master too and is not meant."""
        master = posixpath.basename(self._host.readlink(self._base + "/master"))
        is_bond = self._host.exists(posixpath.join(_CLASS, master, "bonding"))
        return _shown(master, 64) if is_bond else None

    def _read_physical_function(self) -> str | None:
        if self._virtual is None:
            raise ParseError(self._no_device)
        if self._device is None:
            return None
        return _address(posixpath.basename(self._host.readlink(self._device + "/physfn")))

    def _pci(self) -> Facts | None:
        device = self._device
        if device is None:
            return None
        address = self.value("pci", lambda: self._read_address(device))
        return None if address is None else _pci_facts(self._host, address, self._models)

    def _read_address(self, device: str) -> str:
        parts = device.split("/")
        try:
            bus = posixpath.basename(self._host.readlink(device + "/subsystem"))
        except Unreadable:
            bus = "pci" if _PCI_ADDRESS.fullmatch(parts[-1]) else "unknown"
        if bus == "pci":
            return _address(parts[-1])
        if bus in _BELOW_PCI:
            for part in reversed(parts):
                if _PCI_ADDRESS.fullmatch(part):
                    return part
        raise ParseError("not a PCI device: its bus is {0!r}".format(_shown(bus, 32)))


def _pci_facts(host: Host, address: str, models: _Models) -> Facts:
    seen = _Seen()
    directory = posixpath.join(_PCI_DEVICES, address)

    def read_id(name: str) -> str | None:
        return seen.value(name, lambda: parse_pci_id(host.read_line(posixpath.join(directory, name))))

    vendor, device = read_id("vendor"), read_id("device")
    subsystem_vendor, subsystem_device = read_id("subsystem_vendor"), read_id("subsystem_device")
    if subsystem_vendor == "0000":  # PCI 3.0, 6.2.4: all zero means that the register is not implemented
        subsystem_vendor = subsystem_device = None
        seen.unread["subsystem_vendor"] = seen.unread["subsystem_device"] = "the card names none"
    return {
        "address": address,
        "vendor": vendor,
        "device": device,
        "subsystem_vendor": subsystem_vendor,
        "subsystem_device": subsystem_device,
        "model": seen.value("model", lambda: models.name(vendor, device, address)),
        "unread": seen.unread,
    }


class _Models:
    """Names of cards: from pci.ids, else from what udev found when it saw the card, else from udev's own list."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._texts: dict[str, str] = {}
        self._names: dict[tuple[str, str, str], str] = {}

    def name(self, vendor: str | None, device: str | None, address: str) -> str:
        """Raises ParseError where no list has the card."""
        if vendor is None or device is None:
            raise ParseError("the ids could not be read")
        key = (vendor, device, address)
        if key not in self._names:
            self._names[key] = self._look_up(vendor, device, address)
        return self._names[key]

    def _look_up(self, vendor: str, device: str, address: str) -> str:
        for path in _PCI_IDS:
            name = pci_ids_name(self._text(path), vendor, device)
            if name is not None:
                return name
        record = "/run/udev/data/+pci:" + address
        name = udev_property(self._text(record), "ID_MODEL_FROM_DATABASE")
        if name is not None:
            return name
        for path in _HWDB:
            name = hwdb_name(self._text(path), vendor, device)
            if name is not None:
                return name
        listed = any(self._text(path) for path in (*_PCI_IDS, *_HWDB))
        raise ParseError("not in the host's lists of PCI ids" if listed else "the host has no list of PCI ids")

    def _text(self, path: str) -> str:
        """A file, read once; empty where it cannot be read, since another one may have the name."""
        if path not in self._texts:
            try:
                self._texts[path] = self._host.read(path)
            except Unreadable:
                self._texts[path] = ""
        return self._texts[path]


def _parsed_firmware(info: DriverInfo | None, no_info: str, device: str | None) -> Facts:
    if info is None:
        raise ParseError(no_info)
    # The driver that wrote the text: mlx4_en where sysfs says mlx4_core.
    return parse_firmware(info.driver, info.firmware, device).as_facts()


def _reported(text: str | None, no_info: str) -> str:
    if text is None:
        raise ParseError(no_info)
    shown = clean(text, 64)
    if not shown:
        raise ParseError("the driver reports none")
    return shown


def _address(text: str) -> str:
    if _PCI_ADDRESS.fullmatch(text) is None:
        raise ParseError("not a PCI address: {0!r}".format(_shown(text, 48)))
    return text


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ParseError("not a number: {0!r}".format(clean(text, 32)))
    return int(text)


def _shown(name: str, limit: int) -> str:
    """A file name fit for facts; bytes that are not UTF-8 stand in it as lone surrogates."""
    return clean(name.encode("utf-8", "replace").decode("utf-8"), limit)
