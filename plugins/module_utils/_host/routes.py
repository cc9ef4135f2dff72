# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Asks a host for its ways to an address."""

from __future__ import annotations

import ipaddress
import typing as t

from .._core import routes
from .._core.errors import CoreError, ParseError
from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["carrier", "find_way", "interfaces", "lower_devices", "neighbour"]

_NET = "/sys/class/net/"
_DEPTH = 6
_DEVICES_LIMIT = 4096


def interfaces(host: Host) -> list[str]:
    """Names of the network interfaces, without the loopback; [] where they cannot be seen."""
    try:
        return [name for name in host.listdir(_NET) if name != "lo"][:_DEVICES_LIMIT]
    except Unreadable:
        return []


def carrier(host: Host, device: str) -> bool | None:
    """Whether a NIC has a link; None where it does not say."""
    try:
        return host.read_line("{0}{1}/carrier".format(_NET, device)) == "1"
    except Unreadable:
        return None


def lower_devices(host: Host, device: str) -> set[str]:
    """Every interface under a bond, bridge or VLAN, by the links lower_* that the kernel makes."""
    found: set[str] = set()
    todo = [(device, 0)]
    while todo:
        name, depth = todo.pop()
        try:
            entries = host.listdir(_NET + name) if depth < _DEPTH else []
        except Unreadable:
            continue
        for entry in entries:
            if entry.startswith("lower_") and entry[6:] not in found and len(found) < _DEVICES_LIMIT:
                found.add(entry[6:])
                todo.append((entry[6:], depth + 1))
    return found


def find_way(host: Host, address: str, avoided: t.Collection[str] = (), only: str | None = None) -> routes.Way:
    """The way to an address that spares `avoided`; with `only` the one over that interface, wherever it leads.

    Raises CoreError where no route leads there, Unreadable where `ip` cannot be run.
    """
    if only is not None:
        route = _get(host, address, ["oif", only])
        if route is None:
            raise CoreError("no route leads to {0} over {1}".format(address, only))
        suspect = bool(({only} | lower_devices(host, only)) & set(avoided))
        told = "over {0}, as it was asked for".format(only)
        return routes.Way(only, route.source, route.gateway, suspect, True, told)
    usual = _get(host, address)
    others = [route for route in _show(host, address) if usual is None or route.device != usual.device]
    others = [route for route in others if carrier(host, route.device) is not False]
    # The kernel keeps a route whose NIC has lost its link, and sends into nothing.
    dead = usual is not None and bool(others) and carrier(host, usual.device) is False
    if dead:
        usual, *others = routes.best_first(others)
    devices = {route.device for route in others} | ({usual.device} if usual else set())
    way = routes.choose_way(usual, others, avoided, {name: lower_devices(host, name) for name in devices})
    if dead:
        way = way._replace(usual=False)
    if way.source is None:
        over = _get(host, address, ["oif", way.device])
        way = way._replace(source=over.source if over else None)
    return way


def _get(host: Host, address: str, more: t.Sequence[str] = ()) -> routes.Route | None:
    found = _ip(host, ["route", "get", address, *more])
    return found[0] if found else None


def _show(host: Host, address: str) -> list[routes.Route]:
    family = "-6" if ipaddress.ip_address(address).version == 6 else "-4"
    return _ip(host, ["route", "show", "to", "match", address], family)


def _ip(host: Host, words: t.Sequence[str], *options: str) -> list[routes.Route]:
    done = host.run(["ip", "-json", *options, *words], timeout_s=20)
    if done.rc != 0:
        # "Network is unreachable" is an answer; it ends with 2.
        if "nreachable" in done.err or "No route" in done.err:
            return []
        raise Unreadable("ip " + " ".join(words), clean(done.err, 160) or "rc {0}".format(done.rc))
    try:
        return routes.parse_routes(done.out)
    except ParseError as exc:
        raise Unreadable("ip " + " ".join(words), str(exc)) from exc


def neighbour(host: Host, device: str, address: str) -> str | None:
    """The MAC of a neighbour, as far as the kernel knows it now. Raises Unreadable."""
    done = host.run(["ip", "-json", "neigh", "show", "to", address, "dev", device], timeout_s=20)
    if done.rc != 0:
        raise Unreadable("ip neigh show", clean(done.err, 160) or "rc {0}".format(done.rc))
    try:
        return routes.parse_neighbour(done.out, address)
    except ParseError as exc:
        raise Unreadable("ip neigh show", str(exc)) from exc
