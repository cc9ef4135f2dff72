# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The order of a rollout, and its gate."""

from __future__ import annotations

import sys
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.rollout import (
    Candidate,
    Plan,
    can_be_ordered,
    judge_gate,
    look_of,
    pairing_of,
    parse_batches,
    parse_canaries,
    plan_waves,
)

ONE = parse_batches("1")


def hosts(*names: str, pairing: str = "ixgbe", **more: t.Any) -> list[Candidate]:
    return [Candidate(name, pairing, **more) for name in names]


def waves(plan: Plan) -> list[tuple[str, ...]]:
    return [wave.hosts for wave in plan.waves]


def test_one_canary_for_each_pairing_the_largest_first() -> None:
    plan = plan_waves([*hosts("a", pairing="small"), *hosts("b", "c", "d")], ONE)
    assert waves(plan) == [("b",), ("a",), ("c",), ("d",)]
    assert [wave.kind for wave in plan.waves] == ["canary", "canary", "batch", "batch"]
    assert plan.positions["b"].reason == "canary 1 of 3 hosts with ixgbe"
    assert plan.positions["a"].reason == "the only host with small"


def test_canaries_are_of_different_groups_and_racks() -> None:
    candidates = [
        *hosts("a1", groups=("storage",), rack="A"),
        *hosts("a2", groups=("storage",), rack="A", pairing="other"),
        *hosts("a3", groups=("web",), rack="A", pairing="other"),
        *hosts("b1", groups=("mail",), rack="B", pairing="other"),
        *hosts("c1", "c2", groups=("x",)),
    ]
    plan = plan_waves(candidates, ONE)
    assert waves(plan)[:2] == [("a1",), ("b1",)]
    first = [*hosts("a1", "a2", groups=("storage",)), *hosts("b1", groups=("storage",), pairing="other")]
    plan = plan_waves([*first, *hosts("b2", groups=("web",), pairing="other")], ONE)
    assert waves(plan)[:2] == [("a1",), ("b2",)], "not beside a host that stands in for the canary before"
    same = plan_waves(hosts("a", "b", groups=("storage",)), ONE, canaries=2)
    assert waves(same) == [("a",), ("b",)], "where there is no other choice"


def test_what_was_not_seen_is_like_nothing_else() -> None:
    plan = plan_waves([Candidate("a", None), Candidate("b", None)], parse_batches("8"))
    assert waves(plan) == [("a",), ("b",)]


