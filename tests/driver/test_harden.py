# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready harden`: the exit code is that of the worst host, 1 before 2."""

from __future__ import annotations

import json
import pathlib

import pytest

from crashready.exits import BAD, FAILED, UNKNOWN, WELL
from crashready.rack_run import rack_exit_code


@pytest.mark.parametrize(
    ("states", "ansible", "ours"),
    [
        (["armed", "armed"], 0, WELL),
        (["armed", "not applicable"], 0, WELL),
        (["armed", "pending reboot"], 2, BAD),
        (["armed", "not armed"], 2, BAD),
        (["failed", "unreachable"], 2, BAD),
        (["armed", "unreachable"], 2, UNKNOWN),
        (["would change", "armed"], 0, WELL),
        ([], 250, FAILED),
    ],
)
def test_worst_host_decides(tmp_path: pathlib.Path, states: list[str], ansible: int, ours: int) -> None:
    report = tmp_path / "rack.json"
    report.write_text(
        json.dumps({"schema": 1, "rows": [{"host": "h", "state": state} for state in states], "next": ""})
    )
    assert rack_exit_code(report, ansible) == ours


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"rows": [1]}'])
def test_run_that_ended_before_the_table_keeps_its_own_code(tmp_path: pathlib.Path, text: str | None) -> None:
    report = tmp_path / "rack.json"
    if text is not None:
        report.write_text(text)
    assert rack_exit_code(report, 4) == UNKNOWN
    assert rack_exit_code(report, 0) == UNKNOWN, "no table: no host was reached"
