# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernel is chosen for a bad pairing, and why the others are not."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_range import candidate_kernel
from ansible_collections.rackops.crashready.plugins.module_utils._core.remedy import (
    choose_remedy,
    crash_reads,
    release_guess,
    required_files,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.waiver import Waiver
from hypothesis import given, settings
from hypothesis import strategies as st

from ....pairings_seen import ENTRY, database, entry, host

#: What apt offers on Debian 12 on 2026-11-23 (backports is frozen), with an older point release beside it.
OFFERED = {
    "bookworm": ("linux-image-amd64", "6.1.140-1"),
    "bookworm-security": ("linux-image-amd64", "6.1.192-2"),
    "bookworm-security ": ("linux-image-6.12-amd64", "6.12.117-1~deb12u1"),
    "bookworm-backports": ("linux-image-amd64", "6.12.95-1~bpo12+1"),
}


def offered(**more: t.Any) -> dict[str, list[dict[str, t.Any]]]:
    suites: dict[str, list[dict[str, t.Any]]] = {}
    for suite, (package, version) in {**OFFERED, **more}.items():
        row = {"package": package, "version": version, "priority": 500, "candidate": True}
        suites.setdefault(suite.strip(), []).append(row)
    return suites


def facts(candidates: t.Any = None, nic: dict[str, t.Any] | None = None, **kernel: t.Any) -> dict[str, t.Any]:
    found = host(nic, {"candidates": offered() if candidates is None else candidates, **kernel})
    found["capture"] = {"tools": {"makedumpfile": "1:1.7.2-1"}, "managed": {"packages": {"crash": "8.0.2-1"}}}
    return found


#: Bad in every 6.1; 6.12 has the fix.
ONLY_NEWER = entry(
    kernel={
        "affected": [
            {"branch": "6.1", "first_bad": "6.1.0", "first_good": None},
            {"branch": "mainline", "first_bad": "5.18", "first_good": "6.2"},
        ]
    },
    debian=None,
)
#: A fault that came with 6.2 and was mended late in 6.12.
NEW_FAULT = entry(
    id="new-fault",
    kernel={
        "affected": [
            {"branch": "6.12", "first_bad": "6.12.0", "first_good": "6.12.100"},
            {"branch": "mainline", "first_bad": "6.2", "first_good": "6.18"},
        ]
    },
    debian=None,
)


def chosen(plan: dict[str, t.Any]) -> str | None:
    return plan["choice"]["version"] if plan["choice"] else None


def refused(plan: dict[str, t.Any], version: str) -> str:
    (reason,) = [each["reason"] for each in plan["refused"] if each["version"] == version]
    return str(reason)


def test_the_same_branch_is_the_least_change() -> None:
    plan = choose_remedy(facts(), database())
    assert chosen(plan) == "6.1.192-2"
    choice = plan["choice"]
    assert (choice["package"], choice["suite"], choice["same_branch"]) == (
        "linux-image-amd64",
        "bookworm-security",
        True,
    )
    assert (choice["fixes"], choice["left"], choice["rows"], choice["rows_now"]) == (["atlantic-test"], [], 0, 1)
    assert choice["release_guess"] is None
    assert refused(plan, "6.1.140-1") == "it is what runs"
    assert "it stays on the branch that runs" in refused(plan, "6.12.117-1~deb12u1")
    assert len(plan["refused"]) == 3
    assert plan["says"] == "linux-image-amd64 6.1.192-2 from bookworm-security fixes atlantic-test"


def test_the_security_archive_is_chosen_over_a_stale_backport() -> None:
    plan = choose_remedy(facts(), database(ONLY_NEWER, NEW_FAULT))
    assert chosen(plan) == "6.12.117-1~deb12u1"
    assert plan["choice"]["release_guess"] == "6.12.117+deb12-amd64"
    assert "does not carry the fix" in refused(plan, "6.1.192-2")
    assert "brings a bad pairing that the running kernel does not have: new-fault" in refused(plan, "6.12.95-1~bpo12+1")
    assert any("the branch changes from 6.1 to 6.12" in note for note in plan["choice"]["notes"])


def test_a_row_that_is_not_bad_decides_between_two_that_fix() -> None:
    """Advice does not refuse a kernel, it ranks it: this is how 6.12.95 loses against 6.12.117."""
    advice = {**NEW_FAULT, "suggested_use": "advise"}
    plan = choose_remedy(facts(), database(ONLY_NEWER, advice))
    assert chosen(plan) == "6.12.117-1~deb12u1"
    assert "0 known rows against 1" in refused(plan, "6.12.95-1~bpo12+1")


def test_backports_is_chosen_where_nothing_else_is_allowed() -> None:
    plan = choose_remedy(facts(), database(ONLY_NEWER), suites=["bookworm-backports"])
    assert chosen(plan) == "6.12.95-1~bpo12+1"
    assert "backports_kernel_suites does not allow bookworm-security" in refused(plan, "6.12.117-1~deb12u1")


def test_a_worse_one_is_refused_even_if_it_is_the_only_one() -> None:
    plan = choose_remedy(facts(), database(ONLY_NEWER, NEW_FAULT), suites=["bookworm-backports"])
    assert chosen(plan) is None
    assert plan["says"] == "no kernel in reach fixes atlantic-test (enp1s0): 4 refused"
    assert plan["advice"][0]["command"] == "ethtool -K enp1s0 gro off"


def test_versions_that_would_be_bad_are_blocked() -> None:
    """In every suite, also one that may not be chosen from: an upgrade by hand would take it."""
    plan = choose_remedy(facts(), database(ONLY_NEWER, NEW_FAULT), suites=["bookworm-security"])
    assert chosen(plan) == "6.12.117-1~deb12u1"
    assert plan["blocked"] == ["6.1.192-2", "6.12.95-1~bpo12+1"]


def test_what_runs_and_what_is_merely_not_chosen_are_not_blocked() -> None:
    assert choose_remedy(facts(), database())["blocked"] == []


def test_a_part_of_the_faults_is_better_than_none() -> None:
    never = entry(id="never", kernel={"any": True}, debian=None)
    plan = choose_remedy(facts(), database(ENTRY, never))
    assert chosen(plan) == "6.1.192-2"
    assert (plan["choice"]["fixes"], plan["choice"]["left"]) == (["atlantic-test"], ["never"])
    assert "it leaves never" in plan["says"]


def test_no_kernel_fixes_it() -> None:
    plan = choose_remedy(facts(), database(entry(kernel={"any": True}, debian=None)))
    assert plan["needed"] is True
    assert plan["choice"] is None
    assert plan["says"].startswith("no kernel in reach fixes atlantic-test (enp1s0)")


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (facts(package_version="6.1.192-2"), "no pairing of this host is bad"),
        (facts(package_version="6.1.199-1"), "known to be bad, and its verdict is unknown"),
        ({}, "known to be bad, and its verdict is unknown"),
        (facts({}), "no kernel in reach fixes atlantic-test (enp1s0): apt offers no kernel"),
        (facts("nonsense"), "no candidates were collected"),
        (facts({"x": [{"package": "linux-image-amd64", "version": "; rm"}, 5]}), "apt offers no kernel"),
    ],
)
def test_nothing_to_choose(given_: t.Any, said: str) -> None:
    plan = choose_remedy(given_, database())
    assert plan["choice"] is None
    assert said in plan["says"]


