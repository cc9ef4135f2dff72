# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which hosts soak, what refuses one, what its program is told, and what is said of all."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import soak, soakprofile, soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.tests.unit.soak_seen import BOOT, ID, OTHER, looked

RACK = ["store1", "store2", "store3"]
PAIR = {"server": {"host": "store2", "nic": "enp3s0"}, "client": {"host": "store1", "nic": "enp4s0"}}
OFFER = {
    "boot_id": OTHER,
    "nic": {"name": "enp3s0", "addresses": [["192.0.2.2", 24]], "speed_mbps": 10000, "mtu": 1500},
}
ASKED = soak.Asked(
    "store1",
    "client",
    "enp3s0",
    "store2",
    soakprofile.make_profile("bulk"),
    120,
    consent="store1",
    soak_id=ID,
    experiment="store-rx",
    offer=OFFER,
)


def test_pairs() -> None:
    pairs = soak.pairs_from([PAIR], RACK)
    assert pairs == [soak.Pair(soak.End("store2", "enp3s0"), soak.End("store1", "enp4s0"))]
    assert soak.sides_of(pairs)["store1"] == {
        "side": "client",
        "nic": "enp4s0",
        "address": "",
        "peer": "store2",
        "peer_nic": "enp3s0",
        "peer_address": "",
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "no pair is named"),
        ([], "no pair is named"),
        ("store1", "no pair is named"),
        ([{}], "keys server and client"),
        ([{"server": {"host": "store1"}, "client": PAIR["client"]}], "host and nic"),
        ([{"server": {**PAIR["server"], "mtu": 1}, "client": PAIR["client"]}], "host and nic"),
        ([{"server": {"host": "a b", "nic": "x"}, "client": PAIR["client"]}], "no name of a host"),
        ([{"server": {"host": "store2", "nic": "../x"}, "client": PAIR["client"]}], "no name of a network interface"),
        ([{"server": {**PAIR["server"], "address": "store2"}, "client": PAIR["client"]}], "no IP address"),
        ([{"server": PAIR["server"], "client": {**PAIR["server"]}}], "both ends are store2"),
        ([{**PAIR, "server": {"host": "other", "nic": "x"}}], "other is no host of the inventory"),
        ([PAIR, {**PAIR, "client": {"host": "store3", "nic": "x"}}], "store2 is in more than one pair"),
    ],
)
def test_pairs_that_are_none(given: t.Any, told: str) -> None:
    with pytest.raises(CoreError, match=told):
        soak.pairs_from(given, RACK)


def test_nothing_stands_in_the_way() -> None:
    assert soak.find_blockers(looked(), ASKED) == []


def blockers(asked: soak.Asked = ASKED, **more: t.Any) -> dict[str, str]:
    found = soak.find_blockers(looked(**more), asked)
    assert all(each.remedy for each in found), "every refusal says what to do next"
    return {each.id: each.message for each in found}


FAR = {**OFFER, "nic": {**OFFER["nic"], "addresses": [["198.51.100.2", 24]]}}
HERE = {"id": "s-20261123T120000-ffff", "nic": "enp3s0", "address": "192.0.2.1", "peer": "store9"}


