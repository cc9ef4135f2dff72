# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Two looks at a host: what counts as a change, in which sense, and what does not."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import history
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1024 * 1024
NIC: dict[str, t.Any] = {
    "name": "enp2s0f0",
    "mac": "00:00:5e:00:53:10",
    "pci": {"address": "0000:02:00.0", "vendor": "8086", "device": "1572"},
    "driver": "i40e",
    "firmware": {"raw": "9.20 0x8000d8bd 1.3353.0"},
    "link": True,
    "speed_mbps": 10000,
    "virtual": False,
    "unread": {},
}
PROBLEM = {"id": "not_armed", "severity": "error", "message": "no capture kernel is loaded", "remedy": "run it"}
WARNING = {"id": "panic_on_oops_off", "severity": "warning", "message": "an oops does not panic", "remedy": "run it"}
FACTS: dict[str, t.Any] = {
    "schema": 1,
    "nics": [NIC],
    "kernel": {"release": "6.1.0-37-amd64", "package_version": "6.1.140-1", "candidates": None},
    "capture": {
        "applicable": True,
        "armed": True,
        "reserved_bytes": 256 * MIB,
        "proven": None,
        "problems": [],
        "space": {"free_bytes": 1, "path": "/var/crash"},
        "unread": {"proven": "no drill is recorded on this host"},
    },
    "crashes": [],
    "unread": {},
}


def facts(**paths: t.Any) -> dict[str, t.Any]:
    """FACTS with other values; `capture__armed=False` sets facts["capture"]["armed"], `nics__0__name` a NIC's name."""
    made = copy.deepcopy(FACTS)
    for path, value in paths.items():
        *place, last = path.split("__")
        at: t.Any = made
        for key in place:
            at = at[int(key)] if isinstance(at, list) else at[key]
        at[int(last) if isinstance(at, list) else last] = value
    return made


