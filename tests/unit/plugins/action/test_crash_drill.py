# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The controller's steps of a drill: waiting with an end, and keeping the outcome."""

from __future__ import annotations

import json
import pathlib
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.rackops.crashready.plugins.action import crash_drill

OLD, NEW = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


class Connection:
    """Knows the one option that is changed."""

    def __init__(self) -> None:
        self.options = {"ssh_extra_args": "-4"}
        self.resets = 0

    def get_option(self, name: str) -> str:
        return self.options[name]

    def set_option(self, name: str, value: str) -> None:
        self.options[name] = value

    def reset(self) -> None:
        self.resets += 1


def action(
    monkeypatch: pytest.MonkeyPatch, answers: list[t.Any], check_mode: bool = False, **args: t.Any
) -> crash_drill.ActionModule:
    """The plugin with a clock that only its own pauses move; the last answer is given again and again."""
    clock = [0.0]
    monkeypatch.setattr(crash_drill.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(crash_drill.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *args, **kwargs: {})
    plugin = object.__new__(crash_drill.ActionModule)
    plugin._task = types.SimpleNamespace(args=args, check_mode=check_mode)
    plugin._connection = Connection()
    queue = list(answers)

    def execute(**_kwargs: t.Any) -> t.Any:
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    monkeypatch.setattr(plugin, "_execute_module", execute, raising=False)
    return plugin


def wait(monkeypatch: pytest.MonkeyPatch, answers: list[t.Any], **args: t.Any) -> dict[str, t.Any]:
    plugin = action(monkeypatch, answers, action="wait", boot_id_before=OLD, **{"timeout_s": 100, **args})
    return plugin.run(task_vars={"inventory_hostname": "store1"})


GONE = AnsibleConnectionFailure("Failed to connect to the host via ssh: a long command line")


def test_waits_until_another_boot_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    result = wait(monkeypatch, [{"boot_id": OLD}, GONE, GONE, {"boot_id": NEW, "in_capture": True}, {"boot_id": NEW}])
    assert (result["returned"], result["boot_id"], result["after_s"]) == (True, NEW, 35.0)
    assert result["timeline"] == [
        {"at_s": 15.0, "said": "old boot"},
        {"at_s": 20.0, "said": "silent (no connection)"},
        {"at_s": 30.0, "said": "capture kernel"},
        {"at_s": 35.0, "said": "new boot"},
    ]


def test_gives_up_and_tells_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    result = wait(monkeypatch, [{"boot_id": OLD}, GONE])
    assert result["returned"] is False
    assert result["after_s"] == 100.0
    assert "within 100 s" in result["msg"]
    assert "15 s: old boot, 20 s: silent (no connection)" in result["msg"]
    assert "capture.json" in result["msg"]


def test_a_capture_kernel_that_never_ends_is_no_return(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wait(monkeypatch, [{"boot_id": NEW, "in_capture": True}])["returned"] is False


def test_a_host_that_never_went(monkeypatch: pytest.MonkeyPatch) -> None:
    result = wait(monkeypatch, [{"boot_id": OLD}], timeout_s=3600)
    assert (result["returned"], result["boot_id"], result["after_s"]) == (True, OLD, 300.0)
    assert "never left the boot" in result["msg"]


def test_a_silent_connection_is_ended_by_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = action(monkeypatch, [{"boot_id": NEW}], action="wait", boot_id_before=OLD)
    plugin.run(task_vars={})
    assert plugin._connection.options["ssh_extra_args"] == "-4 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
    assert plugin._connection.resets == 1


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match="boot_id_before"):
        action(monkeypatch, [{}], action="wait").run(task_vars={})
    with pytest.raises(AnsibleActionFail, match="no number of seconds"):
        wait(monkeypatch, [{}], timeout_s="soon")


def test_check_mode_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = action(monkeypatch, [GONE], check_mode=True, action="wait", boot_id_before=OLD)
    assert plugin.run(task_vars={})["skipped"] is True


def test_the_controller_and_the_members_are_told_to_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [{"item": "store2", "unreachable": True, "msg": "no route"}]
    plugin = action(monkeypatch, [{"resume": False}], action="check", name="store1", members=members)
    plugin.run(task_vars={"inventory_hostname": "store1"})
    assert plugin._task.args["members"] == {"store2": "it does not answer (no route)"}
    own = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert plugin._task.args["controller_boot_id"] == own


def test_outcome_is_kept_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    dest = tmp_path / "new" / "store1.json"
    steps = {"check": {"resume": True}, "read": {"proven": True, "reasons": []}}
    plugin = action(monkeypatch, [{}], action="conclude", name="store1", steps=steps, dest=str(dest))
    result = plugin.run(task_vars={})
    assert result["outcome"]["state"] == "proven"
    assert json.loads(dest.read_text()) == result["outcome"]
    assert dest.stat().st_mode & 0o777 == 0o600
    assert dest.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in dest.parent.iterdir()] == ["store1.json"]


def test_outcome_that_cannot_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    dest = str(tmp_path / "file" / "store1.json")
    plugin = action(monkeypatch, [{}], action="conclude", name="store1", steps={}, dest=dest)
    with pytest.raises(AnsibleActionFail, match="crash_drill_records"):
        plugin.run(task_vars={})
