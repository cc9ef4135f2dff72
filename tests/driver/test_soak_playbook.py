# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The real playbook and role of a soak around hosts that are played by a fake of the module: who starts, who does not
since its peer may not, what a panic is, and that a controller that comes back finds the end."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ID = "s-20261123T130500-0a1b"

#: Answers from a file, one list a (host, state), the last entry again and again; every call is written down. Hosts are
#: asked at the same time, so that each has files of its own; which one it is says the environment of its Python.
FAKE = """\
import json
import os
from ansible.module_utils.basic import AnsibleModule

FOLDER, HOST = {folder!r}, os.environ["SOAK_HOST"]


def main():
    module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in {options!r}}}, supports_check_mode=True)
    given = module.params
    with open(FOLDER + "/" + HOST + ".calls", "a") as stream:
        stream.write(json.dumps([given["state"], given["consent"], given["offer"], given["side"]]) + "\\n")
    with open(FOLDER + "/" + HOST + ".json") as stream:
        answers = json.load(stream)
    answer = answers[given["state"]]
    if len(answer) > 1:
        answers[given["state"]] = answer[1:]
        with open(FOLDER + "/" + HOST + ".json", "w") as stream:
            json.dump(answers, stream)
    answer = answer[0]
    module.fail_json(**answer) if answer.get("failed") else module.exit_json(**answer)


main()
"""


RECORD: dict[str, t.Any] = {
    "schema": 1,
    "id": ID,
    "name": "soak",
    "phase": "single",
    "side": "client",
    "host": "a",
    "peer": "b",
    "nic": "eth1",
    "address": "192.0.2.1",
    "peer_address": "192.0.2.2",
    "profile": {"name": "bulk"},
    "planned_s": 5,
    "boot_id": "00000000-0000-4000-8000-000000000001",
    "kernel": "6.1.0-56-amd64",
    "kernel_package": None,
    "driver": "igb",
    "firmware": None,
    "started_at": "2026-11-23T13:05:00Z",
    "elapsed_s": 5,
    "silent_s": 5,
    "state": "running",
    "reason": None,
    "errors": {},
    "samples": [],
    "traffic": dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 0),
}