OTHER_CARD = {**NIC, "pci": {"address": "0000:02:00.0", "vendor": "15b3", "device": "1017"}, "driver": "mlx5_core"}
SECOND = {**NIC, "name": "enp3s0", "mac": "00:00:5e:00:53:11", "pci": {**NIC["pci"], "address": "0000:03:00.0"}}
MOVED = {**NIC, "name": "enp3s0", "pci": {**NIC["pci"], "address": "0000:03:00.0"}}
CRASH = {"path": "/var/crash/202611231305", "stamp": "202611231305", "record": None}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        # What changes by itself is no change.
        ({}, {"nics__0__link": False, "nics__0__speed_mbps": None, "capture__space": {"free_bytes": 9}}, []),
        (
            {},
            {"nics__0__firmware": {"raw": "6.01 0x8000351b 0.0.0"}},
            [("firmware", "enp2s0f0", "9.20 0x8000d8bd 1.3353.0", "6.01 0x8000351b 0.0.0", "other")],
        ),
        ({"nics__0__firmware": {"raw": None}}, {}, []),
        (
            {},
            {"nics__0__firmware": {"raw": None}},
            [("firmware", "enp2s0f0", "9.20 0x8000d8bd 1.3353.0", None, "unknown")],
        ),
        ({}, {"nics__0__driver": "vfio-pci"}, [("driver", "enp2s0f0", "i40e", "vfio-pci", "other")]),
        ({}, {"nics__0__name": "eth0"}, [("nic", "eth0", "enp2s0f0", "eth0", "other")]),
        ({}, {"nics": []}, [("nic", "enp2s0f0", "enp2s0f0 (8086:1572, i40e)", None, "worse")]),
        ({"nics": []}, {}, [("nic", "enp2s0f0", None, "enp2s0f0 (8086:1572, i40e)", "other")]),
        ({}, {"nics": [NIC, SECOND]}, [("nic", "enp3s0", None, "enp3s0 (8086:1572, i40e)", "other")]),
        (
            {},
            {"nics": [OTHER_CARD]},
            [("nic", "enp2s0f0", "enp2s0f0 (8086:1572, i40e)", "enp2s0f0 (15b3:1017, mlx5_core)", "other")],
        ),
        (
            {},
            {"nics": [MOVED]},
            [
                ("nic", "enp2s0f0", "enp2s0f0 (8086:1572, i40e)", "enp3s0 (8086:1572, i40e)", "other"),
                ("nic", "enp3s0", "enp2s0f0", "enp3s0", "other"),
            ],
        ),
        ({}, {"nics": None}, [("nic", "", "seen", None, "unknown")]),
        (
            {},
            {"kernel__release": "6.1.0-38-amd64", "kernel__package_version": "6.1.147-1"},
            [("kernel", "", "6.1.0-37-amd64 (6.1.140-1)", "6.1.0-38-amd64 (6.1.147-1)", "other")],
        ),
        ({}, {"kernel__release": None}, [("kernel", "", "6.1.0-37-amd64 (6.1.140-1)", None, "unknown")]),
        ({}, {"capture__reserved_bytes": 0}, [("reservation", "", "256 MiB", "nothing", "worse")]),
        ({"capture__reserved_bytes": 0}, {}, [("reservation", "", "nothing", "256 MiB", "better")]),
        ({}, {"capture__reserved_bytes": 512 * MIB}, [("reservation", "", "256 MiB", "512 MiB", "other")]),
        ({}, {"capture__reserved_bytes": None}, [("reservation", "", "256 MiB", None, "unknown")]),
        ({"capture__reserved_bytes": None}, {}, []),
        ({}, {"capture__armed": False}, [("armed", "", "yes", "no", "worse")]),
        ({"capture__armed": False}, {}, [("armed", "", "no", "yes", "better")]),
        ({}, {"capture__armed": None}, [("armed", "", "yes", None, "unknown")]),
        ({}, {"capture__proven": True}, [("proven", "", None, "yes", "better")]),
        ({"capture__proven": True}, {"capture__proven": False}, [("proven", "", "yes", "no", "worse")]),
        ({"capture__proven": True}, {}, [("proven", "", "yes", None, "unknown")]),
        ({}, {"capture__problems": [PROBLEM]}, [("problem", "not_armed", None, PROBLEM["message"], "worse")]),
        ({}, {"capture__problems": [WARNING]}, [("problem", "panic_on_oops_off", None, WARNING["message"], "other")]),
        (
            {"capture__problems": [PROBLEM]},
            {},
            [("problem", "not_armed", PROBLEM["message"], None, "better")],
        ),
        ({}, {"capture__problems": None}, []),
        ({}, {"crashes": [CRASH]}, [("crash", CRASH["path"], None, CRASH["path"], "worse")]),
        # A crash that was explained since is the same crash; one that retention took says nothing.
        ({"crashes": [CRASH]}, {"crashes": [{**CRASH, "record": {"event": "e1", "kind": "bug"}}]}, []),
        ({"crashes": [{**CRASH, "record": {"event": "e1"}}]}, {"crashes": [{"record": {"event": "e1"}}]}, []),
        ({"crashes": [CRASH]}, {}, []),
    ],
)
def test_facts(before: dict[str, t.Any], after: dict[str, t.Any], expected: list[tuple[t.Any, ...]]) -> None:
    found = history.compare_facts(facts(**before), facts(**after))
    assert [tuple(change[:5]) for change in found] == expected
    assert all(change.says for change in found)


@pytest.mark.parametrize("part", history.PARTS)
def test_a_part_that_was_not_looked_at_says_nothing(part: str) -> None:
    half = {key: value for key, value in FACTS.items() if key != part}
    worst = facts(nics=[], crashes=[CRASH], capture__armed=False, kernel__release="x")
    kinds = {"nics": {"nic"}, "kernel": {"kernel"}, "capture": {"armed"}, "crashes": {"crash"}}
    left = {change.kind for change in history.compare_facts(half, worst)}
    assert left == set().union(*(kinds[name] for name in history.PARTS if name != part))


