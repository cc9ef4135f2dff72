# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a soak has to know of a host: before it (its NIC, the way to the peer, what must not be touched) and during it.

Sources: sysfs (Documentation/ABI/testing/sysfs-class-net, -class-net-statistics, Documentation/hwmon/sysfs-interface
of the kernel), /proc/interrupts, the ethtool ioctl, `ip -json` of iproute2.
"""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from .._core import routes, soakrecord
from .._core.errors import ParseError
from .._core.soakwatch import Sample, Sensor, damage_counters, parse_interrupts
from .._core.text import clean
from .base import Host, Unreadable, look
from .drill import boot_id
from .routes import interfaces, lower_devices

__all__ = [
    "read_record",
    "route_device",
    "see_management",
    "see_nic",
    "see_records",
    "see_sample",
    "ssh_address",
    "unit_runs",
]

Seen = dict[str, t.Any]

_NET = "/sys/class/net"
_HWMON = "/sys/class/hwmon"
_INTERRUPTS = "/proc/interrupts"
_OTHERS_LIMIT = 256
_SENSORS_LIMIT = 128
_RECORDS_LIMIT = 2000
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z")
_ANCESTORS = 24


def _number(host: Host, path: str) -> int:
    """Raises Unreadable."""
    text = host.read_line(path)
    if not _NUMBER.match(text):
        raise Unreadable(path, "no number: {0!r}".format(clean(text, 40)))
    return int(text)


# --- during it --------------------------------------------------------------------------------------------------------


def see_sample(host: Host, nic: str, at_s: float) -> Sample:
    """One look at the host while the soak runs."""
    return Sample(
        at_s=at_s,
        statistics=look({}, "statistics", _statistics, host, nic),
        link_changes=look({}, "link_changes", _number, host, "{0}/{1}/carrier_changes".format(_NET, nic)),
        ethtool=look({}, "ethtool", host.statistics, nic),
        interrupts=look({}, "interrupts", _interrupts, host, nic),
        sensors=tuple(_sensors(host, nic)),
        others=_others(host, nic),
    )


def _statistics(host: Host, nic: str) -> dict[str, int]:
    folder = "{0}/{1}/statistics".format(_NET, nic)
    found: dict[str, int] = {}
    for name in host.listdir(folder)[:64]:
        found[name] = _number(host, "{0}/{1}".format(folder, name))
    return found


def nic_bytes(host: Host, nic: str) -> int | None:
    """What the NIC has counted, in and out; None where that cannot be read."""
    folder = "{0}/{1}/statistics".format(_NET, nic)
    counts = [look({}, name, _number, host, "{0}/{1}".format(folder, name)) for name in ("rx_bytes", "tx_bytes")]
    return None if None in counts else sum(count or 0 for count in counts)


def _interrupts(host: Host, nic: str) -> dict[str, int]:
    """The vectors of its device by number, and what names the NIC."""
    device = "{0}/{1}/device".format(_NET, nic)
    words = [nic]
    numbers: set[str] = set()
    # A virtio NIC is a child of the PCI device that has the vectors.
    for folder in (device, device + "/.."):
        numbers.update(look({}, "msi_irqs", host.listdir, folder + "/msi_irqs") or [])
        numbers.update(str(number) for number in [look({}, "irq", _number, host, folder + "/irq")] if number)
        if numbers:
            break
    return parse_interrupts(host.read(_INTERRUPTS, 4 * 1024 * 1024), numbers, words)


def _others(host: Host, nic: str) -> dict[str, int]:
    """Damage of the other NICs that have a device."""
    found: dict[str, int] = {}
    for name in interfaces(host)[:_OTHERS_LIMIT]:
        if name == nic or not host.exists("{0}/{1}/device".format(_NET, name)):
            continue
        counts = look({}, name, _statistics, host, name)
        if counts is not None:
            found[name] = damage_counters(counts)
    return found


def _sensors(host: Host, nic: str) -> t.Iterator[Sensor]:
    """temp*_input of every hwmon device, in thousandths of a degree."""
    own = host.realpath("{0}/{1}/device".format(_NET, nic))
    count = 0
    for chip in look({}, "hwmon", host.listdir, _HWMON) or []:
        folder = "{0}/{1}".format(_HWMON, chip)
        of_nic = host.realpath(folder).startswith(own + "/")
        for file in look({}, chip, host.listdir, folder) or []:
            match = re.match(r"(temp[0-9]{1,3})_input\Z", file)
            value = look({}, file, _number, host, "{0}/{1}".format(folder, file)) if match else None
            if match is None or value is None or not -100_000 <= value <= 300_000:
                continue
            count += 1
            if count > _SENSORS_LIMIT:
                return
            name = look({}, "name", host.read_line, folder + "/name") or chip
            limit_c = _limit(host, "{0}/{1}".format(folder, match.group(1)))
            yield Sensor(clean("{0} {1}".format(name, match.group(1)), 60), value / 1000.0, limit_c, of_nic)


def _limit(host: Host, stem: str) -> float | None:
    """The sensor's crit, else its max. Zero and below, and what melts, are values that nobody set."""
    for suffix in ("_crit", "_max"):
        value = look({}, suffix, _number, host, stem + suffix)
        if value is not None and 20_000 <= value <= 200_000:
            return value / 1000.0
    return None


