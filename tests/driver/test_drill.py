# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready drill`: who is asked, what is refused, exit codes; and the real playbook and role around a host that is
played by a fake of the module (a panic of the machine that runs the tests would end them)."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
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
    words = drill.command_line(given, ["a", "b"], ["a"], "/records")
    assert json.loads(words[words.index("-e") + 1]) == {
        "crashready_hosts": ["a", "b"],
        "crashready_yes_panic": ["a"],
        "crash_drill_records": "/records",
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
        ([], "HOST"),
        (["store1", "--kind", "axe"], "invalid choice"),
        (["store1", "--yes", ","], "is not a list"),
    ],
)
def test_wrong_usage(crashready: Crashready, rack: pathlib.Path, words: list[str], told: str) -> None:
    done = crashready("drill", "-i", str(rack), *words)
    assert done.returncode == USAGE, done.stderr
    assert told in done.stderr
    assert done.stdout == ""


# --- the playbook and the role, with a host that is played ------------------------------------------------------------

#: Stands in for the module on the host: what each action answers is in a JSON file, one list a (host, action), the
#: last entry again and again. Every call is written down.
FAKE = """\
import json
from ansible.module_utils.basic import AnsibleModule

FOLDER = {folder!r}


def main():
    module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in {options!r}}}, supports_check_mode=True)
    given = module.params
    with open(FOLDER + "/calls", "a") as stream:
        stream.write(json.dumps([given["action"], given["name"], given["consent"], given["members"]]) + "\\n")
    with open(FOLDER + "/answers.json") as stream:
        answers = json.load(stream)
    answer = answers[given["action"]]
    if len(answer) > 1:
        answers[given["action"]] = answer[1:]
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


class Played(t.NamedTuple):
    """The end of one run of the command."""

    code: int
    hosts: list[dict[str, t.Any]]
    calls: list[list[t.Any]]
    err: str


@pytest.fixture
def play(tmp_path: pathlib.Path, root: pathlib.Path, rack: pathlib.Path) -> t.Callable[..., Played]:
    """Runs the command with a copy of the collection in which the module is played."""
    place = tmp_path / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(root / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "galaxy.yml", place)
    source = (place / "plugins/modules/crash_drill.py").read_text()
    options = sorted(set(_options(source)))
    (place / "plugins/modules/crash_drill.py").write_text(FAKE.format(folder=str(tmp_path), options=options))
    action = place / "plugins/action/crash_drill.py"
    action.write_text(action.read_text().replace("_PAUSE_S = 5", "_PAUSE_S = 0.1"))
    panic = place / "roles/crash_drill/tasks/panic.yml"
    panic.write_text(panic.read_text().replace("    action: wait\n", "    action: wait\n    delay_s: 0\n"))

    def run(*words: str, answers: dict[str, t.Any] | None = None) -> Played:
        (tmp_path / "answers.json").write_text(json.dumps({**ANSWERS, **(answers or {})}))
        (tmp_path / "calls").write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "crashready", "drill", "-i", str(rack), "--json", *words],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.stdout.startswith("{"), done.stderr
        calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
        return Played(done.returncode, json.loads(done.stdout)["hosts"], calls, done.stderr)

    return run


def _options(source: str) -> list[str]:
    import ast

    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENT_SPEC":
            assert isinstance(node.value, ast.Dict)
            return [str(ast.literal_eval(key)) for key in node.value.keys if key is not None]
    raise AssertionError("no ARGUMENT_SPEC")


def actions(played: Played) -> list[str]:
    return [call[0] for call in played.calls]


@pytest.mark.slow
def test_proven(play: t.Callable[..., Played], tmp_path: pathlib.Path) -> None:
    down = {"boot_id": OLD, "in_capture": False, "under_way": None}
    dying = {"failed": True, "msg": "connection refused"}
    capture = {"boot_id": NEW, "in_capture": True, "under_way": None}
    played = play("store1", "--yes", "store1", answers={"peer": [down, dying, capture, *ANSWERS["peer"]]})
    assert played.code == WELL, played.err
    (outcome,) = played.hosts
    assert outcome["state"] == "proven"
    said = [entry["said"] for entry in outcome["timeline"]]
    assert said == ["old boot", "silent (connection refused)", "capture kernel", "new boot"]
    assert actions(played)[:3] == ["check", "prepare", "panic"]
    assert actions(played)[-1] == "read"
    assert {call[2] for call in played.calls if call[0] in ("check", "prepare", "panic")} == {"store1"}
    kept = tmp_path / "crashready-drills" / "store1.json"
    assert json.loads(kept.read_text()) == outcome
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not list((tmp_path / "crashready-drills").glob(".run-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "expected", "told", "last"),
    [
        (
            {"check": [{"failed": True, "msg": "x", "blockers": [{"message": "not armed", "remedy": "arm it"}]}]},
            "refused",
            "not armed",
            "check",
        ),
        ({"prepare": [{"failed": True, "msg": "no room"}]}, "refused", "no room", "clear"),
        ({"panic": [{"failed": True, "msg": "no systemd"}]}, "refused", "no systemd", "clear"),
        ({"peer": [{"failed": True, "msg": "no route"}]}, "hung", "silent (no route)", "peer"),
        ({"read": [{"proven": False, "reasons": ["0 bytes (G1)"]}]}, "unproven", "0 bytes (G1)", "read"),
    ],
)
def test_not_proven(
    play: t.Callable[..., Played], answers: dict[str, t.Any], expected: str, told: str, last: str
) -> None:
    console = json.dumps({"crash_drill_console_command": "echo 'VFS: Unable to mount root fs'"})
    played = play("store1", "--yes", "store1", "--timeout", "1", "-e", console, answers=answers)
    assert played.code == BAD, played.err
    (outcome,) = played.hosts
    assert outcome["state"] == expected
    assert told in " ".join(outcome["reasons"])
    assert outcome["next"]
    assert actions(played)[-1] == last
    assert (outcome["console"] == ["VFS: Unable to mount root fs"]) == (expected == "hung")


@pytest.mark.slow
def test_a_lost_drill_is_read_and_panics_nothing(play: t.Callable[..., Played]) -> None:
    check = [{**CHECKED, "resume": True, "notes": ["it is read now"], "drill_id": "0123456789abcdef"}]
    played = play("store1", answers={"check": check})
    assert played.code == WELL, played.err
    assert actions(played) == ["check", "read"]
    assert played.hosts[0]["notes"] == ["it is read now"]


@pytest.mark.slow
def test_without_a_yes_the_host_is_told_none(play: t.Callable[..., Played]) -> None:
    """The module refuses an empty consent; here is seen that none is made up on the way, and that one is enough."""
    refused = {"check": [{"failed": True, "msg": "no consent", "blockers": []}]}
    played = play("store1", "store2", "--yes", "store2", answers=refused)
    assert played.code == BAD
    assert [(call[1], call[2]) for call in played.calls] == [("store1", ""), ("store2", "store2")]
    played = play("store1", "-e", "crash_drill_consent=store2", answers=refused)
    assert [(call[1], call[2]) for call in played.calls] == [("store1", "store2")]


@pytest.mark.slow
def test_the_round_stops_at_a_host_that_hangs(play: t.Callable[..., Played]) -> None:
    answers = {"peer": [{"failed": True, "msg": "silence"}]}
    played = play("store1", "store2", "--yes", "store1,store2", "--timeout", "1", answers=answers)
    assert played.code == BAD
    assert [host["state"] for host in played.hosts] == ["hung", "unreachable"]
    assert "store2" not in {call[1] for call in played.calls}


@pytest.mark.slow
def test_a_drained_host_goes_back_into_service(play: t.Callable[..., Played], tmp_path: pathlib.Path) -> None:
    def hooks(name: str) -> list[str]:
        words = []
        for when in ("before", "after"):
            command = "touch {0}/{1}-{2}".format(tmp_path, name, when)
            words += ["-e", json.dumps({"crash_drill_{0}_command".format(when): command})]
        return words

    assert play("store1", "--yes", "store1", *hooks("well")).code == WELL
    failing = {"prepare": [{"failed": True, "msg": "no room"}]}
    assert play("store1", "--yes", "store1", *hooks("ill"), answers=failing).code == BAD
    hung = {"peer": [{"failed": True, "msg": "silence"}]}
    assert play("store1", "--yes", "store1", "--timeout", "1", *hooks("hung"), answers=hung).code == BAD
    found = sorted(path.name for path in tmp_path.glob("*-*") if path.is_file())
    assert found == ["hung-before", "ill-after", "ill-before", "well-after", "well-before"]


@pytest.mark.slow
def test_check_mode_panics_nothing(play: t.Callable[..., Played], tmp_path: pathlib.Path) -> None:
    played = play("store1", "--check", "--yes", "store1")
    assert played.code == WELL, played.err
    assert played.hosts[0]["state"] == "would go"
    assert actions(played) == ["check"]
    assert not (tmp_path / "crashready-drills" / "store1.json").exists()


@pytest.mark.slow
def test_the_only_member_of_a_group_is_known_as_such(play: t.Callable[..., Played]) -> None:
    played = play("alone", "--check", "--yes", "alone")
    assert played.calls == [["check", "alone", "alone", {}]]