def judged(state: str = "well", verdict: str | None = "clear", failure: str = "", entries: t.Any = ()) -> t.Any:
    found = {"verdict": verdict, "entries": list(entries)}
    return history.brief_judgement(state, "armed", found if verdict else None, failure)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (judged(), judged(), []),
        (None, judged("bad"), []),
        (judged(), judged("bad", "bad", entries=["a"]), ["state worse", "verdict worse", "pairings worse"]),
        (judged("bad", "bad", entries=["a"]), judged(), ["state better", "verdict better", "pairings better"]),
        (judged(), judged("suspect", "suspect"), ["state worse", "verdict worse"]),
        (judged("bad", "bad"), judged("unknown", "unknown"), ["state unknown", "verdict unknown"]),
        (
            judged("bad", "bad", entries=["a"]),
            judged("bad", "bad", entries=["b"]),
            ["pairings worse", "pairings better"],
        ),
        (judged(), judged("unknown", None, "timeout: no answer"), ["answer unknown"]),
        (judged("unknown", None, "timeout"), judged("bad", "bad", entries=["a"]), ["answer better"]),
        (judged("unknown", None, "timeout"), judged("unknown", None, "refused"), []),
    ],
)
def test_judgements(before: t.Any, after: t.Any, expected: list[str]) -> None:
    found = history.compare_looks(FACTS, FACTS, before, after)
    order = sorted(expected, key=lambda word: history.SENSES.index(word.split()[1]))
    assert ["{0} {1}".format(change.kind, change.sense) for change in found] == order


def test_a_host_without_an_answer_has_lost_nothing_else() -> None:
    found = history.compare_looks(FACTS, None, judged(), judged("unknown", None, "timeout: no answer"))
    assert [change.kind for change in found] == ["answer"]
    assert "timeout: no answer" in found[0].says


def test_worst_first_and_every_kind_has_a_heading() -> None:
    after = facts(capture__armed=False, kernel__release="x", capture__reserved_bytes=None, capture__proven=True)
    found = history.compare_looks(FACTS, after)
    assert [change.sense for change in found] == ["worse", "unknown", "other", "better"]
    assert history.worst_sense(found) == "worse"
    assert history.worst_sense([]) is None
    assert {change.kind for change in found} <= set(history.KINDS)


# --- what is kept ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (facts(), True),
        (facts(nics__0__link=False, capture__space={"free_bytes": 5, "path": "/var/crash"}, unread={"x": "y"}), True),
        (facts(kernel__candidates={"bookworm": []}), True),
        ({"schema": 1, "kernel": FACTS["kernel"]}, True),
        ({"schema": 1, "kernel": {"release": "x"}}, False),
        (facts(capture__armed=False), False),
        (facts(capture__space={"free_bytes": 5, "path": "/srv"}), False),
        ({**FACTS, "os": {"id": "debian"}}, False),
        (None, False),
    ],
)
def test_same(now: t.Any, same: bool) -> None:
    assert history.same_facts(FACTS, now) is same


def test_merged_keeps_what_was_not_looked_at() -> None:
    now = {"schema": 1, "kernel": {"release": "x"}}
    found = history.merged({**FACTS, "odd": 1}, now)
    assert found["kernel"] == {"release": "x"}
    assert found["capture"] == FACTS["capture"]
    assert "odd" not in found
    assert history.merged(None, now) == now


class Known(t.NamedTuple):
    facts_id: int
    judgement_id: int
    seen_at: int


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, None, "never looked at"),
        (None, Known(1, 1, 6), "new"),
        (Known(1, 1, 4), Known(1, 1, 4), "not looked at"),
        (Known(1, 1, 4), Known(1, 1, 6), "same"),
        (Known(1, 1, 4), Known(2, 1, 6), "changed"),
        (Known(1, 1, 4), Known(1, 2, 6), "changed"),
    ],
)
def test_standings(before: Known | None, after: Known | None, expected: str) -> None:
    assert history.standing_of(5, before, after) == expected
    assert expected in history.STANDINGS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["nics", "kernel", "capture", "crashes", "pci", "armed", "problems", "id", "failure", "space"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(JSON, JSON)
def test_whatever_a_host_says(before: t.Any, after: t.Any) -> None:
    found = history.compare_looks(before, after, before, after)
    assert json.dumps([change._asdict() for change in found])
    assert not history.compare_looks(before, before, before, before)
    assert history.same_facts(before, before)
    assert history.lasting(history.lasting(before)) == history.lasting(before)
