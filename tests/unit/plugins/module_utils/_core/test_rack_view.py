# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The picture of a rack: places, odd ones, crashes, remedies as commands that mean what they say."""

from __future__ import annotations

import json
import shlex
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import rack_view
from ansible_collections.rackops.crashready.plugins.module_utils._core.rack_view import Place, odd_values, place_of
from hypothesis import given, settings
from hypothesis import strategies as st

NOWHERE = Place(None, None, None, "")
HARDEN = {"id": "a", "severity": "error", "message": "m", "remedy": "run harden-crash.yml for this host"}
WARNING = {"id": "b", "severity": "warning", "message": "m", "remedy": "run harden-crash.yml for this host"}
SPACE = {"id": "c", "severity": "warning", "message": "m", "remedy": "make room in /var/crash"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, NOWHERE),
        ({"group_names": ["storage", "web"]}, Place(None, None, None, "storage")),
        ({"group_names": ["ungrouped"]}, NOWHERE),
        (
            {"crashready_redundancy_group": "storage", "group_names": ["a"]},
            Place(None, None, "storage", "storage"),
        ),
        (
            {"crashready_rack_name": "A1", "crashready_rack_unit": 12, "crashready_redundancy_group": "storage"},
            Place("A1", "12", "storage", "A1"),
        ),
        ({"crashready_rack_name": "\x1b[2J\n", "crashready_rack_unit": True}, Place("[2J", None, None, "[2J")),
        ({"crashready_rack_name": ["a"], "crashready_rack_unit": {}, "group_names": "web"}, NOWHERE),
    ],
)
def test_places(variables: dict[str, t.Any], expected: Place) -> None:
    assert place_of(variables) == expected


@pytest.mark.parametrize(
    ("counts", "usual", "odd"),
    [
        ({}, None, set()),
        ({"a": 2}, None, set()),
        ({"a": 1, "b": 1}, None, set()),
        ({"a": 2, "b": 1}, "a", {"b"}),
        ({"a": 2, "b": 2}, None, set()),
        ({"a": 3, "b": 2, "c": 1}, None, set()),
        ({"a": 4, "b": 2, "c": 1}, "a", {"b", "c"}),
        ({"a": 3, None: 1}, "a", set()),
        ({"a": 2, None: 3, "b": 1}, None, set()),
        ({None: 9}, None, set()),
    ],
)
def test_odd_values(counts: dict[str | None, int], usual: str | None, odd: set[str]) -> None:
    assert odd_values(counts) == (usual, odd)


def nic(name: str = "eth0", firmware: str | None = "1.0", device: str = "1572", **more: t.Any) -> dict[str, t.Any]:
    pci = {"vendor": "8086", "device": device, "model": "X710", "unread": {}}
    made = {"name": name, "driver": "i40e", "module": "i40e", "pci": pci, "firmware": {"raw": firmware}}
    return {**made, "virtual": False, "unread": {}, **more}


def row(
    host: str, state: str = "well", kernel: str = "6.12.1", problems: t.Any = (), **more: t.Any
) -> dict[str, t.Any]:
    nics = more.pop("nics", [nic()])
    facts = {
        "schema": 1,
        "nics": nics,
        "kernel": {"release": kernel, "package_version": "1-1"},
        "capture": {"applicable": True, "armed": True, "problems": list(problems), "proven": None, "unread": {}},
        "crashes": more.pop("crashes", []),
    }
    checked = {"state": state, "capture": "armed", "says": [], "pairings": None, "failure": None, **more}
    return rack_view.host_row(host, None if checked["failure"] else facts, checked, NOWHERE)


def report(rows: list[dict[str, t.Any]], **more: t.Any) -> dict[str, t.Any]:
    return rack_view.make_report(rows, "2026-11-23T20:00:00+00:00", **more)