# --- before it --------------------------------------------------------------------------------------------------------


def see_nic(host: Host, nic: str) -> Seen:
    """The NIC that is named: {name, exists, up, carrier, mtu, speed_mbps, addresses [[text, bits]], lower, unread}."""
    unread: dict[str, str] = {}
    base = "{0}/{1}".format(_NET, nic)
    exists = host.exists(base)
    flags = look(unread, "up", host.read_line, base + "/flags") if exists else None
    speed = look(unread, "speed_mbps", _number, host, base + "/speed") if exists else None
    carrier = look(unread, "carrier", _number, host, base + "/carrier") if exists else None
    return {
        "name": nic,
        "exists": exists,
        # IFF_UP of include/uapi/linux/if.h
        "up": bool(int(flags, 16) & 1) if flags and re.fullmatch(r"0x[0-9a-fA-F]{1,8}", flags) else None,
        "carrier": None if carrier is None else carrier == 1,
        "mtu": look(unread, "mtu", _number, host, base + "/mtu") if exists else None,
        # -1 is what a NIC says that does not know it.
        "speed_mbps": speed if speed is not None and 0 < speed < 1 << 31 else None,
        "addresses": (look(unread, "addresses", _addresses, host, nic) or []) if exists else [],
        "lower": sorted(lower_devices(host, nic)) if exists else [],
        "unread": unread,
    }


