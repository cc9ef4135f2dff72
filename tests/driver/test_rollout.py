# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready rollout` over twelve hosts that are played, of which the fifth comes back without its link: the real
command, playbook, gate, hooks and record; only what is read of a host is made up."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import jsonschema
import pytest
import yaml

from crashready import cli, rollout
from crashready._core.rollout import Candidate, parse_batches, plan_waves
from crashready._core.rollout_record import dump_record, new_record
from crashready.exits import BAD, FAILED, UNKNOWN, USAGE, WELL, ToolError
from crashready.playbook_run import RunFolder
from crashready.rack_run import command_line, without_yes

ROOT = pathlib.Path(__file__).resolve().parents[2]
Summary = dict[str, t.Any]

#: Stands in for what reads a host. A host whose name is in the file `broken` has lost its link once it is changed.
FAKE = """\
import os
from ansible.plugins.action import ActionBase

FOLDER = {folder!r}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        host = task_vars["inventory_hostname"]
        if host == "away":
            return {{"unreachable": True, "msg": "no route"}}
        with open(FOLDER + "/broken") as stream:
            broken = host in stream.read().split()
        link = not (broken and os.path.exists(FOLDER + "/" + host + ".changed"))
        pci = {{"address": "0000:01:00.0", "vendor": "8086", "device": "10fb"}}
        nic = {{"name": "eth0", "mac": "52:54:00:00:00:01", "pci": pci, "driver": "ixgbe", "virtual": False,
               "link": link, "firmware": {{"raw": task_vars["firmware"], "parsed": None}}, "unread": {{}}}}
        facts = {{"schema": 1, "nics": [nic], "kernel": {{"release": "6.1.0-28-amd64"}},
                 "capture": {{"applicable": True, "armed": True, "proven": True, "problems": [], "unread": {{}}}},
                 "crashes": [], "unread": {{}}}}
        seen = {{"name": "eth0", "kind": "physical", "mac": nic["mac"], "link": link, "addresses": []}}
        health = {{"release": "6.1.0-28-amd64", "boot_id": "b", "nics": [seen], "default_routes": [],
                  "failed_units": [], "system_state": "running", "armed": True, "capture_problems": [], "unread": {{}}}}
        return {{"changed": False, "ansible_facts": {{"crashready": facts}}, "health": health}}
"""
#: Stands in for the module kdump: every host is configured but one, and needs no boot.
KDUMP = """\
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        host = task_vars["inventory_hostname"]
        if host == "full":
            return {{"failed": True, "msg": "/boot is full"}}
        open({folder!r} + "/" + host + ".hardened", "w").close()
        return {{"changed": True, "applicable": True, "state": "present", "armed": True, "problems": [], "changes": [],
                "kept": [], "reboot_required": False, "reboot_reasons": [], "capture": {{"armed": True}}}}
"""
#: Stands in for the module nic_soak: each call is written down, and the traffic of one host ends in a panic.
SOAK = """\
import json
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        given = self._task.args
        if given["state"] == "paired":
            (pair,) = given["pairs"]
            hosts = [pair["server"]["host"], pair["client"]["host"]]
            ends = {{side: dict(pair[side], side=side, peer_address="") for side in pair}}
            for side, other in (("server", "client"), ("client", "server")):
                ends[side]["peer"] = pair[other]["host"]
            return {{"soak_id": "s-1", "hosts": hosts, "sides": dict(zip(hosts, (ends["server"], ends["client"])))}}
        with open({folder!r} + "/soaks", "a") as stream:
            words = [given[name] for name in ("state", "name", "consent", "side", "nic", "peer", "offer", "seconds")
                     if name in given]
            stream.write(json.dumps([self._task.delegate_to, *words]) + chr(10))
        outcome = {{"outcome": "panic" if self._task.delegate_to == "shaky" else "silent", "reason": None}}
        return {{"offer": {{"of": self._task.delegate_to}}, "outcome": outcome}}
"""
NAMES = ["n{0:02d}".format(number) for number in range(1, 13)]