def test_a_waived_pairing_needs_no_kernel() -> None:
    waiver = Waiver("atlantic-test", (), "x", "2026-12-31")
    plan = choose_remedy(facts(), database(), waivers=[waiver], host="a", today="2026-11-23")
    assert (plan["needed"], plan["choice"], plan["refused"]) == (False, None, [])


def test_only_bad_leads_to_a_kernel() -> None:
    for use in ("advise", "info", "historical"):
        plan = choose_remedy(facts(), database(entry(suggested_use=use)))
        assert plan["needed"] is False


def test_a_candidate_of_which_the_fix_is_not_known_is_refused() -> None:
    rows = [{"branch": "6.1", "first_bad": "6.1.0", "first_good": None}]
    plan = choose_remedy(facts(), database(entry(kernel={"affected": rows}, debian=None)))
    assert chosen(plan) is None
    assert "whether it carries the fix cannot be told" in refused(plan, "6.12.117-1~deb12u1")


NEEDS = entry(
    id="needs-file",
    suggested_use="file-check",
    firmware={"part_of_pairing": True, "role": "required-file", "decidable_from_host": True, "files": ["a/b.pkg"]},
    kernel={"affected": [{"branch": "mainline", "first_bad": "6.10", "first_good": None}]},
    debian=None,
)


