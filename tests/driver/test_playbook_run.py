# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Playbooks through ansible-runner: events kept, progress shown, Ctrl-C, resuming, and nothing of it leaked."""

from __future__ import annotations

import io
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time
import typing as t

import pytest

from crashready import cli, playbook_run, rack_run
from crashready.exits import USAGE, ToolError
from crashready.harden import HARDEN
from crashready.playbook_run import Finished, RunFolder, ask_passwords, last_run, run_playbook
from crashready.playbook_view import LiveView, PlainView
from crashready.rack_run import unfinished, without_yes

Run = t.Callable[..., "subprocess.CompletedProcess[str]"]

PLAY = """
- name: Play of the test
  hosts: all
  gather_facts: false
  tasks:
    - name: Something is changed
      ansible.builtin.copy:
        content: "new\\n"
        dest: "{{ folder }}/{{ inventory_hostname }}"
        mode: "0600"
    - name: One host fails
      ansible.builtin.fail:
        msg: "no room\\e[31m there"
      when: inventory_hostname == "two"
"""

LOCAL = "ansible_connection=local ansible_python_interpreter={0}".format(sys.executable)


class Kept:
    """A view that keeps events."""

    def __init__(self) -> None:
        self.events: list[dict[str, t.Any]] = []

    def event(self, event: dict[str, t.Any]) -> None:
        self.events.append(event)

    def close(self) -> None:
        return


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    return tmp_path


def prepare(folder: pathlib.Path) -> None:
    (folder / "play.yml").write_text(PLAY)
    (folder / "rack").write_text("one {0}\ntwo {0}\n".format(LOCAL))


def words(place: pathlib.Path) -> list[str]:
    return [str(place / "play.yml"), "-i", "rack", "-e", json.dumps({"folder": str(place)}), "--diff"]


class Ran(t.NamedTuple):
    """One run of the playbook, for several tests to look at."""

    place: pathlib.Path
    folder: RunFolder
    kept: Kept
    done: Finished


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    place = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
        monkeypatch.setenv("MY_TOKEN", "s3cret-token")
        monkeypatch.chdir(place)
        prepare(place)
        folder, kept = RunFolder.make("test", ["play.yml"]), Kept()
        return Ran(place, folder, kept, run_playbook(words(place), folder, kept))


def test_every_event_is_kept_and_shown(ran: Ran) -> None:
    place, folder, kept, done = ran
    assert (done.status, done.code, done.folder) == ("failed", 2, folder.path)
    kinds = [event["event"] for event in kept.events]
    assert {"playbook_on_play_start", "runner_on_start", "runner_on_ok", "runner_on_failed"} <= set(kinds)
    assert [event["event"] for event in folder.events()] == kinds
    record = json.loads((folder.path / "run.json").read_text())
    assert (record["command"], record["attempts"][0]["status"], record["attempts"][0]["code"]) == ("test", "failed", 2)
    assert (place / "one").read_text() == "new\n"
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    everything = "".join(
        path.read_text(errors="replace") for path in folder.path.rglob("*") if path.is_file() and path.stat().st_size
    )
    assert "s3cret-token" not in everything, "ansible-runner's note of the environment is taken out"
    stream = io.StringIO()
    view = PlainView(stream)
    for event in kept.events:
        view.event(event)
    shown = stream.getvalue()
    assert "== Play of the test" in shown
    assert "one: changed: Something is changed" in shown
    assert "two: failed: One host fails: no room" in shown
    assert "+new" in shown
    assert "\x1b" not in shown