def test_same_triples_are_one_and_the_odd_ones_are_marked() -> None:
    rows = [row("h{0}".format(number), nics=[nic(), nic("eth1")]) for number in range(6)]
    rows += [
        row("old", nics=[nic(firmware="0.9")]),
        row("new", kernel="6.12.2"),
        row("mute", nics=[nic(firmware=None)]),
    ]
    rows += [row("other", nics=[nic(device="10fb")])]
    made = report(rows)
    triples = {(each["ids"], each["firmware"], each["kernel"]): each for each in made["triples"]}
    usual = triples["8086:1572", "1.0", "6.12.1 (1-1)"]
    assert (usual["hosts"], usual["nics"], usual["odd"], usual["model"]) == (6, 12, [], "X710")
    assert triples["8086:1572", "0.9", "6.12.1 (1-1)"]["odd"] == ["firmware: 7 of 9 with this card have 1.0"]
    assert triples["8086:1572", "1.0", "6.12.2 (1-1)"]["odd"] == ["kernel: 8 of 9 with this card have 6.12.1 (1-1)"]
    assert triples["8086:1572", None, "6.12.1 (1-1)"]["odd"] == [], "not seen is not odd"
    assert triples["8086:10fb", "1.0", "6.12.1 (1-1)"]["odd"] == [], "one card alone is no rule"
    assert made["summary"]["odd"] == 2
    host = next(each for each in made["hosts"] if each["host"] == "h0")
    assert [(each["names"], made["triples"][each["triple"]]) for each in host["nics"]] == [(["eth0", "eth1"], usual)]


def test_worst_first_and_summed() -> None:
    rows = [row("a"), row("b", "bad"), row("c", "unknown", failure="refused", cause="x"), row("d", "suspect")]
    made = report(rows)
    assert [host["host"] for host in made["hosts"]] == ["b", "c", "d", "a"]
    assert made["summary"]["states"] == {"bad": 1, "unknown": 1, "suspect": 1, "well": 1}
    assert made["summary"]["hosts"] == 4
    assert json.dumps(made)


def test_dates() -> None:
    drill = {"drill_id": "0", "drilled_at": "2026-11-20T10:00:00+00:00", "state": "proven", "kind": "sysrq"}
    since = {"a": "2026-08-01T00:00:00+00:00", "b": "2026-08-01T00:00:00+00:00"}
    made = report([row("a"), row("b", "bad", capture="not armed")], armed_since=since, drills={"a": drill})
    hosts = {host["host"]: host for host in made["hosts"]}
    assert hosts["a"]["armed_since"] == since["a"]
    assert hosts["a"]["proven"]["drill"]["drilled_at"] == drill["drilled_at"]
    assert hosts["b"]["armed_since"] is None, "it is not armed now, whatever was"
    assert hosts["b"]["proven"] == {"state": None, "reason": "not seen", "drill": None}


# --- remedies --------------------------------------------------------------------------------------------------------


def test_remedies_are_grouped_and_errors_come_first() -> None:
    rows = [row("a", problems=[HARDEN, WARNING, SPACE]), row("b", problems=[WARNING]), row("c", problems=[SPACE])]
    harden, space = report(rows, inventory=["my rack"])["remedies"]
    assert harden["hosts"] == ["a", "b"]
    assert harden["severity"] == "error"
    assert harden["commands"] == ["crashready harden -i 'my rack' --limit a,b"]
    assert (space["where"], space["says"], space["commands"], space["hosts"]) == (
        "text",
        "make room in /var/crash",
        [],
        ["a", "c"],
    )


def test_not_applicable_asks_for_nothing() -> None:
    facts = {"schema": 1, "capture": {"applicable": False, "problems": [HARDEN]}}
    checked = {"state": "well", "capture": "not applicable", "says": [], "pairings": None, "failure": None}
    assert report([rack_view.host_row("a", facts, checked, NOWHERE)])["remedies"] == []


JUDGED: dict[str, t.Any] = {
    "verdict": "bad",
    "nics": [{"name": "eth0", "verdict": "bad"}],
    "remedies": [
        {
            "entry": "i40e-x",
            "kernel": "6.12.61 or later",
            "nics": ["eth0"],
            "advice": [
                {"entry": "i40e-x", "kind": "ethtool", "command": "ethtool -K eth0 gro off", "says": "keeps out"}
            ],
        }
    ],
}


def test_remedies_of_pairings() -> None:
    kernel, advice = report([row("a", "bad", pairings=JUDGED)])["remedies"]
    assert kernel["commands"] == ["crashready harden -i rack --limit a -e backports_kernel_enabled=true"]
    assert (advice["where"], advice["commands"], advice["entry"]) == ("host", ["ethtool -K eth0 gro off"], "i40e-x")