@pytest.mark.parametrize(
    ("asked", "more", "name", "told"),
    [
        (ASKED._replace(consent=None), {}, "no_consent", "nobody said yes"),
        (ASKED._replace(consent="all"), {}, "no_consent", "the yes is for 'all'"),
        (ASKED, {"euid": 1000}, "root", "needs root"),
        (ASKED, {"boot_id": None}, "boot_id", "cannot be read"),
        (ASKED, {"boot_id": OTHER}, "one_machine", "one machine"),
        (ASKED._replace(offer={}), {}, "no_peer", "did not answer"),
        (ASKED, {"applicable": False, "applicable_reason": "a container"}, "container", "kernel of its own"),
        (ASKED, {"armed": False}, "not_armed", "would be lost"),
        (ASKED, {"armed": None}, "not_armed", "would be lost"),
        (ASKED, {"nic": {"exists": False}}, "no_nic", "has no NIC enp3s0"),
        (ASKED, {"nic": {"up": False, "carrier": None}}, "down", "is down"),
        (ASKED, {"nic": {"carrier": False}}, "no_link", "no link"),
        (ASKED, {"nic": {"carrier": None}}, "no_link", "no link"),
        (ASKED, {"nic": {"addresses": []}}, "no_address", "no address that a peer"),
        (ASKED, {"nic": {"addresses": [], "unread": {"addresses": "no ip"}}}, "no_address", "cannot be read: no ip"),
        (ASKED._replace(address="192.0.2.77"), {}, "no_address", "does not have the address"),
        (ASKED._replace(offer=FAR), {}, "no_subnet", "one subnet"),
        (ASKED, {"routes": {"192.0.2.2": "enp1s0"}}, "route", "leaves by enp1s0 and not by enp3s0"),
        (ASKED, {"routes": {"192.0.2.2": None}}, "route", "no NIC at all"),
        (ASKED, {"management": {"devices": {"enp3s0": "the default route"}}}, "management", "carries the way"),
        (ASKED._replace(profile=soakprofile.make_profile("jumbo")), {}, "mtu", "needs an MTU of 9000"),
        (ASKED._replace(profile=soakprofile.make_profile("jumbo")), {"nic": {"mtu": None}}, "mtu", "cannot be read"),
        (
            ASKED._replace(profile=soakprofile.make_profile("udp", {"rate_mbps": 10001})),
            {"nic": {"speed_mbps": 40000}},
            "rate",
            "more than the link carries (10000",
        ),
        (ASKED, {"iperf3": False}, "iperf3", "not installed"),
        (ASKED, {"records": {"newest": None, "running": [HERE], "refused": {}}}, "running", "runs over enp3s0 now"),
    ],
)
def test_refused(asked: soak.Asked, more: dict[str, t.Any], name: str, told: str) -> None:
    found = blockers(asked, **more)
    assert list(found) == [name]
    assert told in found[name]


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (ASKED._replace(unarmed_ok=True), {"armed": False}),
        (ASKED._replace(management_ok=True), {"management": {"devices": {"enp3s0": "the default route"}}}),
        (ASKED, {"iperf3": None}),
        (ASKED, {"records": {"running": [{**HERE, "nic": "enp4s0"}, {**HERE, "id": ID}]}}),
        (ASKED._replace(profile=soakprofile.make_profile("jumbo")), {"nic": {"mtu": 9000}}),
    ],
)
def test_what_the_user_allowed_or_is_no_reason(asked: soak.Asked, more: dict[str, t.Any]) -> None:
    assert blockers(asked, **more) == {}


def test_all_reasons_are_said_at_once() -> None:
    found = blockers(ASKED._replace(consent=None), armed=False, nic={"carrier": False}, euid=7)
    assert set(found) == {"no_consent", "not_armed", "no_link", "root"}


def test_both_ends_choose_the_same_addresses() -> None:
    """By the order of the server's, whichever end asks."""
    server = [["198.51.100.2", 24], ["192.0.2.2", 24]]
    client = [["192.0.2.1", 24], ["198.51.100.1", 24]]
    mine = ASKED._replace(offer={**OFFER, "nic": {**OFFER["nic"], "addresses": server}})
    theirs = ASKED._replace(side="server", offer={**OFFER, "nic": {**OFFER["nic"], "addresses": client}})
    assert soak.addresses_of(looked(nic={"addresses": client}), mine) == ("198.51.100.1", "198.51.100.2")
    assert soak.addresses_of(looked(nic={"addresses": server}), theirs) == ("198.51.100.2", "198.51.100.1")


@pytest.mark.parametrize(
    "addresses",
    [
        None,
        5,
        [[]],
        [["x", 24]],
        [["192.0.2.2", 999]],
        [["192.0.2.2", 99]],
        [["192.0.2.2", "24"]],
        [["2001:db8::9%evil", 64]],
    ],
)
def test_the_word_of_the_peer_is_checked(addresses: t.Any) -> None:
    for nic in ({"addresses": addresses, "speed_mbps": "fast", "mtu": []}, addresses):
        asked = ASKED._replace(offer={**OFFER, "nic": nic})
        with pytest.raises(CoreError):
            soak.addresses_of(looked(), asked)
        soak.find_blockers(looked(), asked)