def test_batches_grow_and_never_take_two_of_a_group() -> None:
    names = ["h{0:02d}".format(number) for number in range(20)]
    candidates = [Candidate(name, "p", "A", ("pair{0}".format(at // 2),)) for at, name in enumerate(names)]
    plan = plan_waves(candidates, parse_batches("1,2,4,25%"))
    assert [len(wave) for wave in waves(plan)] == [1, 1, 2, 4, 5, 5, 2]
    groups = {each.host: each.groups for each in candidates}
    for wave in waves(plan):
        assert len({groups[name] for name in wave}) == len(wave)
    assert sorted(name for wave in waves(plan) for name in wave) == names


def test_a_host_of_two_groups_keeps_both_apart() -> None:
    candidates = [
        *hosts("a", groups=("x",)),
        *hosts("b", groups=("y",)),
        *hosts("c", groups=("x", "y")),
        *hosts("d"),
    ]
    plan = plan_waves(candidates, parse_batches("9"), canaries=0)
    assert waves(plan) == [("a", "d"), ("b",), ("c",)]
    assert "after b of its redundancy group x, y (wave 2)" in plan.positions["c"].reason


def test_rack_by_rack() -> None:
    candidates = [Candidate(name, "p", rack) for name, rack in (("a", "1"), ("b", "2"), ("c", "1"), ("d", "2"))]
    plan = plan_waves(candidates, parse_batches("2"), canaries=0)
    assert waves(plan) == [("a", "c"), ("b", "d")]
    assert plan.positions["c"].reason == "batch 1; rack 1"


def test_hosts_of_other_windows_go_in_other_batches_the_open_one_first() -> None:
    late, early = ("Sun 01:00-02:00",), ("Sat 01:00-02:00",)
    candidates = [
        *hosts("a", "b", windows=late, opens_in_s=90000),
        *hosts("c", "d", windows=early, opens_in_s=3600),
        *hosts("e"),
    ]
    plan = plan_waves(candidates, parse_batches("9"))
    assert waves(plan) == [("e",), ("c", "d"), ("a", "b")]
    assert plan.positions["a"].reason == "batch 2; window Sun 01:00-02:00"


def test_who_stays() -> None:
    candidates = [
        *hosts("a", left="no yes"),
        *hosts("b", groups=("g",), answers=False, left="it did not answer"),
        *hosts("c", groups=("g",)),
        *hosts("d"),
    ]
    plan = plan_waves(candidates, ONE)
    assert waves(plan) == [("d",)]
    assert plan.left["a"] == "no yes"
    assert plan.left["c"] == "b, which stands in for it (redundancy group g), does not answer"


def test_nobody() -> None:
    assert plan_waves([], ONE) == Plan((), {}, {})


def _calls(count: int, one_group: bool) -> int:
    """How many functions are entered to plan so many hosts."""
    candidates = [
        Candidate(
            "h{0}".format(number),
            "p{0}".format(number % 7),
            "rack{0}".format(number % 40),
            ("one",) if one_group else ("pair{0}".format(number // 2),),
        )
        for number in range(count)
    ]
    seen = 0

    def count_one(_frame: t.Any, event: str, _arg: t.Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_one)
    try:
        plan = plan_waves(candidates, parse_batches("1,2,4,5%"))
    finally:
        sys.setprofile(before)
    assert sum(len(wave.hosts) for wave in plan.waves) == count
    return seen


@pytest.mark.parametrize("one_group", [False, True])
def test_ten_times_the_hosts_cost_ten_times_the_work(one_group: bool) -> None:
    assert _calls(10_000, one_group) < 12 * _calls(1000, one_group)


@pytest.mark.parametrize(
    ("value", "sizes"),
    [("1,2,4,25%", [1, 2, 4, 10]), ([1, "10%"], [1, 4]), (3, [3]), ("100%", [40]), ("1%", [1]), (" 2 , 3 ", [2, 3])],
)
def test_sizes(value: t.Any, sizes: list[int]) -> None:
    assert [size.of(40) for size in parse_batches(value)] == sizes


@pytest.mark.parametrize("value", ["", "0", "-1", "1,,2", "101%", "x", None, True, [], {}, [[1]], "1" * 9, [1] * 101])
def test_what_is_no_size(value: t.Any) -> None:
    with pytest.raises(ParseError):
        parse_batches(value)


@pytest.mark.parametrize("value", [-1, "x", True, 101, "", None, 1.5])
def test_what_is_no_number_of_canaries(value: t.Any) -> None:
    with pytest.raises(ParseError):
        parse_canaries(value)


def test_number_of_canaries() -> None:
    assert (parse_canaries(0), parse_canaries("3")) == (0, 3)


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("store1.example.org", True),
        ("2001:db8::1", True),
        ("all", False),
        ("web[1:3]", False),
        ("!x", False),
        ("a:b", False),
    ],
)
def test_names_that_are_patterns(name: str, can: bool) -> None:
    assert can_be_ordered(name) is can


# --- what a canary stands for ----------------------------------------------------------------------------------------


def facts(**more: t.Any) -> dict[str, t.Any]:
    pci = {"vendor": "8086", "device": "10fb"}
    nic = {"name": "eth0", "pci": pci, "driver": "ixgbe", "firmware": {"raw": "0x800003e1"}, "virtual": False}
    return {"nics": [dict(nic, link=True)], "kernel": {"release": "6.1.0-28-amd64"}, **more}


def test_pairing_is_cards_and_kernel() -> None:
    assert pairing_of(facts()) == "8086:10fb ixgbe 0x800003e1 on 6.1.0-28-amd64"
    other = {"name": "eth1", "pci": {}, "driver": None, "firmware": None, "virtual": False}
    two = facts(nics=[*facts()["nics"], other])
    assert pairing_of(two) == "8086:10fb ixgbe 0x800003e1 + no PCI no driver no firmware on 6.1.0-28-amd64"
    assert pairing_of(facts(nics=[])) == "no NIC on 6.1.0-28-amd64"


@pytest.mark.parametrize("value", [None, 5, [], {}, {"nics": 5}, facts(kernel=None), facts(kernel={"release": 6})])
def test_pairing_that_was_not_seen(value: t.Any) -> None:
    assert pairing_of(value) is None


# --- the gate --------------------------------------------------------------------------------------------------------


HEALTH = {
    "release": "6.1.0-28-amd64",
    "boot_id": "b",
    "nics": [{"name": "eth0", "kind": "physical", "mac": "52:54:00:00:00:01", "link": True, "addresses": []}],
    "default_routes": [],
    "failed_units": [],
    "system_state": "running",
    "armed": True,
    "capture_problems": [],
    "unread": {},
}


def look(verdict: str = "clear", health: t.Any = "well", link: t.Any = True, **capture: t.Any) -> dict[str, t.Any]:
    seen = facts(capture={"armed": True, "proven": True, "unread": {}, **capture})
    seen["nics"][0]["link"] = link
    return look_of(seen, HEALTH if health == "well" else health, {"verdict": verdict, "says": "why"})


LAPSED = {"proven": "the proof has lapsed: the kernel changed since"}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (look(), look(), []),
        (look(), None, [("lost", "error")]),
        (None, look(), []),
        (look(), look("suspect"), [("verdict", "error")]),
        (look("unknown"), look("bad"), [("verdict", "error")]),
        (look("bad"), look("unknown"), []),
        (look("suspect"), look("unknown"), [("verdict", "error")]),
        (look(), look(armed=False), [("armed", "error")]),
        (look(), look(armed=None), [("armed", "error")]),
        (look(armed=False), look(armed=False), []),
        (look(armed=None), look(), []),
        (look(), look(proven=None, unread={"proven": "not seen"}), [("proven", "error")]),
        (look(), look(proven=False, unread={"proven": "the last drill was not proven"}), [("proven", "error")]),
        (look(), look(proven=False, unread=LAPSED), [("proven", "warning")]),
        (look(proven=None), look(proven=False), []),
        (look(), look(health=None), [("health_unread", "error")]),
        (look(), look(health={**HEALTH, "failed_units": ["x.service"]}), [("unit_failed", "error")]),
        (look(), look(health={**HEALTH, "release": "6.12.1"}), []),
        (look(health=None), look(health=None, link=False), [("link", "error")]),
        (look(health=None), look(health=None, link=None), [("link", "error")]),
        (look(health=None, link=None), look(health=None), []),
    ],
)
def test_gate(before: t.Any, after: t.Any, found: list[tuple[str, str]]) -> None:
    assert [(each.id, each.severity) for each in judge_gate(before, after)] == found


def test_every_verdict_that_is_worse_stops() -> None:
    for at, worse in enumerate(judge.ORDER):
        for better in judge.ORDER[at + 1 :]:
            assert judge_gate(look(better), look(worse))
            assert not judge_gate(look(worse), look(better))


def test_health_that_is_none() -> None:
    with pytest.raises(CoreError, match="no health"):
        judge_gate(look(), look(health={"release": 1}))


@pytest.mark.parametrize("value", [None, 5, [], {"capture": 5, "nics": [5, {"name": 5}], "kernel": []}])
def test_a_look_takes_anything(value: t.Any) -> None:
    found = look_of(value, value, value)
    assert (found["armed"], found["proven"], found["verdict"], found["links"]) == (None, None, "unknown", {})