@pytest.mark.parametrize("name", ["eth0;reboot", "$(id)", "-eth0", "a b", "`id`", ""])
def test_a_nic_with_an_odd_name_gets_into_no_command(name: str) -> None:
    judged = json.loads(json.dumps(JUDGED).replace("eth0", name))
    made = report([row("a", "bad", pairings=judged)])
    (advice,) = [each for each in made["remedies"] if each["where"] == "text"]
    assert advice["commands"] == []
    assert "not fit for a command line" in advice["says"]


@pytest.mark.parametrize(
    "name", ["all", "ungrouped", "*", "a,b", "!a", "a:b", "~x", "@file", "-v", "a b", "$(id)", "a'b", "[0:9]", "a\nb"]
)
def test_a_host_with_an_odd_name_is_mended_by_hand(name: str) -> None:
    (remedy,) = report([row(name, problems=[HARDEN]), row("ok", problems=[HARDEN])])["remedies"]
    assert remedy["commands"] == ["crashready harden -i rack --limit ok"]
    assert remedy["by_hand"] == [rack_view.clean(name, 200)]
    assert len(remedy["hosts"]) == 2


def test_no_command_line_is_too_long() -> None:
    hosts = ["host{0:05}.of.a.very.long.domain.example.org".format(number) for number in range(1001)]
    commands = rack_view.harden_command(["rack"], hosts)
    assert max(map(len, commands)) < 100_000
    named = [name for command in commands for name in shlex.split(command)[5].split(",")]
    assert named == hosts


# --- crashes ---------------------------------------------------------------------------------------------------------

RECORD = {
    "kind": "page_fault",
    "path": "nic_rx",
    "driver": "i40e",
    "function": "i40e_clean_rx_irq",
    "event": "e1",
    "crashed_at": "2026-11-01T10:00:00+00:00",
    "kernel": {"release": "6.12.1"},
    "signature": {"exact": "cr1:x:1"},
}


def kept(host: str, event: str, signature: str = "cr1:x:1", at: str | None = "2026-11-02T00:00:00+00:00") -> t.Any:
    return {"host": host, "event": event, "crashed_at": at, "signature": {"exact": signature}, "kind": "page_fault"}


def test_a_crash_that_both_know_is_one() -> None:
    crashes = [{"path": "/var/crash/202611011000", "stamp": "202611011000", "record": RECORD}]
    rows = [row("a.example.org", crashes=crashes), row("b.example.org")]
    stored = [kept("a", "e1"), kept("B.EXAMPLE.ORG", "e2"), kept("stranger", "e3"), {"host": None, "event": "e4"}]
    made = report(rows, crashes=stored)
    (group,) = made["crashes"]
    assert (group["hosts"], len(group["crashes"]), group["function"]) == (
        ["a.example.org", "b.example.org"],
        2,
        "i40e_clean_rx_irq",
    )
    assert (made["summary"]["crashes"], made["summary"]["signatures"]) == (2, 1)
    assert {host["host"]: host["crashes"] for host in made["hosts"]} == {"a.example.org": 1, "b.example.org": 1}


def test_a_dump_that_nobody_explained_comes_last_with_its_time() -> None:
    crashes = [{"path": "/var/crash/202611231305", "stamp": "202611231305", "record": None}, "junk", {"stamp": "x"}]
    made = report([row("a", crashes=crashes)], crashes=[kept("a", "e2")])
    known, unknown = made["crashes"]
    assert (known["signature"], unknown["signature"]) == ("cr1:x:1", None)
    assert unknown["crashes"][0]["at"] in ("2026-11-23T13:05:00+00:00", None)
    assert unknown["first"] == unknown["last"] == "2026-11-23T13:05:00+00:00"
    assert len(unknown["crashes"]) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "nics",
                    "kernel",
                    "capture",
                    "crashes",
                    "pci",
                    "armed",
                    "problems",
                    "record",
                    "firmware",
                    "raw",
                    "name",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(JSON, st.text(max_size=20))
def test_whatever_a_host_says(facts: t.Any, name: str) -> None:
    checked = {"state": "unknown", "capture": "unknown", "says": [name], "pairings": None, "failure": None}
    made = report([rack_view.host_row(name, facts, checked, NOWHERE)])
    text = json.dumps(made, ensure_ascii=False)
    assert made["summary"]["hosts"] == 1
    assert text.encode("utf-8"), "no half of a surrogate pair is left"
    assert not set(text) & set("\x1b\x00\u202e\u2028"), "nor is anything that JSON would have to escape"
    assert "\\u00" not in text