@pytest.mark.parametrize(("files", "present"), [({}, None), ({"a/b.pkg": False}, False), ({"a/b.pkg": True}, True)])
def test_files_that_the_new_kernel_needs(files: dict[str, bool], present: bool | None) -> None:
    seen = facts(nic={"firmware_files": files})
    data = database(ONLY_NEWER, NEEDS)
    plan = choose_remedy(seen, data)
    assert chosen(plan) == "6.12.117-1~deb12u1", "a missing file is put there, it does not refuse the kernel"
    needed = [(row["path"], row["present"], row["nics"]) for row in plan["choice"]["needs_files"]]
    assert needed == ([] if present else [("a/b.pkg", present, ["enp1s0"])])
    assert ("before it is booted /lib/firmware needs a/b.pkg" in plan["says"]) == (present is False)
    assert required_files(seen, data, candidate_kernel("6.1.192-2")) == []


def test_a_missing_file_alone_changes_no_kernel() -> None:
    seen = facts(nic={"firmware_files": {"a/b.pkg": False}}, package_version="6.12.100-1")
    plan = choose_remedy(seen, database(NEEDS))
    assert plan["needed"] is True
    assert plan["choice"] is None
    assert "install the file" in plan["says"]


def test_what_else_comes_with_it() -> None:
    seen = facts(taint={"value": 1 << 12})
    seen["nics"][0]["driver_version"] = "6.1.0-37-amd64"
    counts = {"6.12.117-1~deb12u1": {"fixed": 40, "brought": 3}}
    choice = choose_remedy(seen, database(ONLY_NEWER), derived=counts)["choice"]
    assert choice["derived"] == {"fixed": 40, "brought": 3}
    assert any("DKMS" in note for note in choice["notes"])
    assert choice["capture"]["dump_level"] == 17
    assert "G9" in choice["capture"]["reason"]
    assert "crash 8.0.2-1 does not know kernels from 6.4 on" in choice["capture"]["crash"]


@pytest.mark.parametrize(
    ("version", "kernel", "known"),
    [
        ("8.0.2-1", "6.1.192-2", True),
        ("8.0.2-1", "6.12.117-1", False),
        ("8.0.6-1", "6.12.117-1", True),
        ("8.0.6-1", "7.3.4-1~bpo13+1", False),
        ("9.0.2-1", "7.0.10-1~bpo13+1", False),
        ("9.0.3-1", "7.3.4-1", True),
    ],
)
def test_crash_reads(version: str, kernel: str, known: bool) -> None:
    assert (crash_reads(version, candidate_kernel(kernel)) == "") is known


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("6.12.117-1", "6.12.117+deb13-amd64"),
        ("6.12.90-2", "6.12.90+deb13.1-amd64"),
        ("6.12.117-1~deb12u1", "6.12.117+deb12-amd64"),
        ("6.12.95-1~bpo12+1", "6.12.95+deb12-amd64"),
        ("7.3.4-1~bpo13+1", "7.3.4+deb13-amd64"),
        ("6.1.192-2", None),  # "There is no formula"
        ("7.3.4-1", None),
        ("nonsense", None),
    ],
)
def test_release_guess(version: str, release: str | None) -> None:
    assert release_guess(version, "6.1.0-37-amd64") == release


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON, JSON, JSON)
def test_whatever_the_facts_hold_nothing_is_raised(candidates: t.Any, capture: t.Any, rest: t.Any) -> None:
    seen = facts(candidates)
    seen["capture"] = capture
    choose_remedy(seen, database())
    seen = facts()
    seen["capture"] = {"tools": capture, "managed": rest}
    choose_remedy(seen, database())
    choose_remedy(rest, database())


@settings(deadline=None)
@given(st.permutations(sorted(OFFERED)))
def test_the_order_of_the_suites_does_not_matter(order: list[str]) -> None:
    candidates: dict[str, t.Any] = {}
    for suite in order:
        candidates.setdefault(suite.strip(), []).append(dict(zip(("package", "version"), OFFERED[suite])))
    assert chosen(choose_remedy(facts(candidates), database())) == "6.1.192-2"


def test_the_choice_is_not_bad_when_it_is_judged_as_running() -> None:
    data = database(ONLY_NEWER, NEW_FAULT)
    version = chosen(choose_remedy(facts(), data))
    assert version is not None
    again = judge.judge_host(facts(), data, kernel=candidate_kernel(version, "x86_64"))
    assert again["verdict"] == "clear"
