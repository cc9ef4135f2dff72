# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Where hosts stand after a run: rows, table, next command."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import rack
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError

PROBLEM = {
    "id": "not_armed",
    "severity": "error",
    "gap": "G2",
    "message": "no capture kernel is loaded",
    "remedy": "reboot",
}
WARNING = {**PROBLEM, "severity": "warning", "message": "little space"}
FACTS = {
    "kernel": {"release": "6.12.95+deb13-amd64"},
    "nics": [
        {
            "name": "eth0",
            "virtual": False,
            "driver": "ixgbe",
            "pci": {"vendor": "8086", "device": "10fb"},
            "firmware": {"raw": "0x61c10001"},
        },
        {"name": "bond0", "virtual": True},
    ],
    "capture": {"armed": False, "reserved_bytes": 0},
}


def pin(phase: str, *changes: str) -> dict[str, t.Any]:
    named = [{"name": name} for name in changes]
    return {"phase": phase, "package": "linux-image-amd64", "version": "6.12.9-1", "changes": named}


def result(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "applicable": True,
        "armed": True,
        "problems": [],
        "changes": [],
        "reboot_required": False,
        "reboot_reasons": [],
        "capture": {"armed": True, "reserved_bytes": 256 * 1024**2, "applicable_reason": None},
        **changed,
    }


@pytest.mark.parametrize(
    ("seen", "check", "state"),
    [
        ({"facts": FACTS, "result": result()}, False, "armed"),
        ({"facts": FACTS, "result": result(problems=[WARNING])}, False, "armed"),
        ({"facts": FACTS, "result": result(problems=[PROBLEM])}, False, "not armed"),
        ({"facts": FACTS, "result": result(armed=False, problems=[PROBLEM])}, False, "not armed"),
        ({"facts": FACTS, "result": result(armed=None, problems=[])}, False, "not armed"),
        (
            {"facts": FACTS, "result": result(armed=False, reboot_required=True, reboot_reasons=["r"])},
            False,
            "pending reboot",
        ),
        ({"facts": FACTS, "result": result(applicable=False, armed=None)}, False, "not applicable"),
        ({"facts": FACTS, "result": None, "failure": "kdump: full /var"}, False, "failed"),
        ({"facts": FACTS, "result": result(), "failure": "did not come back"}, False, "failed"),
        ({"facts": None, "unreachable": True, "failure": "timed out"}, False, "unreachable"),
        ({}, False, "failed"),
        # A run for the kernel alone has no result of the module kdump.
        ({"facts": FACTS, "pin": pin("committed")}, False, "pinned"),
        ({"facts": FACTS, "pin": pin("none")}, False, "not pinned"),
        ({"facts": FACTS, "pin": pin("staged")}, False, "pending reboot"),
        ({"facts": FACTS, "pin": pin("armed")}, False, "pending reboot"),
        ({"facts": FACTS, "pin": pin("trial")}, False, "failed"),
        ({"facts": FACTS, "pin": pin("returned")}, False, "failed"),
        ({"facts": FACTS, "pin": pin("failed")}, False, "failed"),
        ({"facts": FACTS, "pin": pin("none", "package linux-image-amd64")}, True, "would change"),
        ({"facts": FACTS, "pin": pin("committed")}, True, "pinned"),
        ({"facts": None, "pin": None, "unreachable": True, "failure": "timed out"}, False, "unreachable"),
        ({"facts": FACTS, "result": result(changes=[{"name": "file /x"}])}, True, "would change"),
        ({"facts": FACTS, "result": result()}, True, "armed"),
        ({"facts": FACTS, "result": result(armed=False, reboot_required=True)}, True, "pending reboot"),
    ],
)
def test_state(seen: dict[str, t.Any], check: bool, state: str) -> None:
    row = rack.judge_host("h", seen, check)
    assert row.state == state
    assert (state in rack.UNFINISHED) == (state in ("failed", "unreachable", "not armed", "pending reboot"))


def test_armed_is_what_the_kernel_said_never_what_is_missing() -> None:
    assert rack.judge_host("h", {"facts": FACTS, "result": result()}, False).armed == "yes"
    lost = rack.judge_host("h", {"facts": FACTS, "result": result(), "failure": "did not come back"}, False)
    assert (lost.armed, lost.reserved) == ("?", "?"), "what was seen before is not what is"
    assert rack.judge_host("h", {}, False).armed == "?"


def test_table_has_every_host_and_no_control_character() -> None:
    rows = [
        rack.judge_host("good", {"facts": FACTS, "result": result()}, False),
        rack.judge_host("bad\x1b[31m", {"unreachable": True, "failure": "no\nroute " + "x " * 400}, False),
    ]
    table = rack.render_table(rows)
    assert "good" in table
    assert "eth0 8086:10fb ixgbe fw 0x61c10001" in table
    assert "bond0" not in table
    assert "256 MiB" in table
    assert "\x1b" not in table
    assert max(map(len, table.splitlines())) < 200


@pytest.mark.parametrize("width", [30, 60, 80])
def test_narrow_terminal_gets_blocks_with_all_of_it(width: int) -> None:
    rows = [
        rack.judge_host(
            "store1.example.org", {"facts": FACTS, "result": result(armed=False, problems=[PROBLEM])}, False
        ),
        rack.judge_host("bad\x1b[31m", {"unreachable": True, "failure": "no route " + "x " * 90}, False),
    ]
    text = rack.render_blocks(rows, width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "store1.example.org: not armed kernel 6.12.95+deb13-amd64, armed yes, reserved 256 MiB" in words
    assert "eth0 8086:10fb ixgbe fw 0x61c10001" in words
    assert "no capture kernel is loaded. Next: reboot" in words
    assert "\x1b" not in text


def test_next_command_asks_for_the_reboots_that_are_left() -> None:
    pending = rack.judge_host("a", {"result": result(armed=False, reboot_required=True)}, False)
    failed = rack.judge_host("b", {"failure": "x"}, False)
    good = rack.judge_host("c", {"result": result()}, False)
    command = "ansible-playbook harden-crash.yml -i rack"
    assert rack.next_command([good], command) == ""
    assert rack.next_command([good, pending], command) == command + ' -e \'{"crashready_yes_reboot": ["a"]}\''
    left = command + ' -e \'{"crashready_yes_reboot": ["a"]}\''
    assert rack.next_command([pending, failed], command) == "mend what is listed, then: " + left
    assert rack.next_command([good, failed], command) == "mend what is listed, then: " + command


def test_host_that_gave_its_capture_up_is_shown_and_is_no_failure() -> None:
    seen = {"result": result(armed=False, reboot_required=True, state="absent", kept=["a package"])}
    row = rack.judge_host("a", seen, False)
    assert row.state == "removed"
    assert row.state not in rack.UNFINISHED
    assert row.problems[0] == "a package"
    assert rack.why_not_armed(seen["result"]) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ("a,b", ["a", "b"]),
        ("a", ["a"]),
        (" a , ", ["a"]),
        ("all", ["all"]),
        ([], []),
        ("", []),
    ],
)
def test_host_list(value: t.Any, expected: list[str]) -> None:
    assert rack.host_list(value) == expected


@pytest.mark.parametrize("value", [None, True, 3, {"a": 1}, [1]])
def test_host_list_refuses_what_is_none(value: t.Any) -> None:
    with pytest.raises(CoreError):
        rack.host_list(value)
