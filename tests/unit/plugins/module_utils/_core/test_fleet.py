# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From one crash to the rack: same signature, same pairing, control group, entries."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import fleet
from ansible_collections.rackops.crashready.plugins.module_utils._core.coverage import Coverage
from ansible_collections.rackops.crashready.plugins.module_utils._core.judge import Database
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_entry import read_entry

RECORD: dict[str, t.Any] = {
    "kind": "null_deref",
    "function": "i40e_clean_rx_irq",
    "module": "i40e",
    "path": "nic_rx",
    "driver": "i40e",
    "arch": "x86_64",
    "kernel": {"release": "6.1.0-18-amd64", "package_version": "6.1.76-1"},
    "frames": [
        {"function": "i40e_clean_rx_irq.isra.0", "module": "i40e"},
        {"function": "i40e_napi_poll", "module": "i40e"},
    ],
    "signature": {"exact": "cr1:x:1", "similar": "cr1:s:1"},
}
# As tests/unit/cases/trees/x710-da4.json has the card.
FIRMWARE = "9.20 0x8000d8bd 1.3353.0"


def facts(
    firmware: str | None = FIRMWARE,
    version: str | None = "6.1.76-1",
    device: str | None = "1572",
    driver: str = "i40e",
    release: str = "6.1.0-18-amd64",
) -> dict[str, t.Any]:
    nic = {
        "name": "enp2s0f0",
        "driver": driver,
        "pci": {"vendor": "8086", "device": device},
        "firmware": {"raw": firmware},
        "virtual": False,
        "unread": {},
    }
    kernel = {"release": release, "package_version": version, "machine": "x86_64", "taint": {"value": 0}}
    return {"schema": 1, "nics": [nic], "kernel": kernel}


def hosts(rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[t.Any]:
    return [row["host"] for row in rows]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (facts(), "same_pairing"),
        (facts(firmware="9.20 0x8000d8c5 1.3295.0"), "other_firmware"),
        (facts(version="6.1.99-1"), "other_kernel"),
        (facts(firmware="9.20 0x8000d8c5 1.3295.0", version="6.1.99-1"), "other_firmware"),
        (facts(firmware=None), "undecided"),
        (facts(version=None, release=""), "undecided"),
        (facts(device=None), "undecided"),
        (facts(firmware=None, version="6.1.99-1"), None),
        (facts(device="1583"), None),
        (facts(driver="ixgbe"), None),
        ({"nics": None}, None),
        ({"nics": ["garbage", 7], "kernel": "x"}, None),
        (["no facts"], None),
    ],
)
def test_where_another_host_stands(other: t.Any, expected: str | None) -> None:
    found = fleet.blast_radius(RECORD, "s0", facts(), {"s0": facts(), "s1": other})
    places = ("same_pairing", "other_firmware", "other_kernel", "undecided")
    assert {place: hosts(found[place]) for place in places} == {
        place: ["s1"] if place == expected else [] for place in places
    }
    assert found["pairing"][0]["ids"] == "8086:1572"
    assert found["hosts_looked_at"] == 2


def test_cards_that_have_no_firmware_version_are_the_same() -> None:
    """vmxnet3 reports none: that is not "could not be read"."""
    bare = {**RECORD, "driver": "vmxnet3"}
    own = facts(firmware=None, driver="vmxnet3", device="07b0")
    rack = {"same": copy.deepcopy(own), "kernel": facts(None, "6.1.99-1", "07b0", "vmxnet3")}
    found = fleet.blast_radius(bare, "s0", own, rack)
    assert (hosts(found["same_pairing"]), hosts(found["other_kernel"])) == (["same"], ["kernel"])


def test_without_facts_of_the_crashed_host_nothing_is_called_the_same() -> None:
    found = fleet.blast_radius(RECORD, None, None, {"s1": facts(), "s2": facts(version="6.1.99-1")})
    assert hosts(found["same_pairing"]) == []
    assert hosts(found["undecided"]) == ["s1"]
    assert "no facts of the host that crashed" in found["unread"]["pairing"]


def test_a_fault_above_the_driver_has_no_pairing() -> None:
    found = fleet.blast_radius({**RECORD, "path": "none", "driver": None}, "s0", facts(), {"s1": facts()})
    assert found["same_pairing"] == []
    assert found["unread"]["pairing"] == "no NIC driver is to blame"


def crash(host: str | None, exact: str | None, similar: str | None, at: str | None = None) -> dict[str, t.Any]:
    return {"host": host, "crashed_at": at, "signature": {"exact": exact, "similar": similar}}


