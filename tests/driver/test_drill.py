# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready drill`: who is asked, what is refused, exit codes; and the real playbook and role around a host that is
played by a fake of the module (a panic of the machine that runs the tests would end them)."""

from __future__ import annotations

import argparse
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

from crashready import drill
from crashready.exits import BAD, UNKNOWN, USAGE, WELL


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["proven"], WELL),
        (["would go"], WELL),
        (["proven", "unproven"], BAD),
        (["refused"], BAD),
        (["hung"], BAD),
        (["unreachable", "proven"], UNKNOWN),
        (["unreachable", "unproven"], BAD),
    ],
)
def test_worst_host_decides(states: list[str], expected: int) -> None:
    assert drill.exit_code({"state": state} for state in states) == expected


@pytest.mark.parametrize(
    ("said", "expected"), [("store1", None), (" store1 \n", None), ("yes", "yes"), ("store2", "store2"), ("", "")]
)
def test_only_the_name_is_a_yes(said: str, expected: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert drill.ask("store1", None, prompt=lambda _text: said) == expected
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "store1 will panic now" in shown.err


def test_no_answer_is_no_yes() -> None:
    def closed(_text: str) -> str:
        raise EOFError

    assert drill.ask("store1", "nmi", prompt=closed) == ""


def test_command_line_names_each_consent() -> None:
    parser = argparse.ArgumentParser()
    drill.add_arguments(parser)
    given = parser.parse_args(["-i", "rack", "a", "b", "--yes", "a,b", "--kind", "sysrq", "--timeout", "60"])
    words = drill.command_line(given, ["a", "b"])
    assert "yes" not in " ".join(words), "it is kept for --resume"
    assert json.loads(words[words.index("-e") + 1]) == {
        "crashready_hosts": ["a", "b"],
        "crash_drill_kind": "sysrq",
        "crash_drill_timeout_s": 60,
    }


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"host": "a", "state": "fine"}', '{"host": "b", "state": "proven"}']
)
def test_a_host_without_a_good_outcome_is_not_proven(tmp_path: pathlib.Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    (outcome,) = drill.outcomes_of(tmp_path, ["a"], 2)
    assert drill.exit_code([outcome]) != WELL
    assert outcome["reasons"]


ROOT = pathlib.Path(__file__).resolve().parents[2]
INVENTORY: dict[str, t.Any] = {
    "all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False},
        "hosts": {"store1": {}, "store2": {}, "alone": {"crash_drill_group": "single"}},
        "children": {"single": {"hosts": {"alone": {}}}},
    }
}


@pytest.fixture
def rack(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "rack.json"
    path.write_text(json.dumps(INVENTORY))
    return path


Crashready = t.Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody", "--yes", "nobody"], "'nobody' is no host of the inventory"),
        (["all"], "'all' is no host of the inventory"),
        (["single"], "'single' is no host of the inventory"),
        (["store1", "--yes", "store2"], "--yes names 'store2', which is not to be drilled"),
        ([], "names of hosts are needed"),
        (["store1", "--resume"], "leave them out"),
        (["store1", "--kind", "axe"], "invalid choice"),
        (["store1", "--yes", ","], "is not a list"),
    ],
)
def test_wrong_usage(crashready: Crashready, rack: pathlib.Path, words: list[str], told: str) -> None:
    done = crashready("drill", "-i", str(rack), *words)
    assert done.returncode == USAGE, done.stderr
    assert told in done.stderr
    assert done.stdout == ""


# --- the playbook and the role, with hosts that are played ------------------------------------------------------------

#: Stands in for the module on the hosts: what each action answers is in a JSON file, one list a (host, action), the
#: last entry again and again. Every call is written down; `peer` is asked without a name, of the host that is drilled.
FAKE = """\
import json
from ansible.module_utils.basic import AnsibleModule

FOLDER = {folder!r}


def main():
    module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in {options!r}}}, supports_check_mode=True)
    given = module.params
    with open(FOLDER + "/calls", "a+") as stream:
        stream.seek(0)
        before = [json.loads(line)[1] for line in stream]
        name = given["name"] or before[-1]
        stream.write(json.dumps([given["action"], name, given["consent"], given["members"]]) + "\\n")
    with open(FOLDER + "/answers.json") as stream:
        answers = json.load(stream)
    of_host = answers.setdefault(name, {{}})
    answer = of_host.get(given["action"], answers["*"][given["action"]])
    if len(answer) > 1:
        of_host[given["action"]] = answer[1:]
        with open(FOLDER + "/answers.json", "w") as stream:
            json.dump(answers, stream)
    answer = answer[0]
    module.fail_json(**answer) if answer.get("failed") else module.exit_json(**answer)


