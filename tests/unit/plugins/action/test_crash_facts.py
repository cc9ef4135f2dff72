# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the action crash_facts makes of failures that Ansible tells in its own terms."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.action.crash_facts import ActionModule


def run(monkeypatch: pytest.MonkeyPatch, outcome: t.Any) -> dict[str, t.Any]:
    action = object.__new__(ActionModule)
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *args, **kwargs: {})

    def execute(self: t.Any, **kwargs: t.Any) -> t.Any:
        if isinstance(outcome, Exception):
            raise outcome
        return dict(outcome)

    monkeypatch.setattr(action, "_execute_module", types.MethodType(execute, action), raising=False)
    return action.run(task_vars={"inventory_hostname": "store1"})


# Texts as ansible-core 2.19 gave them for a guest of the test rack, or as its sources have them.
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"msg": "The module interpreter '/usr/bin/python3' was not found.", "rc": 127}, "has no Python"),
        ({"msg": "x", "module_stdout": "/bin/sh: 1: /usr/bin/python3: not found\r\n", "rc": 127}, "has no Python"),
        # a shim of pyenv that ansible's discovery took for an interpreter
        ({"msg": "x", "module_stderr": "pyenv: python3.13: command not found\n\nThe `python3.13'"}, "has no Python"),
        ({"msg": "x", "module_stderr": "/bin/sh: 1: sudo: not found\n", "rc": 127}, "no program to become root with"),
        (
            {"msg": "x", "module_stderr": "ansible-core requires a minimum of Python version 3.8. Current: 3.7.3"},
            "too old",
        ),
        (
            {
                "msg": "Module result deserialization failed",
                "module_stderr": "OSError: [Errno 28] No space left on device",
            },
            "no room for a temporary file",
        ),
        (
            {"msg": "x", "module_stderr": "No usable temporary directory found in ['/tmp']"},
            "no room for a temporary file",
        ),
    ],
)
def test_translated(monkeypatch: pytest.MonkeyPatch, result: dict[str, t.Any], expected: str) -> None:
    found = run(monkeypatch, {"failed": True, **result})
    assert found["failed"]
    assert found["msg"].startswith("store1 ")
    assert expected in found["msg"]
    assert "Next: " in found["msg"]
    assert found["ansible_msg"] == result["msg"], "what Ansible said is kept"


def test_other_failures_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, {"failed": True, "msg": "Incorrect sudo password"})["msg"] == "Incorrect sudo password"
    assert run(monkeypatch, {"changed": False, "msg": "was not found"}) == {"changed": False, "msg": "was not found"}


def test_discovery_that_found_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(monkeypatch, RuntimeError("No python interpreters found for host 'store1' (tried ['python3.12'])"))
    assert found["failed"]
    assert "has no Python" in found["msg"]


def test_lost_connection_is_ansibles_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionError):
        run(monkeypatch, ConnectionError("timed out"))
