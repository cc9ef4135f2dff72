# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which NIC a packet to an address leaves by, and whether there is a way that spares a NIC which may be about to die.

The texts are those of `ip -json` (iproute2). Evidence of a dying NIC does not travel over that NIC.
"""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from .errors import CoreError, ParseError
from .text import clean

__all__ = [
    "Route",
    "Way",
    "best_first",
    "checked_address",
    "checked_interface",
    "choose_way",
    "nics_to_avoid",
    "parse_neighbour",
    "parse_routes",
]

_LIMIT = 1024
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,14}\Z")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
#: States of a neighbour whose address the kernel believes or believed (ip-neighbour(8)).
_USABLE = frozenset(("REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT", "NOARP"))


class Route(t.NamedTuple):
    """One route that leads to an address."""

    device: str
    source: str | None = None  #: address that the kernel would send from
    gateway: str | None = None
    length: int = 0  #: of the prefix; the longest wins
    metric: int = 0


class Way(t.NamedTuple):
    """The route to take. `suspect`: it crosses a NIC that was to be avoided, since there is no other."""

    device: str
    source: str | None
    gateway: str | None
    suspect: bool
    usual: bool  #: it is the one that the kernel takes by itself
    reason: str


def checked_address(text: str, what: str) -> str:
    """An IP address in its short form. Raises CoreError: a name would need a resolver at the worst moment."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError as exc:
        message = "{0}: {1!r} is no IP address; a name is not looked up when a host dies"
        raise CoreError(message.format(what, clean(text, 80))) from exc
    if found.is_unspecified or found.is_multicast:
        raise CoreError("{0}: {1} is not the address of one host".format(what, found))
    return str(found)


def checked_interface(name: str, what: str) -> str:
    """A name that a network interface can have. Raises CoreError."""
    if not _INTERFACE.match(name):
        raise CoreError("{0}: {1!r} is no name of a network interface".format(what, clean(name, 40)))
    return name


def parse_routes(text: str) -> list[Route]:
    """From `ip -json route get ADDRESS` or `ip -json route show to match ADDRESS`. Raises ParseError."""
    found: list[Route] = []
    for entry in _entries(text)[:_LIMIT]:
        hops = entry.get("nexthops")
        for hop in hops[:64] if isinstance(hops, list) else [entry]:
            if isinstance(hop, dict) and isinstance(hop.get("dev"), str) and _INTERFACE.match(hop["dev"]):
                found.append(_route(entry, hop))
    return found


def _entries(text: str) -> list[dict[str, t.Any]]:
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError) as exc:
        raise ParseError("ip -json: {0}".format(clean(str(exc), 120))) from exc
    if not isinstance(found, list):
        raise ParseError("ip -json gave no list")
    return [entry for entry in found if isinstance(entry, dict)]


def _route(entry: t.Mapping[str, t.Any], hop: t.Mapping[str, t.Any]) -> Route:
    via = hop.get("via")
    gateway = hop.get("gateway") or (via.get("host") if isinstance(via, dict) else None)
    metric = entry.get("metric")
    return Route(
        device=hop["dev"],
        source=_address(entry.get("prefsrc") or hop.get("prefsrc")),
        gateway=_address(gateway),
        length=_length(entry.get("dst")),
        metric=metric if isinstance(metric, int) and metric >= 0 else 0,
    )


def _address(value: t.Any) -> str | None:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _length(value: t.Any) -> int:
    """Of "default", "192.0.2.0/24" or an address alone."""
    try:
        return ipaddress.ip_network(str(value), strict=False).prefixlen
    except ValueError:
        return 0


def parse_neighbour(text: str, address: str) -> str | None:
    """The MAC of a neighbour from `ip -json neigh show`; None where the kernel does not know it. Raises ParseError."""
    for entry in _entries(text)[:_LIMIT]:
        states, mac = entry.get("state"), str(entry.get("lladdr") or "").lower()
        usable = not isinstance(states, list) or bool(_USABLE & {str(state) for state in states})
        if _address(entry.get("dst")) == address and usable and _MAC.match(mac) and mac != "00:00:00:00:00:00":
            return mac
    return None


def choose_way(
    usual: Route | None,
    others: t.Iterable[Route],
    avoided: t.Collection[str],
    below: t.Mapping[str, t.Collection[str]],
) -> Way:
    """The usual route where it spares the avoided NICs, else the best other one that does, else the usual with a word.

    `below` has the NICs under each bond, bridge or VLAN: a packet may leave by any of them. Raises CoreError where
    nothing leads there.
    """
    if usual is None:
        raise CoreError("no route leads there")
    crossed = _crossed(usual.device, avoided, below)
    if not crossed:
        told = "the usual route, over {0}".format(usual.device)
        return Way(usual.device, usual.source, usual.gateway, False, True, told)
    for route in best_first(others):
        if not _crossed(route.device, avoided, below):
            told = "over {0}, since the usual route crosses {1}, whose pairing is not clear".format(
                route.device, ", ".join(crossed)
            )
            return Way(route.device, route.source, route.gateway, False, False, told)
    told = "over {0}: it crosses {1}, whose pairing is not clear, and there is no other way".format(
        usual.device, ", ".join(crossed)
    )
    return Way(usual.device, usual.source, usual.gateway, True, True, told)


def best_first(routes: t.Iterable[Route]) -> list[Route]:
    """In the order in which the kernel would take them: the longest prefix, then the lowest metric."""
    return sorted(routes, key=lambda route: (-route.length, route.metric, route.device))


def _crossed(device: str, avoided: t.Collection[str], below: t.Mapping[str, t.Collection[str]]) -> list[str]:
    return sorted({device, *below.get(device, ())} & set(avoided))


def nics_to_avoid(judged: t.Mapping[str, t.Any]) -> list[str]:
    """Names of the NICs whose pairing is bad or suspect, from one host of `judge.judge_host`."""
    return sorted(str(nic["name"]) for nic in judged["nics"] if nic["verdict"] in ("bad", "suspect"))
