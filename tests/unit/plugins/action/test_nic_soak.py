# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The controller's steps of a soak: pairs and ids, waiting with an end, and what is told."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible_collections.rackops.crashready.plugins.action import nic_soak
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakrecord
from ansible_collections.rackops.crashready.tests.unit.soak_seen import ID, OTHER, crash, record

PAIRS = [{"server": {"host": "store2", "nic": "eth1"}, "client": {"host": "store1", "nic": "eth1"}}]


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


class Stage:
    """The plugin with a clock that only its own pauses move; the last answer is given again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: t.Sequence[t.Any], **args: t.Any) -> None:
        self.clock_s, self.queue, self.asked = 0.0, list(answers), t.cast("list[dict[str, t.Any]]", [])
        monkeypatch.setattr(nic_soak.time, "monotonic", lambda: self.clock_s)
        monkeypatch.setattr(nic_soak.time, "sleep", self.sleep)
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *args, **kwargs: {})
        self.plugin = object.__new__(nic_soak.ActionModule)
        self.plugin._task = types.SimpleNamespace(args=args, check_mode=args.pop("check_mode", False))
        self.plugin._connection = Connection()
        monkeypatch.setattr(self.plugin, "_execute_module", self.execute, raising=False)

    def sleep(self, seconds: float) -> None:
        self.clock_s += seconds

    def execute(self, **how: t.Any) -> t.Any:
        self.asked.append(how)
        answer = self.queue.pop(0) if len(self.queue) > 1 else self.queue[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def run(self, **task_vars: t.Any) -> dict[str, t.Any]:
        return self.plugin.run(task_vars=task_vars)


def said(boot: str | None = None, crashes: t.Any = None, pending: bool = False, **more: t.Any) -> dict[str, t.Any]:
    """What state=looked gives."""
    found = record(**more)
    outcome = soakrecord.outcome(found, boot or found["boot_id"], crashes, True)
    return {"soak_id": ID, "boot_id": boot or found["boot_id"], "record": found, "pending": pending, "outcome": outcome}


RUNNING, DONE, PANIC = said(), said(state="done"), said(OTHER, [crash()])
CAPTURES = {**said(OTHER, []), "in_capture": True}
NEWER = "silent (the record is of schema 2, from a newer Crashready; this one reads 1)"
SILENCE = AnsibleConnectionFailure("ssh: the whole command")


@pytest.mark.parametrize(
    ("answers", "word", "timeline"),
    [
        ([DONE], "silent", ["silent"]),
        ([RUNNING, RUNNING, DONE], "silent", ["running", "silent"]),
        ([RUNNING, SILENCE, SILENCE, PANIC], "panic", ["running", "silent (no connection)", "panic"]),
        ([RUNNING, AnsibleError("odd"), RUNNING, DONE], "silent", ["running", "silent (odd)", "running", "silent"]),
        ([RUNNING, {"msg": "no python"}, PANIC], "panic", ["running", "silent (no python)", "panic"]),
        ([RUNNING, CAPTURES, PANIC], "panic", ["running", "silent (it is in its capture kernel)", "panic"]),
        ([{**RUNNING, "record": {"schema": 2}}, DONE], "silent", [NEWER, "silent"]),
        ([{**RUNNING, "outcome": []}, DONE], "silent", ["silent (no outcome of a soak: [])", "silent"]),
    ],
)
def test_waiting_ends(monkeypatch: pytest.MonkeyPatch, answers: list[t.Any], word: str, timeline: list[str]) -> None:
    stage = Stage(monkeypatch, answers, state="waited", soak_id=ID)
    found = stage.run()
    assert found["outcome"]["outcome"] == word
    assert [entry["said"] for entry in found["timeline"]] == timeline
    assert found["record"]["id"] == ID
    assert stage.asked[0]["module_args"] == {"state": "looked", "soak_id": ID}
    assert stage.plugin._connection.resets == len(answers) + 1
    assert "ServerAliveInterval" in stage.plugin._connection.options["ssh_extra_args"]


def test_a_look_is_believed_as_far_as_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Stage(monkeypatch, [PANIC], state="looked").run()["outcome"] == PANIC["outcome"]
    with pytest.raises(AnsibleActionFail, match="not to be believed"):
        Stage(monkeypatch, [{**PANIC, "outcome": {"outcome": 5}}], state="looked").run()


def test_a_host_that_does_not_return_is_lost_and_no_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [RUNNING, SILENCE], state="waited", soak_id=ID, return_limit_s=600)
    found = stage.run()
    assert found["outcome"]["outcome"] == "lost"
    assert "that alone is no panic" in found["outcome"]["reason"]
    assert found["outcome"]["last_sample_s"] == 90.0
    assert found["record"]["id"] == ID, "what it said last"
    assert 600 <= stage.clock_s < 700


def test_a_host_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Stage(monkeypatch, [SILENCE], state="waited", soak_id=ID).run()
    assert (found["outcome"]["outcome"], found["record"]) == ("lost", None)


def test_silences_that_end_are_not_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [RUNNING, SILENCE, SILENCE] * 5 + [DONE]
    found = Stage(monkeypatch, answers, state="waited", soak_id=ID, return_limit_s=10).run()
    assert found["outcome"]["outcome"] == "silent"


def test_a_soak_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [RUNNING], state="waited", soak_id=ID)
    assert stage.run()["outcome"]["outcome"] == "running"
    assert 120 + 3600 <= stage.clock_s < 120 + 3700
    stage = Stage(monkeypatch, [RUNNING], state="waited", soak_id=ID, timeout_s=60)
    stage.run()
    assert stage.clock_s < 70


def test_the_triage_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = said(OTHER, [crash(record=None)], pending=True)
    stage = Stage(monkeypatch, [pending, pending, PANIC], state="waited", soak_id=ID)
    assert stage.run()["outcome"]["signature"] == {"exact": "e1", "similar": "s1"}
    stage = Stage(monkeypatch, [pending], state="waited", soak_id=ID)
    assert stage.run()["outcome"]["signature"] is None
    assert 900 <= stage.clock_s < 910


def test_nothing_is_waited_for_in_check_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [RUNNING], state="waited", soak_id=ID, check_mode=True)
    assert stage.run()["skipped"]
    assert stage.asked == []


@pytest.mark.parametrize("args", [{"soak_id": "x"}, {"soak_id": ID, "timeout_s": "long"}, {}])
def test_waiting_for_what_is_none(monkeypatch: pytest.MonkeyPatch, args: dict[str, t.Any]) -> None:
    with pytest.raises(AnsibleActionFail):
        Stage(monkeypatch, [RUNNING], state="waited", **args).run()


def test_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Stage(monkeypatch, [], state="paired", pairs=PAIRS, inventory=["store1", "store2"]).run()
    assert soakrecord.ID.fullmatch(found["soak_id"])
    assert found["hosts"] == ["store2", "store1"]
    assert found["sides"]["store1"]["side"] == "client"
    found = Stage(monkeypatch, [], state="paired", pairs=PAIRS, inventory=["store1", "store2"], soak_id=ID).run()
    assert found["soak_id"] == ID


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"pairs": [], "inventory": []}, "no pair is named"),
        ({"pairs": PAIRS, "inventory": ["store1"]}, "store2 is no host of the inventory"),
        ({"pairs": PAIRS, "inventory": ["store1", "store2"], "soak_id": "x"}, "no id of a soak"),
    ],
)
def test_pairs_that_are_none(monkeypatch: pytest.MonkeyPatch, args: dict[str, t.Any], told: str) -> None:
    with pytest.raises(AnsibleActionFail, match=told + ".*Nothing was done"):
        Stage(monkeypatch, [], state="paired", **args).run()


def test_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    hostvars = {
        "store1": {"crashready_soak": {"record": None, "outcome": PANIC["outcome"]}},
        "store2": {"crashready_soak": {"record": None, "outcome": DONE["outcome"]}},
    }
    found = Stage(monkeypatch, [], state="concluded", pairs=PAIRS).run(hostvars=hostvars)
    assert (found["failed_pairs"], found["panics"]) == ([], ["store1"])
    found = Stage(monkeypatch, [], state="concluded", pairs=PAIRS).run(hostvars={"store1": {}, "store2": {}})
    assert len(found["failed_pairs"]) == 1


@pytest.mark.parametrize(
    ("state", "variables", "management"),
    [
        ("checked", {"ansible_host": "192.0.2.9"}, ["192.0.2.9"]),
        ("looked", {"ansible_host": "store1.example"}, []),
        ("started", {}, []),
    ],
)
def test_on_the_host(
    monkeypatch: pytest.MonkeyPatch, state: str, variables: dict[str, t.Any], management: list[str]
) -> None:
    monkeypatch.setattr(nic_soak.host_program, "pack", lambda name: "packed " + name)
    stage = Stage(monkeypatch, [{"changed": True, "invocation": {"module_args": {"program": "x"}}}], state=state)
    found = stage.run(**variables)
    assert stage.plugin._task.args["management"] == management
    assert stage.plugin._task.args.get("program") == ("packed soak" if state == "started" else None)
    assert "program" not in found["invocation"]["module_args"]
    alive = "ServerAliveInterval" in stage.plugin._connection.options["ssh_extra_args"]
    assert alive == (state == "started"), "a host that panics at once is not waited for as long as TCP would"
    assert stage.plugin._connection.resets == int(alive)