def _addresses(host: Host, nic: str) -> list[list[t.Any]]:
    """Those that a peer in the same subnet can reach; a link-local one of IPv6 means something on its wire alone."""
    done = host.run(["ip", "-json", "address", "show", "dev", nic], timeout_s=20)
    if done.rc != 0:
        raise Unreadable("ip address show", clean(done.err, 160) or "rc {0}".format(done.rc))
    try:
        found = json.loads(done.out or "[]")
        entries = [entry for each in found for entry in each.get("addr_info", [])][:256]
        pairs = [(ipaddress.ip_address(entry["local"]), entry["prefixlen"]) for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Unreadable("ip address show", "not what iproute2 prints") from exc
    return [
        [str(address), length]
        for address, length in pairs
        if isinstance(length, int) and not (address.version == 6 and address.is_link_local)
    ]


def route_device(host: Host, address: str) -> str | None:
    """The NIC by which the kernel itself sends to an address; None where no way leads there. Raises Unreadable."""
    done = host.run(["ip", "-json", "route", "get", address], timeout_s=20)
    if done.rc != 0:
        if "nreachable" in done.err or "No route" in done.err:
            return None
        raise Unreadable("ip route get {0}".format(address), clean(done.err, 160) or "rc {0}".format(done.rc))
    try:
        found = routes.parse_routes(done.out)
    except ParseError as exc:
        raise Unreadable("ip route get {0}".format(address), str(exc)) from exc
    return found[0].device if found else None


def ssh_address(host: Host, process: str = "self") -> str | None:
    """The address of this host at which the SSH connection ends that we came by; None where it is none.

    sudo takes SSH_CONNECTION out of the environment, so that of the processes above is read.
    """
    for _step in range(_ANCESTORS):
        folder = "/proc/{0}".format(process)
        text = look({}, "environ", host.read_bytes, folder + "/environ", 256 * 1024) or b""
        match = re.search(rb"(?:\A|\0)SSH_CONNECTION=([^\0]{1,200})(?:\0|\Z)", text)
        if match:
            words = match.group(1).decode("ascii", "replace").split()
            try:
                return str(ipaddress.ip_address(words[2].partition("%")[0])) if len(words) == 4 else None
            except ValueError:
                return None
        status = look({}, "status", host.read, folder + "/status", 16 * 1024) or ""
        parent = re.search(r"^PPid:\s+([0-9]{1,10})$", status, re.M)
        if parent is None or parent.group(1) in ("0", "1"):
            return None
        process = parent.group(1)
    return None


def see_management(host: Host, peers_of_ansible: t.Sequence[str] = ()) -> Seen:
    """{devices: {name: why}, unread}: the NICs that carry the way to this host."""
    unread: dict[str, str] = {}
    devices: dict[str, str] = {}
    for family, target in (("-4", "default"), ("-6", "default")):
        for route in look(unread, "default route " + family, _default_routes, host, family, target) or []:
            devices.setdefault(route.device, "the default route leaves by it")
    for address in (ssh_address(host), *peers_of_ansible):
        if address is None:
            continue
        for name in _holders(host, address):
            devices[name] = "Ansible comes in by its address {0}".format(address)
    for name, why in list(devices.items()):
        for lower in lower_devices(host, name):
            devices.setdefault(lower, "{0} lies on it, and {1}".format(name, why))
    return {"devices": devices, "unread": unread}


def _default_routes(host: Host, family: str, target: str) -> list[routes.Route]:
    done = host.run(["ip", "-json", family, "route", "show", target], timeout_s=20)
    if done.rc != 0:
        raise Unreadable("ip route show default", clean(done.err, 160) or "rc {0}".format(done.rc))
    try:
        return routes.parse_routes(done.out)
    except ParseError as exc:
        raise Unreadable("ip route show default", str(exc)) from exc


def _holders(host: Host, address: str) -> list[str]:
    """The NICs that have an address."""
    done = host.run(["ip", "-json", "address", "show", "to", address], timeout_s=20)
    try:
        found = json.loads(done.out or "[]") if done.rc == 0 else []
        names = [each.get("ifname") for each in found if isinstance(each, dict) and each.get("addr_info")]
    except (ValueError, TypeError, RecursionError):
        return []
    return [str(name)[:16] for name in names if isinstance(name, str)]


# --- records ----------------------------------------------------------------------------------------------------------


def read_record(host: Host, soak_id: str) -> Seen | None:
    """The record of a soak; None where the host has none. Raises ParseError and Unreadable."""
    try:
        text = host.read(soakrecord.record_path(soak_id), soakrecord.LIMIT_BYTES + 1)
    except Unreadable as exc:
        if exc.reason == "not found":
            return None
        raise
    return soakrecord.parse(text)


def unit_runs(host: Host, unit: str) -> bool | None:
    """Whether systemd runs it now, or is about to; None where nobody can say."""
    try:
        done = host.run(["systemctl", "show", "--property=ActiveState", "--value", unit], timeout_s=20)
    except Unreadable:
        return None
    state = done.out.strip()
    if done.rc != 0 or not state:
        return None
    return state in ("active", "activating", "deactivating", "reloading")


def see_records(host: Host, unit_of: t.Callable[[str], str]) -> Seen:
    """{newest: id or null, running: [{id, nic, address, peer}], refused: {id: reason}}.

    Running is what says so in a record of this boot and whose unit runs.
    """
    running: list[dict[str, t.Any]] = []
    refused: dict[str, str] = {}
    names = (look({}, "records", host.listdir, soakrecord.FOLDER) or [])[-_RECORDS_LIMIT:]
    now = look({}, "boot_id", boot_id, host)
    for name in names:
        soak_id = name[: -len(".json")]
        if not name.endswith(".json") or not soakrecord.ID.fullmatch(soak_id):
            continue
        try:
            record = read_record(host, soak_id)
        except (ParseError, Unreadable) as exc:
            refused[soak_id] = clean(str(exc), 200)
            continue
        if record and record["state"] == "running" and record["boot_id"] == now and unit_runs(host, unit_of(soak_id)):
            running.append({key: record[key] for key in ("id", "nic", "address", "peer")})
    return {"newest": soakrecord.newest_id(names), "running": running, "refused": refused}
