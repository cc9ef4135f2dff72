# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What each channel brought of a drill."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillchannels
from ansible_collections.rackops.crashready.plugins.module_utils._core.drillchannels import Heard, hear, judge_heard

ID = "0123456789abcdef"
MARK = "[   98.0] crashready-drill-0123456789abcdef\n"
PANIC = "[   98.1] Kernel panic - not syncing: sysrq triggered crash\n"


@pytest.mark.parametrize(
    ("armed", "heard", "name", "state"),
    [
        ({"pstore": True}, {"pstore": hear(MARK + PANIC, ID, "x")}, "pstore", "proven"),
        ({"pstore": True}, {"pstore": hear(PANIC + MARK, ID, "x")}, "pstore", "proven"),
        ({"pstore": True}, {"pstore": hear(MARK, ID, "x")}, "pstore", "not proven"),
        ({"pstore": True}, {"pstore": hear(PANIC, ID, "x")}, "pstore", "not proven"),
        ({"pstore": False}, {"pstore": hear("", ID, "x")}, "pstore", "not armed"),
        # What came through was armed, whatever was seen before.
        ({"pstore": False}, {"pstore": hear(MARK + PANIC, ID, "x")}, "pstore", "proven"),
        ({"pstore": None}, {"pstore": hear("", ID, "x")}, "pstore", "not proven"),
        ({"journal": True}, {"journal": hear(MARK, ID, "x")}, "journal", "proven"),
        ({"netconsole": True}, {}, "netconsole", "not seen"),
        (
            {"netconsole": True},
            {"netconsole": Heard(None, False, "the receiver: unreachable")},
            "netconsole",
            "not seen",
        ),
        ({"netconsole": False}, {"netconsole": Heard(None, False, "no answer")}, "netconsole", "not armed"),
        ({}, {"serial": None}, "serial", "not seen"),
    ],
)
def test_states(armed: dict[str, t.Any], heard: dict[str, Heard | None], name: str, state: str) -> None:
    found = {each["name"]: each for each in judge_heard(armed, heard, True)}
    assert found[name]["state"] == state
    assert found[name]["reason"]


def test_the_dump_is_a_channel_too() -> None:
    assert [judge_heard({}, {}, opened)[0]["state"] for opened in (True, False)] == ["proven", "not proven"]


def test_the_record_comes_back_and_garbage_does_not() -> None:
    channels = judge_heard({"pstore": True}, {"pstore": hear(MARK + PANIC, ID, "x")}, True)
    text = drillchannels.render_record(ID, 1.5, channels)
    assert drillchannels.parse_record(text)["pstore"] == "proven"
    for bad in ("", "[]", "{", '{"channels": 3}', '{"channels": [{"name": "x", "state": "proven"}]}', "[" * 9999):
        assert drillchannels.parse_record(bad) == {}