def test_host_keys_are_checked_unless_the_user_says_otherwise(
    place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ansible-runner turns the check off where nobody has said anything."""
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    (place / "play.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n"
        "        msg: \"{{ lookup('ansible.builtin.config', 'HOST_KEY_CHECKING') }}\"\n"
    )
    kept = Kept()
    run_playbook(words(place), RunFolder.make("test", ()), kept)
    said = {e["event_data"]["res"]["msg"] for e in kept.events if e["event"] == "runner_on_ok"}
    assert said == {True}


def test_live_view_takes_every_event(ran: Ran) -> None:
    from rich.console import Console

    stream = io.StringIO()
    view = LiveView("test", Console(file=stream, force_terminal=True, width=120, height=20))
    for event in ran.kept.events:
        view.event(event)
    view.close()
    assert "two: " in stream.getvalue()
    assert "no room" in stream.getvalue()


def test_folders(place: pathlib.Path) -> None:
    with pytest.raises(ToolError, match="no earlier run"):
        last_run("harden")
    first = RunFolder.make("harden", ["a"])
    time.sleep(1.1)
    second = RunFolder.make("harden", ["b"])
    RunFolder.make("drill", ["c"])
    assert last_run("harden") == second.path
    assert RunFolder.open(first.path, "harden").record["argv"] == ["a"]
    with pytest.raises(ToolError, match="is a run of"):
        RunFolder.open(first.path, "drill")
    (first.path / "run.json").write_text("{")
    with pytest.raises(ToolError, match="no folder of a run"):
        RunFolder.open(first.path, "harden")
    with pytest.raises(ToolError, match="cannot be made"):
        RunFolder.make("harden", [], pathlib.Path("/proc/nowhere"))


def test_a_run_is_taken_up_again_where_it_was_begun(
    place: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    folder = RunFolder.make("test", words(place))
    assert run_playbook(words(place), folder, Kept()).code == 2
    monkeypatch.chdir("/")
    (place / "play.yml").write_text(PLAY.replace('== "two"', '== "three"'))
    again = RunFolder.open(folder.path, "test")
    assert run_playbook(again.record["argv"], again, Kept()).code == 0, "the inventory is a relative path"
    assert [attempt["code"] for attempt in again.record["attempts"]] == [2, 0]
    assert len({event["runner_ident"] for event in again.events()}) == 2


@pytest.mark.parametrize(
    ("words_", "expected"),
    [
        ([], 0),
        (["-K"], 1),
        (["--ask-become-pass"], 1),
        (["-vK"], 1),
        (["-k", "-J"], 2),
        (["--limit", "K"], 0),
    ],
)
def test_questions_are_asked_before(monkeypatch: pytest.MonkeyPatch, words_: list[str], expected: int) -> None:
    monkeypatch.setattr(playbook_run.getpass, "getpass", lambda prompt: "x")
    assert len(ask_passwords(words_)) == expected


def test_a_password_reaches_ansible_and_no_file(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "play.yml").write_text(
        "- hosts: one\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n"
        "        msg: \"{{ (ansible_become_pass | default(ansible_become_password | default(''))) | length }}\"\n"
        "      become: false\n"
    )
    folder, kept = RunFolder.make("test", ()), Kept()
    pattern = r"^BECOME password.*:\s*?$"
    done = run_playbook([*words(place), "-K"], folder, kept, {pattern: "hunter2hunter2"})
    assert done.code == 0
    everything = "".join(path.read_text(errors="replace") for path in folder.path.rglob("*") if path.is_file())
    assert "hunter2" not in everything


def test_ctrl_c_ends_ansible_and_says_how_to_go_on(place: pathlib.Path) -> None:
    (place / "play.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: sleep 25\n"
    )
    code = (
        "import sys\nfrom crashready.playbook_run import *\nfrom crashready.playbook_view import PlainView\n"
        "f = RunFolder.make('test', ())\nprint(f.path, flush=True)\n"
        "print(run_playbook(sys.argv[1:], f, PlainView(sys.stderr)).status)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words(place)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout
    folder = pathlib.Path(process.stdout.readline().strip())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(folder.glob("artifacts/1/job_events/*runner*")):
        if any("runner_on_start" in path.read_text() for path in folder.glob("artifacts/1/job_events/[0-9]*.json")):
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=60)
    assert out.strip() == "canceled"
    assert json.loads((folder / "run.json").read_text())["attempts"][0]["status"] == "canceled"


# --- crashready harden -----------------------------------------------------------------------------------------------


def test_harden_in_check_mode(crashready: Run, place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The playbook itself, on this machine, changing nothing: the result on standard output, progress on the other."""
    (place / "rack").write_text("box {0}\n".format(LOCAL))
    done = crashready("harden", "-i", "rack", "--check", "--json", cwd=place, XDG_STATE_HOME=str(place / "state"))
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["rows"][0]["host"] == "box"
    assert "== Phase 1" in done.stderr
    folder = next((place / "state" / "crashready" / "runs").iterdir())
    assert "events of this run: {0}".format(folder) in done.stderr
    rack_run._show(HARDEN, RunFolder.open(folder, "harden"), False)
    shown = capsys.readouterr().out
    assert shown.startswith("HOST ")
    assert "box" in shown
    done = crashready("harden", "--resume", cwd=place, XDG_STATE_HOME=str(place / "state"))
    assert done.returncode == 4
    assert "--check" in done.stderr


def test_harden_of_a_rack_that_nobody_reaches(crashready: Run, place: pathlib.Path) -> None:
    (place / "rack").write_text("nobody ansible_host=127.0.0.1 ansible_port=1\n")
    state = {"XDG_STATE_HOME": str(place / "state")}
    done = crashready("harden", "-i", "rack", cwd=place, **state)
    assert done.returncode == 2, done.stderr
    assert "unreachable" in done.stdout
    assert "crashready harden --resume" in done.stderr
    done = crashready("harden", "--resume", cwd=place, **state)
    assert done.returncode == 2, done.stderr
    (folder,) = (place / "state" / "crashready" / "runs").iterdir()
    attempts = json.loads((folder / "run.json").read_text())["attempts"]
    assert len(attempts) == 2
    assert attempts[1]["words"][-4:-2] == ["--limit", "nobody"]


def test_what_is_left_of_a_run(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "rack.json"
    assert unfinished(report) is None
    states = ["armed", "pending reboot", "failed", "not applicable", "unreachable", "not armed", "removed"]
    rows = [{"host": "h{0}".format(number), "state": state} for number, state in enumerate(states)]
    report.write_text(json.dumps({"rows": rows}))
    assert unfinished(report) == ["h1", "h2", "h4", "h5"]


def test_a_yes_is_not_kept_for_later() -> None:
    yes = ["-e", '{"crashready_yes_reboot": ["all"]}', "-e", '{"crashready_yes_hang": ["a"]}']
    given = ["p", "-i", "r", "-e", "x=1", *yes, "--diff"]
    assert without_yes(given) == ["p", "-i", "r", "-e", "x=1", "--diff"]


@pytest.mark.parametrize(
    ("command", "more", "told"),
    [
        ("harden", ["--check"], "--check"),
        ("harden", ["--limit", "a"], "--limit"),
        ("harden", ["-e", "x=1"], "-e x=1"),
        ("harden", ["--", "-v"], "-v"),
        ("pin", ["--state", "absent"], "backports_kernel_state"),
        ("drill", ["--check"], "--check"),
        ("drill", ["--kind", "nmi"], "crash_drill_kind"),
        ("drill", ["--ansible=-v"], "-v"),
    ],
)
def test_a_run_goes_on_as_it_was_begun(
    place: pathlib.Path, command: str, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that was silently without effect would boot, or panic, hosts that nobody meant."""
    folder = RunFolder.make(command, ["playbook", "-i", "rack", "--limit", "b"])
    folder.record["hosts"] = ["one"]
    folder.write()
    words = ["--resume", str(folder.path), *([] if command == "drill" else ["--yes-reboot", "all"]), *more]
    assert cli.main([command, *words]) == USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "goes on as it was begun; leave out: {0}".format(told) in shown.err.replace('{"', "")
    assert json.loads((folder.path / "run.json").read_text())["attempts"] == []
