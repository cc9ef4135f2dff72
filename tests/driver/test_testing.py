# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The test runner: what it counts, in which order, and that it cannot pass by accident."""

from __future__ import annotations

import pathlib

import pytest

from crashready import testing
from crashready.testing import Counts, Result, Step

JUNIT = '<testsuites><testsuite tests="{0}" failures="{1}" errors="{2}" skipped="{3}"/></testsuites>'


@pytest.mark.parametrize(
    ("report", "code", "own", "expected"),
    [
        (JUNIT.format(10, 0, 0, 0), 0, 0, Counts(10, 0, 0)),
        (JUNIT.format(10, 2, 1, 3), 1, 0, Counts(4, 3, 3)),
        (JUNIT.format(4, 0, 0, 0), 0, 1, Counts(5, 0, 0)),
        # The tests went well and something around them did not.
        (JUNIT.format(4, 0, 0, 0), 1, 1, Counts(4, 1, 0)),
        # Nothing ran: never a success.
        ("", 0, 0, Counts(0, 1, 0)),
        ("", 5, 0, Counts(0, 1, 0)),
        ("<testsuites", 1, 0, Counts(0, 1, 0)),
        # A scenario without a verify step has itself to count.
        ("", 0, 1, Counts(1, 0, 0)),
    ],
)
def test_counts(tmp_path: pathlib.Path, report: str, code: int, own: int, expected: Counts) -> None:
    path = tmp_path / "report.xml"
    path.write_text(report, encoding="utf-8")
    assert testing.junit_counts(str(path), code, own) == expected


def _step(name: str, script: str, **more: object) -> Step:
    return Step(name, "a step", ("sh", "-c", script), **more)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> str:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "sh").symlink_to("/bin/sh")
    return str(tmp_path)


def test_slow_steps_are_left_out_after_a_failure(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    steps = [_step("one", "exit 1"), _step("two", "echo evidence"), _step("three", "echo never", slow=True)]
    results = testing.run_steps(place, steps)
    assert [result.counts for result in results] == [Counts(0, 1), Counts(1, 0), None]
    assert results[2].note == "not run: one failed before"
    out = capfd.readouterr().out
    assert "evidence" in out
    assert "\nnever" not in out
    assert testing.summary(results).splitlines()[-1] == "1 passed, 1 failed"
    assert [result.counts for result in testing.run_steps(place, steps, keep_going=True)][2] == Counts(1, 0)


def test_a_step_that_hangs_is_ended_with_all_it_started(place: str) -> None:
    step = _step("hang", "sleep 60 & sleep 60", time_limit_s=1)
    (result,) = testing.run_steps(place, [step])
    assert result.counts == Counts(0, 1)
    assert result.note == "took longer than 1 s and was ended"
    assert result.seconds < 30


def test_a_missing_program_is_a_failure(place: str) -> None:
    (result,) = testing.run_steps(place, [Step("gone", "a step", ("no-such-program",))])
    assert result.counts == Counts(0, 1)
    assert "no-such-program is missing" in result.note


def test_steps_see_no_stdin_and_no_stale_state(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    (result,) = testing.run_steps(place, [_step("env", 'read x; echo "[$x]"; echo "$ANSIBLE_HOME"')])
    assert result.counts == Counts(1, 0)
    out = capfd.readouterr().out
    assert "[]\n" in out
    assert "/crashready-" in out


def test_summary_has_every_step_and_the_line_ci_reads() -> None:
    results = [
        Result(_step("a", ""), Counts(1, 0), 1.0),
        Result(_step("b", "", counts_tests=True), Counts(40, 2, 3), 2.0),
        Result(_step("c", ""), None, note="not run: b failed before"),
    ]
    lines = testing.summary(results).splitlines()
    assert lines[-1] == "41 passed, 2 failed"
    assert [line.split()[0] for line in lines[2:5]] == ["a", "b", "c"]
    assert "FAILED" in lines[3]
    assert "40 passed, 2 failed, 3 skipped" in lines[3]


def test_order_of_steps(root: pathlib.Path) -> None:
    steps = testing.all_steps(str(root))
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    slow = [step.slow for step in steps]
    assert slow == sorted(slow)
    assert {"lint", "types", "ansible-lint", "unit", "driver", "sanity"} <= {
        step.name for step in steps if not step.extra and not step.slow
    }


def test_every_scenario_is_a_step(root: pathlib.Path) -> None:
    scenarios = {path.parent.name for path in (root / "molecule").glob("*/molecule.yml")}
    run = {step.argv[-1] for step in testing.all_steps(str(root)) if step.argv[0] == "molecule"}
    assert run == scenarios


def test_mypy_names_the_file_itself(root: pathlib.Path) -> None:
    line = testing._real_path(str(root), ".venv/typing/crashready/_core/errors.py:1: error: x\n")
    assert line == "plugins/module_utils/_core/errors.py:1: error: x\n"
    assert testing._real_path(str(root), "Success: no issues\n") == "Success: no issues\n"
