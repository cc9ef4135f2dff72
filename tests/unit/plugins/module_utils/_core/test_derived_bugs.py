# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Bugs of the index that the kernels on offer fix and bring, against the shipped index."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import cve_index, derived_bugs

INDEX = pathlib.Path(__file__).parents[5] / "data" / "derived" / "nic-cves.json"


@pytest.fixture(scope="module")
def index() -> cve_index.CveIndex:
    return cve_index.load_index(INDEX.read_text("utf-8"))


def facts(*versions: str, driver: str = "atlantic", running: str = "6.1.140-1") -> dict[str, t.Any]:
    kernel = {"package_version": running, "upstream_version": running.partition("-")[0], "taint": {"value": 0}}
    kernel["candidates"] = {"suite": [{"package": "linux-image-amd64", "version": version} for version in versions]}
    nic = {"name": "enp1s0", "driver": driver, "pci": {"vendor": "1d6a", "device": "d107"}, "unread": {}}
    return {"nics": [nic], "kernel": kernel}


def test_a_fix_of_the_story_is_counted(index: cve_index.CveIndex) -> None:
    """CVE-2025-68301 (atlantic, receive): 6.1.159 carries the fix, 6.1.158 does not."""
    found = derived_bugs.DerivedBugs(index).of(facts("6.1.158-1", "6.1.159-1"))
    assert "CVE-2025-68301" in found["6.1.159-1"]["fixes"]
    assert "CVE-2025-68301" not in found["6.1.158-1"]["fixes"]
    assert found["6.1.159-1"]["brings"] == []


def test_an_older_kernel_brings_it_back(index: cve_index.CveIndex) -> None:
    found = derived_bugs.DerivedBugs(index).of(facts("6.1.140-1", running="6.1.159-1"))
    assert "CVE-2025-68301" in found["6.1.140-1"]["brings"]


def test_modules_beside_the_driver_are_asked_too(index: cve_index.CveIndex) -> None:
    assert "bnxt_re" in derived_bugs.drivers_of(facts(driver="bnxt_en"))


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"kernel": 3},
        {"kernel": {"package_version": "6.1.140-1", "candidates": {"a": [{"version": 3}, 7], "b": None}}},
        {"kernel": {"package_version": "what", "candidates": {"a": [{"version": "6.1.1-1"}]}}},
    ],
)
def test_facts_of_any_shape_give_nothing(index: cve_index.CveIndex, broken: t.Any) -> None:
    assert derived_bugs.DerivedBugs(index).of(broken) == {}


def test_the_same_question_is_answered_once(index: cve_index.CveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    compare = cve_index.compare
    monkeypatch.setattr(cve_index, "compare", lambda *arguments: calls.append(arguments) or compare(*arguments))
    bugs = derived_bugs.DerivedBugs(index)
    for _round in range(3):
        bugs.of(facts("6.1.159-1", "6.1.159-1~deb11u1"))
    assert len(calls) == 1
