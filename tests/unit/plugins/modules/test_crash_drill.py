# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The module crash_drill: arguments in, JSON out. Nothing here may come near a panic of this machine."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.problems import Problem
from ansible_collections.rackops.crashready.plugins.modules import crash_drill

try:  # ansible-core 2.19 on
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    pytest.skip("ansible-core before 2.19", allow_module_level=True)


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[t.Any, ...]]]:
    """Every step of `_change` is played."""
    made: list[tuple[str, tuple[t.Any, ...]]] = []
    for name in ("peer", "check", "prepare", "panic", "read", "clear", "shrink"):
        monkeypatch.setattr(
            crash_drill.steps, name, lambda *args, name=name: made.append((name, args)) or {"changed": False}
        )
    return made


def run(capsys: pytest.CaptureFixture[str], **given: t.Any) -> dict[str, t.Any]:
    with patch_module_args(given), pytest.raises(SystemExit):
        crash_drill.main()
    out: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "action"),
        ({"action": "explode"}, "value of action must be one of"),
        ({"action": "check"}, "name"),
        ({"action": "panic", "name": "a"}, "drill_id"),
        ({"action": "shrink"}, "size"),
        ({"action": "shrink", "size": "small"}, "is not a size"),
        ({"action": "wait"}, "done on the controller"),
        ({"action": "conclude"}, "done on the controller"),
        ({"action": "check", "name": "a", "kind": "axe"}, "value of kind must be one of"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str], calls: list[t.Any], given: dict[str, t.Any], told: str
) -> None:
    result = run(capsys, **given)
    assert result["failed"] is True
    assert told in result["msg"]
    assert calls == []


def test_arguments_reach_the_step(capsys: pytest.CaptureFixture[str], calls: list[t.Any]) -> None:
    given = {"name": "store1", "consent": "store1", "drill_id": "0" * 16, "group": "", "members": {"b": None}}
    assert run(capsys, action="panic", _ansible_check_mode=True, **given)["changed"] is False
    ((name, (_host, drill_id, asked, interface, check_mode)),) = calls
    assert (name, drill_id, interface, check_mode) == ("panic", "0" * 16, None, True)
    assert (asked.name, asked.consent, asked.kind, asked.group) == ("store1", "store1", "sysrq", None)
    assert asked.members == {"b": None}


def test_size_is_read_as_the_kernel_does(capsys: pytest.CaptureFixture[str], calls: list[t.Any]) -> None:
    run(capsys, action="shrink", size="160M")
    assert calls[0][1][1] == 160 * 1024 * 1024


def test_every_reason_is_returned(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: t.Any) -> None:
        raise crash_drill.steps.Refused([Problem("a", "error", None, "x", "y"), Problem("b", "error", "G2", "z", "w")])

    monkeypatch.setattr(crash_drill.steps, "check", refuse)
    result = run(capsys, action="check", name="store1")
    assert result["failed"] is True
    assert [blocker["id"] for blocker in result["blockers"]] == ["a", "b"]
    assert result["msg"] == "x. Next: y; z. Next: w"


def test_what_stopped_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_args: t.Any) -> None:
        raise Stopped("reading the drill", "none was begun", "begin one")

    monkeypatch.setattr(crash_drill.steps, "read", stop)
    assert run(capsys, action="read")["msg"] == "reading the drill: none was begun. Next: begin one"


def test_documentation_is_that_of_the_arguments() -> None:
    options = yaml.safe_load(crash_drill.DOCUMENTATION)["options"]
    assert set(options) == set(crash_drill.ARGUMENT_SPEC)
    for name, spec in crash_drill.ARGUMENT_SPEC.items():
        for key in ("type", "default", "choices", "required"):
            assert options[name].get(key) == spec.get(key), (name, key)