def test_the_same_address_twice_is_no_pair() -> None:
    with pytest.raises(CoreError, match="one subnet"):
        soak.choose_addresses([("192.0.2.1", 24)], [("192.0.2.1", 24)], "x")
    with pytest.raises(CoreError, match="one subnet"):
        soak.choose_addresses([("192.0.2.1", 24)], [("192.0.2.200", 30)], "x")


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_plan_is_read_back_as_a_record_that_begins() -> None:
    plan = soak.make_plan(looked(), ASKED, 1795439100.0)
    assert soak.parse_plan(soak.render_plan(plan)) == plan
    assert plan.speed_mbps == 10000
    record = plan.record
    assert (record["state"], record["elapsed_s"], record["samples"]) == ("running", 0, [])
    assert (record["address"], record["peer_address"]) == ("192.0.2.1", "192.0.2.2")
    assert (record["boot_id"], record["driver"], record["kernel_package"]) == (BOOT, "igb", None)
    assert record["unread"] == {"kernel_package": "of no package"}


def test_plan_has_the_rate_of_the_link() -> None:
    asked = ASKED._replace(profile=soakprofile.make_profile("udp"), seconds=600)
    assert soak.make_plan(looked(nic={"speed_mbps": 1000}), asked, 0).record["profile"]["rate_mbps"] == 800


@pytest.mark.parametrize("asked", [ASKED._replace(experiment="a b"), ASKED._replace(seconds=1)])
def test_plan_of_odd_values(asked: soak.Asked) -> None:
    with pytest.raises(CoreError):
        soak.make_plan(looked(), asked, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"record": {}, "speed_mbps": null}', "[" * 9999])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(ParseError):
        soak.parse_plan(text)


@pytest.mark.parametrize("profile", [{"name": "bulk", "streams": 9999}, {"name": "none"}, {"name": "bulk", "x": 1}])
def test_plan_with_another_profile_is_none(profile: dict[str, t.Any]) -> None:
    found = json.loads(soak.render_plan(soak.make_plan(looked(), ASKED, 0)))
    found["record"]["profile"] = profile
    with pytest.raises(ParseError):
        soak.parse_plan(json.dumps(found))


# --- how it ended -----------------------------------------------------------------------------------------------------

PANIC = {"outcome": "panic", "time_to_panic_s": 91.0, "dump": "/var/crash/1/dump.1", "reason": "Fatal exception"}
SILENT = {"outcome": "silent", "last_sample_s": 120.0, "reason": None}
GONE = {"outcome": "stopped", "reason": "the peer is gone"}
LOST = {"outcome": "lost", "reason": "no dump"}
RUNNING = {"outcome": "running", "reason": "it runs"}


@pytest.mark.parametrize(
    ("server", "client", "waited", "told", "failed"),
    [
        (SILENT, SILENT, True, "silent for 120 s", False),
        (PANIC, GONE, True, "store2 panicked after 91 s; its dump is /var/crash/1/dump.1", False),
        (GONE, {**PANIC, "dump": None}, True, "store1 panicked after 91 s; without a whole dump", False),
        (GONE, LOST, True, "lost on store1: no dump", True),
        (GONE, GONE, True, "stopped on store2: the peer is gone; stopped on store1: the peer is gone", True),
        (RUNNING, RUNNING, False, "running on store2", False),
        (RUNNING, RUNNING, True, "running on store2", True),
        (SILENT, None, True, "nothing was heard", True),
        (SILENT, {"outcome": "panic", "time_to_panic_s": "soon"}, True, "time_to_panic_s: 'soon'", True),
        (SILENT, "fine", True, "no outcome of a soak", True),
    ],
)
def test_what_is_told(server: t.Any, client: t.Any, waited: bool, told: str, failed: bool) -> None:
    pairs = soak.pairs_from([PAIR], RACK)
    found = soak.conclude(pairs, {"store2": {"outcome": server}, "store1": {"outcome": client}}, waited)
    assert told in found["told"][0]
    assert found["failed"] == (found["told"] if failed else [])
    assert found["panics"] == [
        each for each, one in (("store2", server), ("store1", client)) if one in (PANIC, {**PANIC, "dump": None})
    ]


def test_check_mode_tells_what_would_start_and_what_was_refused() -> None:
    pairs = soak.pairs_from([PAIR], RACK)
    assert soak.conclude(pairs, {}, True, check_mode=True)["told"] == [
        "store2 (enp3s0) and store1 (enp4s0): would start"
    ]
    refused = soak.conclude(pairs, {"store1": {"outcome": GONE}}, True, check_mode=True)
    assert refused["failed"] == ["store2 (enp3s0) and store1 (enp4s0): stopped on store1: the peer is gone"]


def test_unit_is_of_the_id() -> None:
    assert soak.unit_of(ID) == "crashready-soak@s-20261123T130500-0a1b.service"
    assert soakrecord.ID.fullmatch(ID)