class Stage(t.NamedTuple):
    """A copy of the collection with hosts that are played, and an inventory."""

    folder: pathlib.Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`crashready rollout` in this folder."""
        return subprocess.run(
            [sys.executable, "-m", "crashready", "rollout", *words],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "ANSIBLE_ROLES_PATH": str(ROOT / "tests" / "driver" / "roles"),
                "ANSIBLE_PIPELINING": "1",
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def marked(self, what: str) -> set[str]:
        """Hosts with a file of this ending."""
        return {path.name.split(".")[0] for path in self.folder.glob("*." + what)}


def rack_of(folder: pathlib.Path) -> dict[str, t.Any]:
    """Twelve hosts in two racks, with two firmwares; two and two stand in for each other."""
    hosts: dict[str, dict[str, t.Any]] = {
        name: {
            "firmware": "0x800003{0}".format("e1" if number < 6 else "af"),
            "crashready_rack_name": "A" if number < 6 else "B",
            "crashready_redundancy_group": "pair{0}".format(number // 2 + 1),
        }
        for number, name in enumerate(NAMES)
    }
    marker = "{0}/{{{{ inventory_hostname }}}}.drained".format(folder)
    for name in ("n02", "n05"):
        hosts[name].update(crashready_drain=[["touch", marker]], crashready_undrain=[["rm", marker]])
    every = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "rolled_folder": str(folder),
    }
    return {"all": {"vars": every, "hosts": hosts}}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("stage")
    place = folder / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("data", "plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    for name in ("crash_facts", "host_health"):
        (place / "plugins" / "action" / (name + ".py")).write_text(FAKE.format(folder=str(folder)))
    (place / "plugins" / "action" / "kdump.py").write_text(KDUMP.format(folder=str(folder)))
    (place / "plugins" / "action" / "nic_soak.py").write_text(SOAK.format(folder=str(folder)))
    # Traffic that is played needs no program, and nothing is installed on the machine of the tests.
    path = place / "playbooks" / "tasks" / "rollout_soak.yml"
    tasks = yaml.safe_load(path.read_text())
    kept = [task for task in tasks if not {"ansible.builtin.apt", "ansible.builtin.debconf"} & set(task)]
    assert len(kept) == len(tasks) - 2
    path.write_text(yaml.safe_dump(kept))
    (folder / "rack.json").write_text(json.dumps(rack_of(folder)))
    return Stage(folder)


def by_state(summary: Summary) -> dict[str, list[str]]:
    """Hosts by how far they are, in the order of the rollout."""
    found: dict[str, list[str]] = {}
    for row in summary["hosts"]:
        found.setdefault(row["state"], []).append(row["host"])
    return found


def row_of(summary: Summary, host: str) -> Summary:
    """The row of one host."""
    (row,) = [row for row in summary["hosts"] if row["host"] == host]
    return t.cast(Summary, row)


@pytest.mark.slow
def test_twelve_hosts_of_which_the_fifth_fails(stage: Stage) -> None:
    (stage.folder / "broken").write_text("n05\n")
    words = ["-i", "rack.json", "--batch", "4", "--step", "rolled", "--yes-reboot", "all", "--json"]

    done = stage.run(*words)
    assert done.returncode == BAD, done.stderr
    first = json.loads(done.stdout)
    jsonschema.validate(first, json.loads((ROOT / "docs" / "rollout.schema.json").read_text()))
    assert [wave["hosts"] for wave in first["waves"][:3]] == [["n01"], ["n07"], ["n02", "n03", "n05", "n08"]]
    assert by_state(first) == {
        "done": ["n01", "n07", "n02", "n03", "n08"],
        "failed": ["n05"],
        "left": ["n04", "n06", "n09", "n11", "n10", "n12"],
    }
    assert first["stopped"]["host"] == "n05"
    assert "eth0 had link and has no link" in first["stopped"]["says"]
    assert stage.marked("changed") == {"n01", "n07", "n02", "n03", "n05", "n08"}, "the others were not touched"
    assert stage.marked("drained") == {"n05"}, "it stays out of service"
    assert row_of(first, "n05")["drained"] is True

    # Somebody mends the fifth. Hosts that are done are looked at and not changed again.
    (stage.folder / "broken").write_text("")
    for host in ("n01", "n07", "n02", "n03", "n08"):
        (stage.folder / (host + ".changed")).unlink()
    done = stage.run("--resume", "--yes-reboot", "all", "--json")
    assert done.returncode == WELL, done.stderr
    second = json.loads(done.stdout)
    assert by_state(second) == {"done": [*by_state(first)["done"], "n05", "n04", "n06", "n09", "n11", "n10", "n12"]}
    assert [wave["hosts"] for wave in second["waves"] if wave["kind"] == "again"] == [["n05"]]
    assert stage.marked("changed") == {"n05", "n04", "n06", "n09", "n11", "n10", "n12"}
    assert stage.marked("drained") == set()


@pytest.mark.slow
def test_hosts_are_hardened_in_their_turn(stage: Stage) -> None:
    """Without --step; with a host that cannot be drained, one that cannot be configured, one that does not answer."""
    (stage.folder / "broken").write_text("")
    rack = rack_of(stage.folder)
    drain = {
        "crashready_drain": [["touch", "{0}/stuck.tried".format(stage.folder)], ["sh", "-c", "echo no >&2; exit 7"]]
    }
    undrain = {"crashready_undrain": [["rm", "{0}/stuck.tried".format(stage.folder)]]}
    wire = {"nic_soak_nic": "eth1", "nic_soak_peer": "waits", "nic_soak_peer_nic": "eth2"}
    hosts: dict[str, dict[str, t.Any]] = {
        "well": wire,
        "stuck": {**drain, **undrain},
        "full": {},
        "shaky": {**wire, "nic_soak_consent": "shaky"},
        "waits": {},
        "away": {},
        "noyes": {},
    }
    rack["all"]["hosts"] = {name: {"firmware": "1", **more} for name, more in hosts.items()}
    (stage.folder / "small.json").write_text(json.dumps(rack))
    words = ["-i", "small.json", "--batch", "3", "--yes-reboot", "well,stuck,full,shaky,waits"]
    words += ["--soak", "5s", "--yes-soak", "well,waits"]

    planned = stage.run(*words, "--plan")
    assert planned.returncode == UNKNOWN, planned.stderr
    table = [line.split()[:4] for line in planned.stdout.splitlines()]
    assert table[1:5] == [
        *(["1", "canary", "well", "planned"], ["2", "batch", "stuck", "planned"]),
        *(["2", "batch", "full", "planned"], ["2", "batch", "shaky", "planned"]),
    ]
    assert stage.marked("hardened") == set(), "it was the order alone"
    assert "this is the order; nothing was done" in planned.stdout

    done = stage.run(*words, "--json")
    assert done.returncode == BAD, done.stderr
    summary = json.loads(done.stdout)
    assert by_state(summary) == {
        "done": ["well"],
        "failed": ["stuck", "full", "shaky"],
        "left": ["waits", "noyes"],
        "unreachable": ["away"],
    }
    assert stage.marked("hardened") == {"well", "shaky"}
    calls = [json.loads(line) for line in (stage.folder / "soaks").read_text().splitlines()]
    assert [call for call in calls if len(call) > 3][:4] == [
        ["waits", "checked", "waits", "waits", "server", "eth2", "well", {"of": "well"}, 5],
        ["well", "checked", "well", "well", "client", "eth1", "waits", {"of": "waits"}, 5],
        ["waits", "started", "waits", "waits", "server", "eth2", "well", {"of": "well"}, 5],
        ["well", "started", "well", "well", "client", "eth1", "waits", {"of": "waits"}, 5],
    ]
    assert "shaky: panic" in row_of(summary, "shaky")["says"]
    stuck = row_of(summary, "stuck")
    assert "sh -c echo no >&2; exit 7: non-zero return code, exit code 7, no" in stuck["says"]
    assert stuck["says"].endswith("the host itself was not touched")
    assert not stuck["drained"]
    assert stage.marked("tried") == set(), "what had been drained was put back"
    assert "/boot is full" in row_of(summary, "full")["says"]
    assert row_of(summary, "waits")["says"].startswith("untouched: the rollout stopped at")
    assert "no yes to its reboot" in row_of(summary, "noyes")["says"]
    assert "crashready rollout --resume" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-i", "/no/such/rack"],
        ["-i", "x,", "--batch", "0"],
        ["-i", "x,", "--batch", "101%"],
        ["-i", "x,", "--canaries", "many"],
        ["-i", "x,", "--soak", "long"],
        ["-i", "x,", "--wait", "1y"],
        ["-i", "x,", "--window", "tomorrow"],
        ["-i", "x,", "--yes-reboot", ","],
    ],
)
def test_wrong_usage(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(["rollout", *words])
    except SystemExit as exc:
        code = exc.code
    assert code == USAGE
    assert capsys.readouterr().out == ""


def command_of(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    rollout.add_arguments(parser)
    return command_line(rollout.ROLLOUT, parser.parse_args(words))


def test_options_are_variables_of_the_playbook() -> None:
    words = command_of("-i", "rack", "--batch", "1,2,25%", "--canaries", "2", "--soak", "15m", "--wait", "2h", "--plan")
    assert words[:3] == ["rackops.crashready.rollout", "-i", "rack"]
    assert json.loads(words[4]) == {
        "crashready_rollout_batch": "1,2,25%",
        "crashready_rollout_canaries": 2,
        "crashready_rollout_soak_seconds": 900,
        "crashready_rollout_wait_seconds": 7200,
    }
    assert json.loads(words[6]) == {"crashready_rollout_plan": True}
    assert without_yes(words, "crashready_rollout_plan") == words[:5], "to look at the order is no part of the run"
    window = command_of("-i", "rack", "--window", "Sat 22:00-04:00 UTC", "--window", "02:00-03:00", "--step", "x.y.z")
    assert json.loads(window[4]) == {
        "crashready_window": ["Sat 22:00-04:00 UTC", "02:00-03:00"],
        "crashready_rollout_step": ["x.y.z"],
    }


def record_of(*phases: str) -> dict[str, t.Any]:
    hosts = [Candidate("h{0}".format(number), "p") for number in range(len(phases))]
    record = new_record(plan_waves(hosts, parse_batches("1")), hosts, dt.datetime.now(dt.timezone.utc))
    for number, phase in enumerate(phases):
        record["hosts"]["h{0}".format(number)].update(phase=phase, answers=phase != "left")
    return record


@pytest.mark.parametrize(
    ("phases", "ansible", "ours"),
    [
        (["done", "done"], 0, WELL),
        (["done", "changing"], 4, BAD),
        (["done", "failed"], 2, BAD),
        (["done", "planned"], 2, BAD),
        (["done", "left"], 2, UNKNOWN),
        (["failed", "left"], 2, BAD),
    ],
)
def test_run_that_ended_before_its_table_is_read_from_its_record(
    tmp_path: pathlib.Path, phases: list[str], ansible: int, ours: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.make("rollout", ["x"], tmp_path)
    (folder.path / "rollout.json").write_text(dump_record(record_of(*phases)))
    recorded = rollout.ROLLOUT.recorded
    assert recorded is not None
    assert recorded.code(folder, ansible) == ours
    recorded.show(folder, False)
    assert "h0" in capsys.readouterr().out
    assert recorded.finished(folder) is (set(phases) == {"done"})


def test_run_without_a_record_and_one_that_is_broken(tmp_path: pathlib.Path) -> None:
    folder = RunFolder.make("rollout", ["x"], tmp_path)
    recorded = rollout.ROLLOUT.recorded
    assert recorded is not None
    assert rollout.summary_in(folder) is None
    assert (recorded.code(folder, 0), recorded.code(folder, 250)) == (UNKNOWN, FAILED)
    assert recorded.finished(folder) is False
    (folder.path / "rollout.json").write_text(dump_record(record_of("done"))[:-9])
    with pytest.raises(ToolError, match="its writing was broken off"):
        recorded.finished(folder)