def became(word: str, reason: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    """An answer of state=looked."""
    outcome = {"outcome": word, "time_to_panic_s": None, "dump": None, "signature": None, "path": None}
    outcome = {**outcome, "last_sample_s": 5.0, "reason": reason, **more}
    return {"soak_id": ID, "boot_id": "b", "record": RECORD, "alive": None, "pending": False, "outcome": outcome}


NOTHING = {**became("lost", "the host has no record of this soak"), "record": None}
RUNNING, SILENT = became("running", "it runs"), became("silent")
PANIC = became("panic", "Fatal exception in interrupt", time_to_panic_s=3.0, dump="/var/crash/1/dump.1")
GONE = became("stopped", "no traffic over eth1 for 120 s: the peer is gone")
NO_ANSWER = {"failed": True, "msg": "connection refused"}
REFUSED = {"failed": True, "msg": "no capture kernel is loaded on hot: a panic would be lost", "blockers": []}


def host(*looked: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """What a host answers, by state."""
    offer = {"boot_id": "b", "nic": {"name": "eth1"}}
    usual: dict[str, t.Any] = {
        "looked": [{**NOTHING, "offer": offer}, *looked],
        "checked": [{"address": "192.0.2.1"}],
        "started": [{"changed": True, "record": {}}],
        "stopped": [{"changed": True, "record": None}],
    }
    return {**usual, **more}


#: Each pair is (server, client).
HOSTS: dict[str, dict[str, t.Any]] = {
    "calm1": host(RUNNING, SILENT),
    "calm2": host(RUNNING, NO_ANSWER, SILENT),
    "sick": host(RUNNING, NO_ANSWER, {**PANIC, "pending": True}, PANIC),
    "peer": host(RUNNING, GONE),
    "hot": host(SILENT, checked=[REFUSED]),
    "ready": host(SILENT),
    "deaf": host(SILENT, started=[{"failed": True, "msg": "Address already in use"}]),
    "eager": host(SILENT),
    "open": host(SILENT),
    "mute": host(SILENT, started=[{"failed": True, "msg": "iperf3 is not installed"}]),
    "waits": host(SILENT),
    "away": {},
}
PAIRS = [("calm1", "calm2"), ("sick", "peer"), ("hot", "ready"), ("deaf", "eager"), ("open", "mute"), ("waits", "away")]


class Played(t.NamedTuple):
    """The end of one run of the playbook."""

    code: int
    out: str
    facts: dict[str, dict[str, t.Any]]
    calls: dict[str, list[list[t.Any]]]

    def states(self, name: str) -> list[str]:
        """What a host was asked for; looks one after the other are one."""
        states = [call[0] for call in self.calls[name]]
        return [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]


class Stage(t.NamedTuple):
    """A place with a copy of the collection in which the module is played, and a rack."""

    folder: pathlib.Path

    def play(
        self, pairs: list[tuple[str, str]], *words: str, answers: dict[str, t.Any] | None = None, **more: t.Any
    ) -> Played:
        for name, answer in {**HOSTS, **(answers or {})}.items():
            (self.folder / (name + ".json")).write_text(json.dumps(answer))
            (self.folder / (name + ".calls")).write_text("")
        ends = [{"server": {"host": one, "nic": "eth1"}, "client": {"host": two, "nic": "eth1"}} for one, two in pairs]
        variables = {"crashready_pairs": ends, "crashready_seconds": 5, "crashready_yes_soak": list(HOSTS), **more}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-v", "-i", "rack.json", "rackops.crashready.soak"),
                *("-e", json.dumps(variables), *words),
            ],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "ANSIBLE_FORKS": "12",
                "ANSIBLE_NOCOLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        calls = {
            name: [json.loads(line) for line in (self.folder / (name + ".calls")).read_text().splitlines()]
            for name in HOSTS
        }
        facts = {
            name: json.loads(text)["crashready_soak"]
            for name, text in re.findall(
                r'^ok: \[(\w+)\] => \{"ansible_facts": (\{"crashready_.*\}), "changed"', done.stdout, re.M
            )
            if "crashready_soak" in json.loads(text)
        }
        return Played(done.returncode, done.stdout + done.stderr, facts, calls)


