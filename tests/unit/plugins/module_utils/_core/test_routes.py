# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Ways past a NIC that may be about to die; texts are those of iproute2 6.1."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.routes import (
    Route,
    checked_address,
    choose_way,
    nics_to_avoid,
    parse_neighbour,
    parse_routes,
)

GET = '[{"dst":"198.51.100.9","gateway":"192.0.2.1","dev":"eth0","prefsrc":"192.0.2.5","flags":[],"uid":0,"cache":[]}]'
SHOW = """[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},
{"dst":"default","gateway":"203.0.113.1","dev":"eth1","metric":100,"flags":[]},
{"dst":"198.51.100.0/24","nexthops":[{"gateway":"10.0.0.1","dev":"eth2","weight":1},{"via":{"family":"inet6",
"host":"fe80::1"},"dev":"eth3"}]}]"""
ETH0 = Route("eth0", "192.0.2.5", "192.0.2.1")


def test_what_ip_says() -> None:
    assert parse_routes(GET) == [ETH0._replace(length=32)]
    assert parse_routes(SHOW) == [
        Route("eth0", None, "192.0.2.1"),
        Route("eth1", None, "203.0.113.1", 0, 100),
        Route("eth2", None, "10.0.0.1", 24),
        Route("eth3", None, "fe80::1", 24),
    ]


@pytest.mark.parametrize("text", ["{", '{"dev": 1}', "[" * 5000, "7"])
def test_what_is_not_ip(text: str) -> None:
    with pytest.raises(ParseError):
        parse_routes(text)


@pytest.mark.parametrize("text", ["", "[]", '[{"dev": "../x"}, {"dev": 3}, 4, {"nexthops": [7]}]'])
def test_nothing_leads_there(text: str) -> None:
    assert parse_routes(text) == []


@pytest.mark.parametrize(
    ("avoided", "below", "device", "suspect", "usual"),
    [
        ([], {}, "eth0", False, True),
        (["eth9"], {}, "eth0", False, True),
        (["eth0"], {}, "eth2", False, False),
        (["eth0", "eth2", "eth3"], {}, "eth1", False, False),
        (["eth0", "eth1", "eth2", "eth3"], {}, "eth0", True, True),
        # Under a bond and a VLAN lies what is avoided.
        (["port1"], {"eth0": {"bond0", "port1", "port2"}}, "eth2", False, False),
        (["port1"], {"eth0": {"port1"}, "eth2": {"port1"}, "eth3": set()}, "eth3", False, False),
    ],
)
def test_way(avoided: list[str], below: dict[str, set[str]], device: str, suspect: bool, usual: bool) -> None:
    way = choose_way(ETH0, parse_routes(SHOW)[1:], avoided, below)
    assert (way.device, way.suspect, way.usual) == (device, suspect, usual)
    assert device in way.reason


def test_no_route_is_said() -> None:
    with pytest.raises(CoreError, match="no route"):
        choose_way(None, [], [], {})


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ('[{"dst":"192.0.2.1","lladdr":"52:54:00:12:34:56","state":["REACHABLE"]}]', "52:54:00:12:34:56"),
        ('[{"dst":"192.0.2.1","lladdr":"52:54:00:AB:CD:EF","state":["STALE"]}]', "52:54:00:ab:cd:ef"),
        ('[{"dst":"192.0.2.1","state":["FAILED"]}]', None),
        ('[{"dst":"192.0.2.1","lladdr":"52:54:00:12:34:56","state":["FAILED"]}]', None),
        ('[{"dst":"192.0.2.2","lladdr":"52:54:00:12:34:56","state":["REACHABLE"]}]', None),
        ('[{"dst":"192.0.2.1","lladdr":"00:00:00:00:00:00","state":["NOARP"]}]', None),
        ('[{"dst":"192.0.2.1","lladdr":"$(reboot)","state":["REACHABLE"]}]', None),
        ("[]", None),
    ],
)
def test_neighbour(text: str, mac: str | None) -> None:
    assert parse_neighbour(text, "192.0.2.1") == mac


@pytest.mark.parametrize("text", ["collector.example.org", "", "0.0.0.0", "224.0.0.1", "192.0.2.1/24", "1.2.3.4\n5"])
def test_only_an_address_is_one(text: str) -> None:
    with pytest.raises(CoreError):
        checked_address(text, "the receiver")


def test_avoided_are_bad_and_suspect_ones() -> None:
    verdicts = {"a": "bad", "b": "suspect", "c": "clear", "d": "unknown", "e": "waived"}
    assert nics_to_avoid({"nics": [{"name": name, "verdict": each} for name, each in verdicts.items()]}) == ["a", "b"]