main()
"""
OLD, NEW = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
CHECKED = {"resume": False, "boot_id": OLD, "boot_id_before": None, "drill_id": None, "estimate": None, "limit_s": 60}
ANSWERS: dict[str, list[dict[str, t.Any]]] = {
    "peer": [{"boot_id": NEW, "in_capture": False, "under_way": None}],
    "check": [{**CHECKED, "notes": []}],
    "prepare": [{"changed": True, "drill_id": "0123456789abcdef", "boot_id": OLD}],
    "panic": [{"changed": True}],
    "read": [{"changed": True, "proven": True, "reasons": [], "record": None, "proposal": None}],
    "clear": [{"changed": True}],
}
REFUSED = {"check": [{"failed": True, "msg": "x", "blockers": [{"message": "not armed", "remedy": "arm it"}]}]}
RESUMED = {"check": [{**CHECKED, "resume": True, "notes": ["it is read now"], "drill_id": "0123456789abcdef"}]}
#: A round: each host and how it answers. The last but one does not come back.
ROUND: dict[str, dict[str, list[dict[str, t.Any]]]] = {
    "well": {
        "peer": [
            {"boot_id": OLD, "in_capture": False, "under_way": None},
            {"failed": True, "msg": "connection refused"},
            {"boot_id": NEW, "in_capture": True, "under_way": None},
            *ANSWERS["peer"],
        ]
    },
    "blocked": REFUSED,
    "noyes": REFUSED,
    "otheryes": REFUSED,
    "full": {"prepare": [{"failed": True, "msg": "no room"}]},
    "unstarted": {"panic": [{"failed": True, "msg": "no systemd"}]},
    "empty": {"read": [{"proven": False, "reasons": ["0 bytes (G1)"]}]},
    "lost": RESUMED,
    "hung": {"peer": [{"failed": True, "msg": "no route"}]},
    "waiting": {},
}


class Played(t.NamedTuple):
    """The end of one run of the command."""

    code: int
    hosts: dict[str, dict[str, t.Any]]
    calls: list[list[t.Any]]
    err: str

    def actions(self, host: str) -> list[str]:
        return [call[0] for call in self.calls if call[1] == host]


class Stage(t.NamedTuple):
    """A place with a copy of the collection in which the module is played, and a rack."""

    folder: pathlib.Path

    def play(self, *words: str, answers: dict[str, t.Any]) -> Played:
        (self.folder / "answers.json").write_text(json.dumps({"*": ANSWERS, **answers}))
        (self.folder / "calls").write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "crashready", "drill", "--json", *words],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.stdout.startswith("{"), done.stderr
        hosts = {outcome["host"]: outcome for outcome in json.loads(done.stdout)["hosts"]}
        calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return Played(done.returncode, hosts, calls, done.stderr)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("stage")
    place = folder / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    source = (place / "plugins/modules/crash_drill.py").read_text()
    options = sorted(set(_options(source)))
    (place / "plugins/modules/crash_drill.py").write_text(FAKE.format(folder=str(folder), options=options))
    action = place / "plugins/action/crash_drill.py"
    action.write_text(action.read_text().replace("_PAUSE_S = 5", "_PAUSE_S = 0.1"))
    panic = place / "roles/crash_drill/tasks/panic.yml"
    panic.write_text(panic.read_text().replace("    action: wait\n", "    action: wait\n    delay_s: 0\n"))
    hosts: dict[str, dict[str, t.Any]] = {name: {} for name in ROUND}
    hosts["hung"]["crash_drill_timeout_s"] = 1
    hosts["otheryes"]["crash_drill_consent"] = "well"
    inventory = copy.deepcopy(INVENTORY)
    inventory["all"]["hosts"].update(hosts)
    for when in ("before", "after"):
        command = "touch {0}/{{{{ inventory_hostname }}}}-{1}".format(folder, when)
        inventory["all"]["vars"]["crash_drill_{0}_command".format(when)] = command
    inventory["all"]["vars"]["crash_drill_console_command"] = "echo 'VFS: Unable to mount root fs'"
    (folder / "rack.json").write_text(json.dumps(inventory))
    return Stage(folder)


def _options(source: str) -> list[str]:
    import ast

    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENT_SPEC":
            assert isinstance(node.value, ast.Dict)
            return [str(ast.literal_eval(key)) for key in node.value.keys if key is not None]
    raise AssertionError("no ARGUMENT_SPEC")


@pytest.fixture(scope="module")
def round_(stage: Stage) -> Played:
    """One round with every host, a yes for all but two. What a test of it finds is what the operator would."""
    yes = ",".join(name for name in ROUND if name not in ("noyes", "otheryes", "lost"))
    return stage.play("-i", "rack.json", *ROUND, "--yes", yes, answers=ROUND)


@pytest.mark.slow
def test_a_round_ends_as_its_worst_host(round_: Played) -> None:
    assert round_.code == BAD, round_.err
    assert {host: outcome["state"] for host, outcome in round_.hosts.items()} == {
        "well": "proven",
        **dict.fromkeys(("blocked", "noyes", "otheryes", "full", "unstarted"), "refused"),
        "empty": "unproven",
        "lost": "proven",
        "hung": "hung",
        "waiting": "unreachable",
    }


@pytest.mark.slow
def test_proven(round_: Played, stage: Stage) -> None:
    outcome = round_.hosts["well"]
    said = [entry["said"] for entry in outcome["timeline"]]
    assert said == ["old boot", "silent (connection refused)", "capture kernel", "new boot"]
    assert round_.actions("well")[:3] == ["check", "prepare", "panic"]
    assert round_.actions("well")[-1] == "read"
    consents = {call[2] for call in round_.calls if call[1] == "well" and call[0] in ("check", "prepare", "panic")}
    assert consents == {"well"}
    kept = stage.folder / "crashready-drills" / "well.json"
    assert json.loads(kept.read_text()) == outcome
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in kept.parent.iterdir()) == ["empty.json", "hung.json", "lost.json", "well.json"]


def _in_store(folder: pathlib.Path) -> dict[str, dict[str, t.Any]]:
    from crashready.store.history import Store

    with Store(str(folder / "state" / "crashready" / "store.sqlite3")) as store:
        return store.last_drills()


@pytest.mark.slow
def test_outcomes_are_in_the_store(round_: Played, stage: Stage) -> None:
    """Those that were a drill and have an id: a refusal is none."""
    kept = {host: drill["state"] for host, drill in _in_store(stage.folder).items()}
    assert kept == {"well": "proven", "empty": "unproven", "hung": "hung", "lost": "proven"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "told", "last"),
    [
        ("blocked", "not armed", "check"),
        ("full", "no room", "clear"),
        ("unstarted", "no systemd", "clear"),
        ("hung", "silent (no route)", "peer"),
        ("empty", "0 bytes (G1)", "read"),
    ],
)
def test_not_proven(round_: Played, host: str, told: str, last: str) -> None:
    outcome = round_.hosts[host]
    assert told in " ".join(outcome["reasons"])
    assert outcome["next"]
    assert round_.actions(host)[-1] == last
    assert (outcome["console"] == ["VFS: Unable to mount root fs"]) == (host == "hung")


@pytest.mark.slow
def test_a_lost_drill_is_read_and_panics_nothing(round_: Played) -> None:
    assert round_.actions("lost") == ["check", "read"]
    assert round_.hosts["lost"]["notes"] == ["it is read now"]


@pytest.mark.slow
def test_without_a_yes_the_host_is_told_none(round_: Played) -> None:
    """The module refuses a wrong consent; here is seen that none is made up on the way, and one is not changed."""
    consents = {call[1]: call[2] for call in round_.calls if call[0] == "check"}
    assert (consents["noyes"], consents["otheryes"], consents["blocked"]) == ("", "well", "blocked")


@pytest.mark.slow
def test_the_round_stops_at_a_host_that_hangs(round_: Played) -> None:
    assert round_.actions("waiting") == []
    assert "waiting" in str(round_.hosts["waiting"]["reasons"]) or "before this host" in str(round_.hosts["waiting"])


@pytest.mark.slow
def test_a_drained_host_goes_back_into_service(round_: Played, stage: Stage) -> None:
    done = {path.name for path in stage.folder.glob("*-*") if path.is_file()}
    for host in ("well", "full", "unstarted", "empty"):
        assert {host + "-before", host + "-after"} <= done
    assert "hung-before" in done
    assert "hung-after" not in done, "it is not back"
    assert not {"blocked-before", "noyes-before", "lost-before", "waiting-before"} & done


@pytest.mark.slow
def test_a_round_is_gone_on_with(round_: Played, stage: Stage) -> None:
    """Hosts with a verdict are left alone, the one that hung is read, and no yes is taken over from before."""
    folder = re.findall(r"crashready drill --resume (\S+)", round_.err)[-1]
    assert "crashready_yes" not in (pathlib.Path(folder) / "run.json").read_text().split('"attempts"')[0]
    again = stage.play("--resume", folder, "--yes", "waiting", answers={"*": {**ANSWERS, **REFUSED}, "hung": RESUMED})
    assert again.code == BAD, again.err
    assert set(again.hosts) == set(ROUND) - {"well", "empty", "lost"}
    assert again.hosts["hung"]["state"] == "proven"
    assert again.actions("hung") == ["check", "read"]
    consents = {call[1]: call[2] for call in again.calls if call[0] == "check"}
    assert (consents["full"], consents["waiting"]) == ("", "waiting")


@pytest.mark.slow
def test_check_mode_panics_nothing(stage: Stage) -> None:
    """And the only member of a group is known as such."""
    played = stage.play("-i", "rack.json", "store1", "alone", "--check", "--yes", "store1,alone", answers={})
    assert played.code == WELL, played.err
    assert {outcome["state"] for outcome in played.hosts.values()} == {"would go"}
    assert played.calls == [["check", "store1", "store1", {}], ["check", "alone", "alone", {}]]
    assert not (stage.folder / "crashready-drills" / "store1.json").exists()
    assert "--resume" not in played.err


RECORDED = {"when_s": 1790000000, "kind": "sysrq"}
DRILLED: dict[str, t.Any] = {"host": "a", "state": "proven", "drill_id": "d1", "record": RECORDED}


@pytest.mark.parametrize(
    ("words", "outcome", "expected"),
    [
        ([], DRILLED, {"a": ("proven", "2026-09-21T14:13:20+00:00", "sysrq")}),
        (["--no-store"], DRILLED, {}),
        (["--check"], DRILLED, {}),
        ([], {**DRILLED, "state": "refused"}, {}),
        ([], {**DRILLED, "drill_id": None}, {}),
        (
            [],
            {**DRILLED, "state": "hung", "record": {"when_s": 1e300}},
            {"a": ("hung", "2026-11-23T12:00:00+00:00", None)},
        ),
    ],
)
def test_what_goes_into_the_store(
    tmp_path: pathlib.Path, words: list[str], outcome: dict[str, t.Any], expected: dict[str, tuple[t.Any, ...]]
) -> None:
    from crashready.remember import keeper_for
    from crashready.report import drills_of_folder
    from crashready.store.history import Store

    for folder in ("outcomes", "records"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "outcomes" / "a.json"
    path.write_text(json.dumps(outcome))
    os.utime(path, (1795435200, 1795435200))
    parser = argparse.ArgumentParser()
    drill.add_arguments(parser)
    store = str(tmp_path / "store")
    with keeper_for(parser.parse_args(["--store", store, *words])) as memory:
        drill._keep(tmp_path / "outcomes", tmp_path / "records", [outcome], memory)
        for drilled in drills_of_folder(tmp_path / "records"):  # as `crashready report` does it afterwards
            memory.add_drill(drilled.outcome, drilled.at)
    assert (tmp_path / "store").exists() == (not words)
    if words:
        return
    with Store(store) as opened:
        found = {host: (told["state"], told["drilled_at"], told["kind"]) for host, told in opened.last_drills().items()}
    assert found == expected


def test_what_is_left_of_a_round(tmp_path: pathlib.Path) -> None:
    states = ["proven", "unproven", "hung", "refused", "unreachable"]
    for state in states:
        (tmp_path / (state + ".json")).write_text(json.dumps({"host": state, "state": state}))
    (tmp_path / "odd.json").write_text("{")
    assert drill.left_of(tmp_path, [*states, "gone"]) == ["hung", "refused", "unreachable", "gone"]