def options_of(source: str) -> list[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENT_SPEC":
            assert isinstance(node.value, ast.Dict)
            return [str(ast.literal_eval(key)) for key in node.value.keys if key is not None]
    raise AssertionError("no ARGUMENT_SPEC")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("stage")
    place = folder / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    module = place / "plugins/modules/nic_soak.py"
    module.write_text(FAKE.format(folder=str(folder), options=options_of(module.read_text())))
    action = place / "plugins/action/nic_soak.py"
    action.write_text(
        action.read_text().replace("_PAUSE_LEAST_S, _PAUSE_MOST_S = 2.0,", "_PAUSE_LEAST_S, _PAUSE_MOST_S = 0.1,")
    )
    main = place / "roles/nic_soak/tasks/main.yml"
    tasks = yaml.safe_load(main.read_text())
    # This machine keeps its packages.
    kept = [task for task in tasks if not task["name"].startswith("Iperf3 ")]
    assert len(kept) == len(tasks) - 2
    main.write_text(yaml.safe_dump(kept, sort_keys=False))
    hosts: dict[str, dict[str, t.Any]] = {}
    for name in HOSTS:
        python = folder / (name + ".python")
        python.write_text('#!/bin/sh\nSOAK_HOST={0} exec "{1}" "$@"\n'.format(name, sys.executable))
        python.chmod(0o755)
        hosts[name] = {"ansible_connection": "local", "ansible_become": False}
        hosts[name]["ansible_python_interpreter"] = str(python)
    hosts["away"] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=2"}
    (folder / "rack.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    return Stage(folder)


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    """One run with every pair. What a test of it finds is what the user would."""
    return stage.play(PAIRS)


TOLD = {
    "calm1": "silent for 5 s",
    "sick": "sick panicked after 3 s; its dump is /var/crash/1/dump.1: Fatal exception in interrupt",
    "hot": "stopped on hot: no capture kernel is loaded on hot",
    "deaf": "stopped on deaf: Address already in use",
    "open": "stopped on open: open listens no more, since its peer mute does not send",
    "waits": "stopped on away: Task failed: Failed to connect",
}


@pytest.mark.slow
def test_what_was_refused_fails_the_run_and_a_panic_does_not(played: Played) -> None:
    assert played.code != 0
    failure = re.search(r'^fatal: \[localhost\]: FAILED! => \{"changed": false, "msg": "(.*)"\}$', played.out, re.M)
    assert failure is not None, played.out
    for name, told in TOLD.items():
        assert told in played.out, name
        assert (told in failure.group(1)) == (name not in ("calm1", "sick")), name


@pytest.mark.slow
def test_both_ends_start_and_are_waited_for(played: Played) -> None:
    for name, peer in (("calm1", "calm2"), ("calm2", "calm1"), ("sick", "peer"), ("peer", "sick")):
        assert played.states(name)[:4] == ["looked", "checked", "started", "looked"], name
        assert {call[1] for call in played.calls[name] if call[0] in ("checked", "started")} == {name}, peer
        assert all(call[2]["nic"] for call in played.calls[name] if call[0] == "checked")
    assert [call[3] for call in played.calls["calm1"] if call[0] == "started"] == ["server"]
    assert played.facts["calm1"]["outcome"] == SILENT["outcome"]
    assert played.facts["calm2"]["record"]["nic"] == "eth1", "a host that was away for a moment"


@pytest.mark.slow
def test_a_host_that_panicked_is_waited_for_until_its_triage_has_ended(played: Played) -> None:
    assert played.facts["sick"]["outcome"] == PANIC["outcome"]
    assert len([call for call in played.calls["sick"] if call[0] == "looked"]) == 5
    assert played.facts["peer"]["outcome"]["outcome"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "states", "told"),
    [
        ("hot", ["looked", "checked"], "no capture kernel"),
        ("ready", ["looked", "checked"], "starts nothing, since its peer hot may not"),
        ("deaf", ["looked", "checked", "started"], "Address already in use"),
        ("eager", ["looked", "checked"], "sends nothing, since its peer deaf does not listen"),
        ("mute", ["looked", "checked", "started"], "iperf3 is not installed"),
        ("open", ["looked", "checked", "started", "stopped"], "listens no more, since its peer mute"),
        ("waits", ["looked", "checked"], "starts nothing, since its peer away"),
        ("away", [], "Failed to connect"),
    ],
)
def test_one_that_may_not_keeps_its_peer_from_starting(played: Played, name: str, states: list[str], told: str) -> None:
    assert played.states(name) == states
    assert played.facts[name]["record"] is None
    assert played.facts[name]["outcome"]["outcome"] == "stopped"
    assert told in played.facts[name]["outcome"]["reason"]


@pytest.mark.slow
def test_a_panic_alone_ends_well(stage: Stage) -> None:
    """With the same id after a controller that went away: nothing is started again, the end is found."""
    pair = [("sick", "peer")]
    answers = {"sick": {"looked": [PANIC]}, "peer": {"looked": [GONE]}}
    done = stage.play(pair, answers=answers, crashready_soak_id=ID, crashready_collect_only=True)
    assert done.code == 0, done.out
    assert done.states("sick") == done.states("peer") == ["looked"]
    assert done.facts["sick"]["outcome"]["outcome"] == "panic"
    done = stage.play(pair, "--check")
    assert done.code == 0, done.out
    assert "sick (eth1) and peer (eth1): would start" in done.out
    assert done.states("sick")[:3] == ["looked", "checked", "started"]
