# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How well a host is: what a kernel trial is judged by before and after its boot."""

from __future__ import annotations

import json
import re
import typing as t

from .._core.text import clean
from .base import Host, Unreadable, look
from .capture import collect_capture

__all__ = ["collect_health"]

_NICS_LIMIT = 256
_ADDRESSES_LIMIT = 64
_UNITS_LIMIT = 256
#: What container engines and hypervisors put up and take down as they please.
_PASSING = re.compile(r"(?:veth|tap|vnet|fwbr|fwln|fwpr|docker|br-[0-9a-f]{12}|virbr|cni|flannel|cali|lxc|podman)")

Facts = dict[str, t.Any]


def collect_health(host: Host, kernel: t.Mapping[str, t.Any]) -> Facts:
    """{release, boot_id, nics, default_routes, failed_units, system_state, armed, capture_problems, unread}.

    - `nics`: [{name, kind, mac, link, addresses}] with kind physical, bond, bridge or vlan; interfaces of containers
      and guests are left out. `link` is None for an interface that is down, `addresses` are [{address, fixed}],
      without those that every boot makes anew
    - `default_routes`: [{family, interface}]
    - `failed_units`: names; None with the reason in `unread`, like every other field
    - `capture_problems`: [{id, severity, message, remedy}]
    """
    unread: dict[str, str] = {}
    capture = collect_capture(host, kernel)
    addresses = look(unread, "addresses", _addresses, host)
    return {
        "release": kernel["release"],
        "boot_id": look(unread, "boot_id", host.read_line, "/proc/sys/kernel/random/boot_id"),
        "nics": look(unread, "nics", _nics, host, addresses or {}),
        "default_routes": _default_routes(host, unread),
        "failed_units": look(unread, "failed_units", _failed_units, host),
        "system_state": look(unread, "system_state", _system_state, host),
        "armed": capture["armed"],
        "capture_problems": [
            {key: problem[key] for key in ("id", "severity", "message", "remedy")} for problem in capture["problems"]
        ],
        "unread": unread,
    }


def _nics(host: Host, addresses: t.Mapping[str, list[Facts]]) -> list[Facts]:
    found = []
    for name in host.listdir("/sys/class/net")[: _NICS_LIMIT * 8]:
        kind = _kind(host, name)
        if kind is None:
            continue
        found.append(
            {
                "name": clean(name, 32),
                "kind": kind,
                # A port of a bond shows the bond's address; which port that is from may change.
                "mac": _line(host, name, "bonding_slave/perm_hwaddr") or _line(host, name, "address"),
                "link": {"1": True, "0": False}.get(_line(host, name, "carrier") or ""),
                "addresses": addresses.get(name, []),
            }
        )
    return found[:_NICS_LIMIT]


def _kind(host: Host, name: str) -> str | None:
    path = "/sys/class/net/" + name
    if name == "lo" or name == "bonding_masters" or _PASSING.match(name):
        return None
    if host.exists(path + "/device"):
        # A virtual function gets a MAC of its own with each boot, and comes and goes with guests.
        return None if host.exists(path + "/device/physfn") else "physical"
    for kind, mark in (("bond", "/bonding"), ("bridge", "/bridge")):
        if host.exists(path + mark):
            return kind
    return "vlan" if host.exists("/proc/net/vlan/" + name) else None


def _line(host: Host, name: str, field: str) -> str | None:
    try:
        return clean(host.read_line("/sys/class/net/{0}/{1}".format(name, field)), 64) or None
    except Unreadable:
        return None  # `carrier` of an interface that is down cannot be read


def _addresses(host: Host) -> dict[str, list[Facts]]:
    """By `ip -j address`: /proc does not tell which addresses belong to which IPv4 interface."""
    done = host.run(["ip", "-j", "address", "show"], timeout_s=30)
    try:
        rows = json.loads(done.out) if done.rc == 0 else None
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list):
        raise Unreadable("ip address", clean(done.err, 80) or "ended with {0}".format(done.rc))
    found: dict[str, list[Facts]] = {}
    for row in rows[: _NICS_LIMIT * 8]:
        if isinstance(row, dict) and isinstance(row.get("ifname"), str) and isinstance(row.get("addr_info"), list):
            entries = [_address(entry) for entry in row["addr_info"][:_ADDRESSES_LIMIT] if isinstance(entry, dict)]
            found[row["ifname"]] = [entry for entry in entries if entry]
    return found


def _address(entry: t.Mapping[str, t.Any]) -> Facts | None:
    local, length = entry.get("local"), entry.get("prefixlen")
    if not isinstance(local, str) or not isinstance(length, int) or entry.get("scope") == "link":
        return None
    if entry.get("temporary") or entry.get("deprecated"):
        return None
    return {"address": clean("{0}/{1}".format(local, length), 64), "fixed": not entry.get("dynamic")}


def _default_routes(host: Host, unread: dict[str, str]) -> list[Facts]:
    """/proc/net/route and ipv6_route: destination and mask 0, through an interface that is up (RTF_UP)."""
    found: list[Facts] = []
    text = look(unread, "routes", host.read, "/proc/net/route", 1024 * 1024) or ""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000" and _up(fields[3]):
            found.append({"family": 4, "interface": clean(fields[0], 32)})
    # No file where IPv6 is off: there is no such route then.
    text = look({}, "routes", host.read, "/proc/net/ipv6_route", 4 * 1024 * 1024) or ""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo" and _up(fields[8]):
            found.append({"family": 6, "interface": clean(fields[9], 32)})
    return [route for index, route in enumerate(found) if route not in found[:index]][:_ADDRESSES_LIMIT]


def _up(flags: str) -> bool:
    try:
        return bool(int(flags, 16) & 1)
    except ValueError:
        return False


def _failed_units(host: Host) -> list[str]:
    argv = ["systemctl", "list-units", "--failed", "--all", "--plain", "--no-legend", "--no-pager"]
    done = host.run(argv, timeout_s=60)
    if done.rc != 0:
        raise Unreadable("systemctl list-units", clean(done.err, 80) or "ended with {0}".format(done.rc))
    names = [line.split()[0] for line in done.out.splitlines() if line.split()]
    return [clean(name, 256) for name in names[:_UNITS_LIMIT]]


def _system_state(host: Host) -> str:
    """running, degraded, starting, ...; the exit code says no more than the word (systemctl(1))."""
    return clean(host.run(["systemctl", "is-system-running"], timeout_s=60).out, 40)