def test_signatures_are_counted_by_host() -> None:
    crashes = [
        crash("s1", "cr1:x:1", "cr1:s:1", "2026-11-01T00:00:00+00:00"),
        crash("s1", "cr1:x:1", "cr1:s:1", "2026-11-03T00:00:00+00:00"),
        crash("s1", "cr1:x:2", "cr1:s:1"),
        crash("s2", "cr1:x:2", "cr1:s:1"),
        crash("s3", "cr1:x:3", "cr1:s:3"),
        crash("s4", None, None),
        crash(None, "cr1:x:1", "cr1:s:1"),
    ]
    same = fleet.blast_radius(RECORD, "s0", None, {}, crashes)["same_signature"]
    assert [(row["host"], row["crashes"], row["last"]) for row in same["exact"]] == [
        (None, 1, None),
        ("s1", 2, "2026-11-03T00:00:00+00:00"),
    ]
    assert hosts(same["similar"]) == ["s2"], "a host with the exact one is not listed twice"


def test_a_host_that_had_it_is_marked() -> None:
    crashes = [crash("s1", "cr1:x:1", "cr1:s:1")]
    rack = {"s1": facts(), "s2": facts()}
    found = fleet.blast_radius(RECORD, "s0", facts(), rack, crashes)
    assert [(row["host"], row["crashed"]) for row in found["same_pairing"]] == [("s1", True), ("s2", False)]


def test_no_signature_matches_nothing() -> None:
    record = {**RECORD, "signature": {"exact": None, "similar": None}}
    assert fleet.blast_radius(record, "s0", None, {}, [crash("s1", None, None)])["same_signature"] == {
        "exact": [],
        "similar": [],
    }


def entry(name: str, functions: list[str] | None, first_good: str | None = "6.1.90") -> t.Any:
    symptom: dict[str, t.Any] = {"class": "panic", "summary": "It dies."}
    if functions is not None:
        symptom["functions"] = functions
    return read_entry(
        {
            "id": name,
            "driver": "i40e",
            "modules": ["i40e"],
            "pci": [{"vendor": "8086", "devices": ["1572"]}],
            "firmware": {"part_of_pairing": False},
            "kernel": {"affected": [{"branch": "6.1", "first_bad": "6.1.1", "first_good": first_good}]},
            "symptom": symptom,
            "remedy": {"kernel": "6.1.90 or later"},
            "confidence": "confirmed-upstream",
            "suggested_use": "pin",
            "sources": ["a test"],
        }
    )


@pytest.mark.parametrize(
    ("functions", "matches", "named"),
    [
        (["i40e_clean_rx_irq"], True, ["i40e_clean_rx_irq"]),
        (["i40e_xmit_frame"], False, []),
        (["i40e_napi_poll"], False, ["i40e_napi_poll"]),
        (["i40e_napi_poll", "i40e_clean_rx_irq"], True, ["i40e_napi_poll", "i40e_clean_rx_irq"]),
        (None, True, []),
    ],
)
def test_entries_by_card_kernel_and_functions(functions: list[str] | None, matches: bool, named: list[str]) -> None:
    found = fleet.matching_entries(RECORD, facts(), Database([entry("x-y", functions)], Coverage()))
    assert [(row["entry"], row["verdict"], row["matches"], row["functions"]) for row in found] == [
        ("x-y", "bad", matches, named)
    ]


def test_a_kernel_with_the_fix_is_not_matched() -> None:
    fixed = {**RECORD, "kernel": {"release": "6.1.0-21-amd64", "package_version": "6.1.99-1"}}
    database = Database([entry("x-y", ["i40e_clean_rx_irq"])], Coverage())
    assert fleet.matching_entries(fixed, facts(version="6.1.99-1", release="6.1.0-21-amd64"), database) == []
    # The facts are of the kernel that runs now; the crash was on the old one.
    now = facts(version="6.1.99-1", release="6.1.0-21-amd64")
    assert [row["entry"] for row in fleet.matching_entries(RECORD, now, database)] == ["x-y"]


def test_without_facts_an_entry_is_suspect_at_most() -> None:
    found = fleet.matching_entries(RECORD, None, Database([entry("x-y", ["i40e_clean_rx_irq"])], Coverage()))
    assert [(row["entry"], row["verdict"]) for row in found] == [("x-y", "suspect")]
    gone = {**RECORD, "kernel": {"release": "6.1.0-21-amd64", "package_version": "6.1.99-1"}}
    assert fleet.matching_entries(gone, None, Database([entry("x-y", None)], Coverage())) == []


@pytest.mark.parametrize("garbage", [{}, {"driver": 7}, {"driver": "i40e", "frames": ["x", None], "kernel": []}])
def test_garbage_in_a_record_raises_nothing(garbage: dict[str, t.Any]) -> None:
    database = Database([entry("x-y", ["i40e_clean_rx_irq"])], Coverage())
    assert isinstance(fleet.matching_entries(garbage, {"nics": 3}, database), list)
    assert fleet.blast_radius(garbage, "s0", "x", {"s1": []}, [{"signature": 3}])["hosts_looked_at"] == 1
