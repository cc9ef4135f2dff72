# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From the results of the steps to the state of a host."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drilloutcome
from hypothesis import given
from hypothesis import strategies as st

CHECK = {"resume": False, "notes": ["no group"], "estimate": None, "drill_id": None}
GOOD: dict[str, t.Any] = {
    "check": CHECK,
    "shrink": {"skipped": True},
    "prepare": {"drill_id": "0123456789abcdef"},
    "panic": {"changed": True},
    "wait": {"returned": True, "after_s": 61.2, "timeline": [{"at_s": 20.0, "said": "silent (no connection)"}]},
    "read": {"proven": True, "reasons": [], "record": None, "proposal": None},
    "console": {"skipped": True},
}


def test_proven() -> None:
    outcome = drilloutcome.judge_steps("store1", GOOD, False)
    assert (outcome["state"], outcome["reasons"], outcome["next"]) == ("proven", [], "")
    assert (outcome["drill_id"], outcome["returned_after_s"]) == ("0123456789abcdef", 61.2)


@pytest.mark.parametrize(
    ("changed", "state", "told"),
    [
        ({"check": {"unreachable": True, "msg": "no route"}}, "unreachable", "no route"),
        ({"check": {}}, "refused", "was not reached"),
        ({"check": {"failed": True, "msg": "no python"}}, "refused", "no python"),
        (
            {"check": {"failed": True, "blockers": [{"message": "a", "remedy": "b"}, {"message": "c", "remedy": "b"}]}},
            "refused",
            "a; c",
        ),
        ({"prepare": {"unreachable": True, "msg": "gone"}}, "unreachable", "gone"),
        ({"shrink": {"failed": True, "msg": "does not load"}}, "unproven", "does not load"),
        ({"panic": {"failed": True, "msg": "no systemd-run"}}, "refused", "no systemd-run"),
        ({"panic": {"unreachable": True, "failed": True}}, "proven", ""),
        ({"wait": {"returned": False, "msg": "silence"}}, "hung", "silence"),
        ({"read": {}}, "unproven", "before the dump was looked at"),
        ({"read": {"unreachable": True, "msg": "gone again"}}, "unreachable", "gone again"),
        ({"read": {"failed": True, "msg": "no room"}}, "unproven", "no room"),
        ({"read": {"proven": False, "reasons": ["0 bytes"]}}, "unproven", "0 bytes"),
        ({"read": {"proven": "yes", "reasons": []}}, "unproven", "nothing says why"),
    ],
)
def test_states(changed: dict[str, t.Any], state: str, told: str) -> None:
    outcome = drilloutcome.judge_steps("store1", {**GOOD, **changed}, False)
    assert outcome["state"] == state
    assert told in "; ".join(outcome["reasons"])
    assert bool(outcome["next"]) == (state != "proven")


def test_a_resumed_drill_has_no_panic() -> None:
    steps = {"check": {**CHECK, "resume": True, "drill_id": "fedcba9876543210"}, "read": GOOD["read"]}
    outcome = drilloutcome.judge_steps("store1", steps, False)
    assert (outcome["state"], outcome["drill_id"]) == ("proven", "fedcba9876543210")


def test_check_mode() -> None:
    assert drilloutcome.judge_steps("store1", {"check": CHECK}, True)["state"] == "would go"


def test_console_is_cut_and_cleaned() -> None:
    steps = {**GOOD, "console": {"stdout": "\n".join(["\x1b[31mline"] * 100)}}
    console = drilloutcome.judge_steps("store1", steps, False)["console"]
    assert len(console) == 40
    assert console[0] == "[31mline"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"boot_id": "x", "in_capture": False, "under_way": None}, None),
        ({"unreachable": True, "msg": "no route"}, "it does not answer (no route)"),
        ({"failed": True, "msg": "no python"}, "no python"),
        ({"failed": False, "msg": "no python"}, "no python"),
        ({"boot_id": "x", "in_capture": True}, "it is in its capture kernel"),
        ({"boot_id": "x", "under_way": "a drill (1) is under way on it"}, "a drill (1) is under way on it"),
    ],
)
def test_members(result: dict[str, t.Any], expected: str | None) -> None:
    assert drilloutcome.members_from([{"item": "store2", **result}]) == {"store2": expected}


@pytest.mark.parametrize(("value", "expected"), [(None, {}), ([], {}), ({"a": "", "b": "x"}, {"a": None, "b": "x"})])
def test_members_given_otherwise(value: t.Any, expected: dict[str, str | None]) -> None:
    assert drilloutcome.members_from(value) == expected


@pytest.mark.parametrize(
    ("result", "error", "expected"),
    [
        ({"boot_id": "a"}, None, "old boot"),
        ({"boot_id": "b"}, None, "new boot"),
        ({"boot_id": "b", "in_capture": True}, None, "capture kernel"),
        ({"boot_id": "a", "in_capture": True}, None, "capture kernel"),
        (None, "no connection", "silent (no connection)"),
        ({"failed": True, "msg": "x"}, None, "silent (x)"),
        (None, None, "silent (no answer)"),
    ],
)
def test_what_a_host_says(result: dict[str, t.Any] | None, error: str | None, expected: str) -> None:
    assert drilloutcome.heard(result, error, "a") == expected


MIB = 1024 * 1024


def test_rendered() -> None:
    usual = [{"whose": "Debian 13", "crashkernel": "512M-:192M", "bytes": 192 * MIB, "saved_bytes": -16 * MIB}]
    proposal = {"crashkernel": "208M", "bytes": 208 * MIB, "parts": [], "reason": "166M + 42M", "usual": usual}
    record = {"dump_path": "/var/crash/1/dump.1", "dump_bytes": 34 * MIB, "seconds": 21}
    record.update(lowest_available_bytes=90 * MIB, identity={"reserved_bytes": 256 * MIB})
    steps = {**GOOD, "read": {**GOOD["read"], "record": record, "proposal": proposal}}
    text = drilloutcome.render_outcomes([drilloutcome.judge_steps("store1", steps, False)])
    for part in ("store1: PROVEN", "34 MiB; capture took 21 s; 90 MiB of 256 MiB left", "back after 61 s"):
        assert part in text
    assert "crashkernel=208M = 166M + 42M" in text
    assert "Debian 13 reserves 192 MiB: too small by 16 MiB" in text


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=2))


@given(
    st.dictionaries(
        st.sampled_from([*drilloutcome.NAMES, "console"]),
        st.dictionaries(st.sampled_from(["failed", "unreachable", "returned", "proven", "msg", "skipped"]), ANY),
    )
)
def test_only_a_true_verdict_is_proven(steps: dict[str, t.Any]) -> None:
    outcome = drilloutcome.judge_steps("h", steps, False)
    assert outcome["state"] in drilloutcome.STATES
    if outcome["state"] == "proven":
        assert steps["read"]["proven"] is True
    drilloutcome.render_outcomes([outcome])


def test_channels_are_told_and_decide_nothing() -> None:
    channels = [{"name": "netconsole", "state": "not proven", "reason": "nothing \x1b[31mcame"}, "garbage"]
    steps = {**GOOD, "read": {**GOOD["read"], "channels": channels}}
    outcome = drilloutcome.judge_steps("store1", steps, False)
    assert outcome["state"] == "proven"
    text = drilloutcome.render_outcomes([outcome])
    assert "channel netconsole: not proven (nothing  [31mcame)" in text
    assert "\x1b" not in text
