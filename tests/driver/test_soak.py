# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready soak`: usage, consent, repetitions, what is kept, verdicts and exit codes. The playbooks are played: what
they tell the hosts is looked at, and what the hosts say of themselves is made up here as `_core.soakrecord` has it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import jsonschema
import pytest

from crashready import cli, soak, soak_run
from crashready._core import soakrecord
from crashready.exits import BAD, FAILED, UNKNOWN, USAGE, WELL
from crashready.playbook_run import Finished, RunFolder, View
from crashready.store.history import Store

ROOT = pathlib.Path(__file__).resolve().parents[2]
Row = dict[str, t.Any]
S = dt.timedelta(seconds=1)
ONE = {"exact": "cr1:x:5d1f", "similar": "cr1:s:5d1f"}
PAIR = ("--pair", "store1:eth1=store2:eth1")
YES = ("--yes-soak", "store1,store2")


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("7d", 604800), ("2w", 1209600)]
)
def test_durations(text: str, seconds: int) -> None:
    assert soak.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "1.5h", "-1", "1y", "4", "121d", "1h30m", "9999999999"])
def test_no_durations(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        soak.duration(text)


def test_pairs() -> None:
    server, client = {"host": "a", "nic": "eth1"}, {"host": "b.example", "nic": "enp1s0f0"}
    assert soak.pair("a:eth1=b.example:enp1s0f0") == {"server": server, "client": client}
    assert soak.pair("a:eth1/192.0.2.1=b.example:enp1s0f0/2001:DB8::2") == {
        "server": {**server, "address": "192.0.2.1"},
        "client": {**client, "address": "2001:db8::2"},
    }


@pytest.mark.parametrize("text", ["", "a:eth1", "a=b", "a:eth1=b", "a:=b:x", "a:eth1=b:eth1/nowhere", "a:e=b:e=c:e"])
def test_no_pairs(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        soak.pair(text)


@pytest.mark.parametrize(("said", "expected"), [("a", True), (" a\n", True), ("yes", False), ("b", False)])
def test_only_the_name_is_a_yes(said: str, expected: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.ask({"host": "a", "nic": "eth1"}, "60 s of traffic (bulk)", prompt=lambda _text: said) is expected
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "60 s of traffic (bulk) on eth1" in shown.err


def test_no_answer_is_no_yes() -> None:
    def closed(_text: str) -> str:
        raise EOFError

    assert soak.ask({"host": "a", "nic": "eth1"}, "traffic", prompt=closed) is False


# --- a rack that is played -------------------------------------------------------------------------------------------


def record(soak_id: str, variables: Row, host: str, seconds: float, **more: t.Any) -> Row:
    counts = [int(seconds * 1500000), 0, int(seconds * 1000), 0]
    ends = {variables["crashready_pairs"][0][side]["host"]: side for side in ("server", "client")}
    after = variables["crashready_phase"] == "after"
    return {
        "schema": 1,
        "id": soak_id,
        "name": variables["crashready_experiment"],
        "phase": variables["crashready_phase"],
        "side": ends[host],
        "host": host,
        "peer": next(name for name in ends if name != host),
        "nic": "eth1",
        "address": "192.0.2.1",
        "peer_address": "192.0.2.2",
        "profile": {"name": variables["crashready_profile"], **variables["crashready_soak_parameters"]},
        "planned_s": variables["crashready_seconds"],
        "boot_id": "00000000-0000-4000-8000-000000000001",
        "kernel": "6.16.3+deb13-amd64" if after else "6.12.48+deb13-amd64",
        "kernel_package": None,
        "driver": "e1000e",
        "firmware": "2.1-0",
        "started_at": "{0}-{1}-{2}T{3}:{4}:{5}Z".format(
            *(soak_id[at : at + size] for at, size in ((2, 4), (6, 2), (8, 2), (11, 2), (13, 2), (15, 2)))
        ),
        "elapsed_s": seconds,
        "silent_s": seconds,
        "state": "running",
        "reason": None,
        "traffic": dict(zip(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), counts, strict=True)),
        "errors": {},
        "samples": [[seconds, *counts, 0, None]],
        **more,
    }


def outcome(word: str, seconds: float | None = None, reason: str | None = None, signature: Row | None = None) -> Row:
    return {
        "outcome": word,
        "time_to_panic_s": seconds if word == "panic" else None,
        "dump": "/var/crash/202611240100" if word == "panic" else None,
        "signature": signature,
        "last_sample_s": seconds,
        "reason": reason,
    }


NEVER = {"record": None, "outcome": soakrecord.outcome(None, None, None)}
Act = t.Callable[[Row], Row]  # from the variables of the play: {host: fact}, with "!host": a failure


def ends(first: tuple[t.Any, ...], second: tuple[t.Any, ...] = ("silent", 60.0), **more: t.Any) -> Act:
    """Both hosts have a record; each says (outcome, seconds, reason, signature)."""

    def act(variables: Row) -> Row:
        soak_id = variables["crashready_soak_id"]
        return {
            host: {"record": record(soak_id, variables, host, told[1], **more), "outcome": outcome(*told)}
            for host, told in (("store1", first), ("store2", second))
        }

    return act


PANIC = ends(("panic", 90.0, "Oops", ONE), ("stopped", 88.0, "the peer is gone"))
RUNS = ends(("running", 30.0), ("running", 30.0))


def silent(seconds: float) -> Act:
    return ends(("silent", seconds), ("silent", seconds))


def refused(_variables: Row) -> Row:
    why = outcome("stopped", None, "nobody said yes to a load on store1")
    fact = {"record": None, "outcome": why}
    return {"!store1": "nobody said yes to a load on store1", "store1": fact, "store2": fact}


def away(_variables: Row) -> Row:
    fact = {"record": None, "outcome": outcome("stopped", None, "unreachable")}
    return {"?store2": "unreachable", "store1": fact, "store2": fact}


def armed(_variables: Row) -> Row:
    return {}


def not_armed(_variables: Row) -> Row:
    return {"!store1": "store1 is back and not armed after 1800 s"}


def never(_variables: Row) -> Row:
    return {"store1": NEVER, "store2": NEVER}


class Played(t.NamedTuple):
    code: int
    out: str
    err: str

    @property
    def answer(self) -> Row:
        found = json.loads(self.out)
        jsonschema.validate(found, schema("soak"))
        return t.cast(Row, found)


def schema(name: str) -> Row:
    return t.cast(Row, json.loads((ROOT / "docs" / (name + ".schema.json")).read_text(encoding="utf-8")))


class Stage:
    """Runs the command in this process; each playbook that it starts takes the next act."""

    def __init__(self, folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.calls: list[tuple[str, Row]] = []
        self._acts: list[Act] = []
        self._capsys = capsys
        (folder / "rack").write_text("store1\nstore2\nstore3\n")

    def play(self, *words: str, acts: t.Sequence[Act] = ()) -> Played:
        self.calls, self._acts = [], list(acts)
        try:
            code = cli.main(["soak", *words])
        except SystemExit as exc:
            code = int(str(exc.code))
        assert self._acts == [], "playbooks that were expected"
        return Played(code, *self._capsys.readouterr())

    def begin(self, *words: str, acts: t.Sequence[Act] = ()) -> Played:
        return self.play("-i", str(self.folder / "rack"), *PAIR, *YES, *words, acts=acts)

    def run_playbook(self, words: list[str], folder: RunFolder, view: View, _passwords: t.Any) -> Finished:
        variables: Row = {}
        for at, word in enumerate(words):
            if word == "-e" and words[at + 1].startswith("{"):
                variables.update(json.loads(words[at + 1]))
        self.calls.append((words[0], variables))
        folder.record["attempts"].append({"words": list(words)})
        folder.write()
        act = self._acts.pop(0)
        code, status = 0, "successful"
        if act is interrupted:
            return Finished(254, "canceled", folder.path)
        for name, said in act(variables).items():
            if name[0] in "!?":
                kind = "runner_on_failed" if name[0] == "!" else "runner_on_unreachable"
                event = {"event": kind, "event_data": {"host": name[1:], "res": {"msg": said}}}
                code, status = 2, "failed"
            else:
                facts = {"ansible_facts": {"crashready_soak": said}}
                event = {"event": "runner_on_ok", "event_data": {"host": name, "res": facts}}
            view.event(event)
        return Finished(code, status, folder.path)

    @property
    def run(self) -> pathlib.Path:
        """The folder of the only run."""
        (found,) = (self.folder / "state" / "crashready" / "runs").iterdir()
        return found

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "state" / "crashready" / "store.sqlite3"))

    def kept(self) -> list[tuple[str, str, str]]:
        with self.store as store:
            return [(row["host"], row["record"]["phase"], row["outcome"]["outcome"]) for row in store.soaks()]


def interrupted(_variables: Row) -> Row:
    raise AssertionError("it stands for itself")


@pytest.fixture
def stage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    made = Stage(tmp_path, capsys)
    for name in ("CRASHREADY_STORE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(soak_run, "run_playbook", made.run_playbook)
    monkeypatch.setattr(soak.collection, "chosen_copy", lambda: None)
    monkeypatch.setattr(soak.collection, "check", lambda _copy: None)
    return made


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "a pair are needed"),
        (("-i", "rack"), "a pair are needed"),
        (("-i", "rack", "--pair", "store1:eth1=nobody:eth1"), "nobody is no host of the inventory"),
        (("-i", "rack", "--pair", "store1:eth1=store1:eth2"), "would not leave it"),
        (("-i", "rack", *PAIR, "--pair", "store3:eth1=store1:eth2"), "in more than one pair"),
        (("-i", "rack", *PAIR, "--yes-soak", "store3"), "'store3', which is in no pair"),
        (("-i", "rack", *PAIR, "--yes-soak", "all"), "'all', which is in no pair"),
        (("-i", "rack", *PAIR, "--name", "x"), "--name and --phase go together"),
        (("-i", "rack", *PAIR, "--phase", "after"), "--name and --phase go together"),
        (("-i", "rack", *PAIR, "--name", "../x", "--phase", "after"), "is not made of"),
        (("-i", "rack", *PAIR, "--detach", "--repeat", "2"), "leave --repeat out"),
        (("-i", "rack", *PAIR, "--set", "streams=9999"), "streams is a whole number from 1 to 128"),
        (("-i", "rack", *PAIR, "--set", "speed=1"), "speed is none of"),
        (("-i", "rack", *PAIR, "--set", "speed"), "is not NAME=VALUE"),
        (("-i", "rack", *PAIR, "--rate", "0"), "rate_mbps is a whole number"),
        (("-i", "rack", *PAIR, "--repeat", "0"), "not between 1 and 1000"),
        (("-i", "rack", *PAIR, "--confidence", "1"), "not between 0.5 and 0.9999"),
        (("-i", "rack", *PAIR, "--profile", "axe"), "invalid choice"),
        (("-i", "nowhere", *PAIR), "there is no inventory nowhere"),
        (("--resume", "x", "--collect", "x"), "give one of them"),
    ],
)
def test_wrong_usage(stage: Stage, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str) -> None:
    monkeypatch.chdir(stage.folder)
    done = stage.play(*words)
    assert (done.code, done.out) == (USAGE, ""), done.err
    assert told in done.err
    assert not (stage.folder / "state").exists(), "no run and no store"


# --- reproduce, fix, prove -------------------------------------------------------------------------------------------


def test_an_experiment(stage: Stage) -> None:
    before = stage.begin(
        *("--name", "rx", "--phase", "before", "--repeat", "3", "--duration", "10m", "--rate", "900"),
        acts=[PANIC, armed, PANIC, armed, PANIC],
    )
    assert before.code == BAD, before.err
    assert "rx: REPRODUCED" in before.out
    assert "all 3 panics have the same signature: cr1:x:5d1f" in before.out
    assert [name.rpartition(".")[2] for name, _variables in stage.calls] == ["soak", "wait_armed"] * 2 + ["soak"]
    first = stage.calls[0][1]
    assert first["crashready_pairs"] == [
        {"server": {"host": "store1", "nic": "eth1"}, "client": {"host": "store2", "nic": "eth1"}}
    ]
    told = {name: first["crashready_" + name] for name in ("profile", "seconds", "phase", "experiment", "wait")}
    assert told == {"profile": "bulk", "seconds": 600, "phase": "before", "experiment": "rx", "wait": True}
    assert first["crashready_soak_parameters"] == {"rate_mbps": 900}
    assert first["crashready_yes_soak"] == ["store1", "store2"]
    assert "crashready_force_management" not in first
    assert stage.calls[1][1] == {"crashready_hosts": ["store1", "store2"], "crashready_timeout_s": 1800}
    assert stage.kept() == [("store1", "before", "panic"), ("store2", "before", "stopped")] * 3
    asked = json.loads((stage.run / "run.json").read_text())
    assert all(soakrecord.ID.fullmatch(one) for one in asked["soak"]["soaks"])
    assert "yes" not in json.dumps([asked["argv"], asked["soak"]]), "a yes is for one run"
    assert "--resume" not in before.err

    short = stage.begin("--name", "rx", "--phase", "after", "--rate", "900", "--json", acts=[silent(400.0)])
    assert short.code == UNKNOWN, short.err
    (host,) = [host for host in short.answer["experiment"]["hosts"] if host["host"] == "store1"]
    assert (host["verdict"], host["left_s"], host["needed_s"]) == ("inconclusive", 63, 462.9)

    enough = stage.begin("--name", "rx", "--phase", "after", "--rate", "900", acts=[silent(63.0)])
    assert enough.code == WELL, enough.err
    assert "rx: FIXED" in enough.out
    shown = stage.play("--show", "rx", "--json")
    assert (shown.code, shown.answer["experiment"]["verdict"]) == (WELL, "fixed")
    assert stage.play("--show", "rx", "--confidence", "0.99").code == UNKNOWN

    again = stage.begin("--name", "rx", "--phase", "after", "--rate", "900", acts=[PANIC])
    assert again.code == BAD
    assert "rx: NOT FIXED" in again.out


def test_of_a_single_soak(stage: Stage) -> None:
    done = stage.begin("--json", "--yes-management", acts=[silent(600.0)])
    assert done.code == WELL, done.err
    assert done.answer["experiment"]["verdict"] == "not reproduced"
    assert done.answer["experiment"]["name"] == stage.run.name
    assert stage.calls[0][1]["crashready_force_management"] is True
    assert stage.calls[0][1]["crashready_phase"] == "single"


def test_what_triage_knows_is_told(stage: Stage) -> None:
    """Also of a panic that had no signature yet when the host was asked, by its time."""
    now = dt.datetime.now(dt.timezone.utc)
    other = {"exact": "cr1:x:0a77", "similar": "cr1:s:0a77"}
    crash = {"kind": "page_fault", "path": "nic_rx", "signature": ONE}
    with stage.store as store:
        store.add_crash(crash, "store1", "e1", now, now)
        store.add_crash({**crash, "signature": other, "path": "none"}, "store1.example.org", "e2", now + 95 * S, now)
        third = {**crash, "signature": {"exact": "cr1:x:3", "similar": "cr1:s:3"}}
        for number, seconds in enumerate((20, 70, 130, 900)):  # further apart
            store.add_crash(third, "store1", "e{0}".format(3 + number), now + seconds * S, now)
    assert "in a NIC driver: cr1:x:5d1f" in stage.begin(acts=[PANIC]).out
    untold = ends(("panic", 90.0, "Oops", None), ("stopped", 88.0, "the peer is gone"))
    assert "outside of the NIC drivers: cr1:x:0a77" in stage.begin(acts=[untold]).out


def test_without_a_store(stage: Stage) -> None:
    done = stage.begin("--no-store", "--repeat", "2", acts=[PANIC, armed, PANIC])
    assert done.code == BAD, done.err
    assert "a panic in 2 of 2 runs" in done.out
    assert not (stage.folder / "state" / "crashready" / "store.sqlite3").exists()


# --- what stops it ---------------------------------------------------------------------------------------------------


def test_no_further_soak_where_a_host_is_not_armed_again(stage: Stage) -> None:
    done = stage.begin("--repeat", "3", acts=[PANIC, not_armed])
    assert done.code == BAD
    assert "not armed after 1800 s" in done.out
    assert "the next panic would be lost" in done.out
    assert "--resume {0}".format(stage.run) in done.err
    later = stage.play("--resume", *YES, acts=[armed, PANIC, armed, silent(600.0)])
    assert later.code == BAD
    assert "a panic in 2 of 3 runs" in later.out
    assert stage.play("--resume", acts=[]).code == BAD, "nothing is left to do"


@pytest.mark.parametrize(
    ("act", "code", "told"),
    [
        (ends(("lost", 40.0, "the host does not answer")), UNKNOWN, "no further one is begun"),
        (ends(("stopped", 40.0, "rx_crc_errors rise")), WELL, "the 2 that are left were not begun"),
        (refused, BAD, "nobody said yes"),
        (away, UNKNOWN, "store2: unreachable"),
        (interrupted, UNKNOWN, "goes on on the hosts by itself"),
    ],
)
def test_what_ends_the_repetitions(stage: Stage, act: Act, code: int, told: str) -> None:
    done = stage.begin("--repeat", "3", acts=[act])
    assert done.code == code, done.err
    assert told in done.out
    assert "--resume" in done.err


def test_what_became_of_one_pair_is_not_that_of_another(stage: Stage) -> None:
    """One pair panics; the other one was stopped since it did damage, so no further soak is begun."""

    def act(variables: Row) -> Row:
        found = PANIC(variables)
        second = {**variables, "crashready_pairs": variables["crashready_pairs"][1:]}
        for host in ("store3", "store4"):
            told = record(variables["crashready_soak_id"], second, host, 40.0)
            found[host] = {"record": told, "outcome": outcome("stopped", 40.0, "errors rise")}
        return found

    (stage.folder / "rack").write_text("store1\nstore2\nstore3\nstore4\n")
    done = stage.begin("--pair", "store3:eth1=store4:eth1", "--repeat", "2", acts=[act])
    assert done.code == BAD
    assert "the 1 that are left were not begun" in done.out


def test_a_refused_soak_begins_when_it_is_gone_on_with(stage: Stage) -> None:
    assert stage.begin(acts=[refused]).code == BAD
    assert stage.play("--resume", acts=[never, refused]).code == BAD
    assert stage.calls[1][1]["crashready_yes_soak"] == [], "of this run, not of the earlier one"
    done = stage.play("--resume", *YES, acts=[never, silent(600.0)])
    assert done.code == WELL, done.out + done.err
    collected, begun = (variables for _name, variables in stage.calls)
    assert (collected["crashready_collect_only"], collected["crashready_wait"]) == (True, True)
    assert begun["crashready_soak_id"] != collected["crashready_soak_id"]


def test_a_controller_that_goes_away_loses_nothing(stage: Stage) -> None:
    assert stage.begin("--repeat", "2", acts=[interrupted]).code == UNKNOWN
    run = json.loads((stage.run / "run.json").read_text())
    assert (stage.kept(), len(run["soak"]["soaks"])) == ([], 1)
    done = stage.play("--resume", str(stage.run), *YES, acts=[PANIC, armed, silent(600.0)])
    assert done.code == BAD, done.err
    assert stage.calls[0][1]["crashready_soak_id"] == run["soak"]["soaks"][0]
    assert "a panic in 1 of 2 runs" in done.out


def test_one_host_that_cannot_be_read_may_have_begun(stage: Stage) -> None:
    """Traffic may be there: nothing is begun a second time before both have said that they know of none."""
    assert stage.begin(acts=[away]).code == UNKNOWN

    def half(_variables: Row) -> Row:
        return {"store1": NEVER, "?store2": "unreachable"}

    done = stage.play("--resume", *YES, acts=[half])
    assert done.code == UNKNOWN
    assert "store2: unreachable" in done.out
    assert "store1" not in done.out


# --- detached --------------------------------------------------------------------------------------------------------


def test_a_detached_soak_is_collected(stage: Stage) -> None:
    done = stage.begin("--detach", "--duration", "7d", acts=[RUNS])
    assert done.code == WELL, done.err
    assert stage.calls[0][1]["crashready_wait"] is False
    assert "--resume {0}".format(stage.run) in done.err
    soak_id = stage.calls[0][1]["crashready_soak_id"]
    early = stage.play("--collect", acts=[RUNS])
    assert early.code == UNKNOWN, "it is not over"
    told = stage.calls[0][1]
    assert (told["crashready_soak_id"], told["crashready_collect_only"], told["crashready_wait"]) == (
        soak_id,
        True,
        False,
    )
    assert stage.play("--collect", str(stage.run), acts=[away]).code == UNKNOWN
    late = stage.play("--collect", acts=[PANIC])
    assert late.code == BAD
    assert stage.play("--collect", acts=[]).code == BAD, "what is over is not asked for again"
    assert stage.kept() == [("store1", "single", "panic"), ("store2", "single", "stopped")]


def test_a_look_that_knows_less_takes_nothing(stage: Stage) -> None:
    stage.begin("--detach", acts=[RUNS])
    first = stage.play("--collect", acts=[ends(("panic", 90.0, "Oops", ONE), ("running", 60.0))])
    assert first.code == BAD
    gone = ends(("lost", 30.0, "the host does not answer"), ("lost", 60.0, "the host does not answer"))
    assert stage.play("--collect", acts=[gone]).code == BAD
    assert [row[2] for row in stage.kept()] == ["panic", "running"]


def test_check_mode_begins_nothing(stage: Stage) -> None:
    def fine(_variables: Row) -> Row:
        return {}

    done = stage.begin("--check", acts=[fine])
    assert (done.code, done.out) == (WELL, ""), done.err
    assert json.loads((stage.run / "run.json").read_text())["soak"]["soaks"] == []
    assert not (stage.folder / "state" / "crashready" / "store.sqlite3").exists()
    assert stage.play("--resume").code == FAILED
    no = stage.begin("--check", "--json", acts=[refused])
    assert (no.code, no.answer["experiment"]) == (BAD, None)
    assert "store1: nobody said yes to a load on store1" in no.answer["problems"]


# --- what is damaged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "damage", "told"),
    [
        ("run.json", lambda text: text[: len(text) // 2], "no folder of a run"),
        ("run.json", lambda text: text.replace('"soak": {', '"sock": {'), "half-written or of another version"),
        ("run.json", lambda text: text.replace('"repeat": 1', '"repeat": "one"'), "what its soak was (repeat)"),
        ("run.json", lambda text: text.replace('"command": "soak"', '"command": "drill"'), "crashready drill"),
        ("outcomes", lambda text: text[: len(text) // 2], "half-written or of another version"),
        ("outcomes", lambda text: text.replace('"schema": 1}', '"schema": 0}'), "(schema 0)"),
        ("outcomes", lambda _text: "[]", "half-written"),
    ],
)
def test_half_a_run_is_said_and_left_as_it_is(
    stage: Stage, path: str, damage: t.Callable[[str], str], told: str
) -> None:
    stage.begin("--detach", acts=[RUNS])
    file = next((stage.run / path).iterdir()) if path == "outcomes" else stage.run / path
    before = file.read_text()
    file.write_text(damage(before))
    assert file.read_text() != before
    done = stage.play("--resume", str(stage.run))
    assert (done.code, done.out) == (FAILED, ""), done.err
    assert told in done.err
    assert file.read_text() == damage(before)
    assert len(stage.kept()) == 2
    file.write_text(before)
    assert stage.play("--resume", acts=[silent(600.0)]).code == WELL


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"schema": 2}, "from a newer Crashready"),
        ({"id": "s-20200101T000000-0000"}, "another soak"),
        ({"nic": 5}, "nic"),
    ],
)
def test_a_record_that_cannot_be_used_is_said(stage: Stage, more: Row, told: str) -> None:
    done = stage.begin(acts=[ends(("silent", 60.0), **more)])
    assert done.code == UNKNOWN, done.err
    assert told in done.out
    assert stage.kept() == []


def test_options_that_the_run_was_not_begun_with(stage: Stage) -> None:
    stage.begin("--detach", acts=[RUNS])
    for words, told in (
        (("--pair", "store1:eth2=store2:eth2"), "leave them out"),
        (("--name", "other"), "leave them out"),
        (("--check",), "leave out"),
        (("-e", "x=1"), "leave out"),
        (("--yes-soak", "store3"), "in no pair"),
    ):
        done = stage.play("--resume", *words)
        assert (done.code, done.out) == (USAGE, ""), done.err
        assert told in done.err


def test_experiments_that_are_not_there(stage: Stage) -> None:
    assert stage.play("--show", "rx").code == FAILED
    assert not (stage.folder / "state").exists()
    stage.begin("--name", "other", "--phase", "before", acts=[silent(60.0)])
    done = stage.play("--show", "rx")
    assert (done.code, done.out) == (USAGE, "")
    assert "known, the latest first: other" in done.err


def test_the_two_schemas_say_the_same_of_an_experiment() -> None:
    for name in ("experiment", "soaked_host", "soak_run", "soak_verdict"):
        assert schema("soak")["$defs"][name] == schema("report")["$defs"][name]
    jsonschema.Draft202012Validator.check_schema(schema("soak"))
    assert schema("soak")["properties"]["schema"]["const"] == soak.SCHEMA


# --- the real playbooks ----------------------------------------------------------------------------------------------

#: Stands in for the modules on the hosts: what each state answers on each host is in a JSON file.
FAKE = """\
import json
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in {options!r}}}, supports_check_mode=True)
    with open({answers!r}) as stream:
        answers = json.load(stream)
    answer = answers[module.params.get("state") or "facts"]
    module.fail_json(**answer) if answer.get("failed") else module.exit_json(**answer)


main()
"""


def options_of(source: str) -> list[str]:
    """The names of a module's options, of its documentation."""
    part = source.partition("\noptions:\n")[2]
    return re.findall(r"^  (\w+):$", re.split(r"^\S", part, maxsplit=1, flags=re.M)[0], re.M)


def through_ansible(folder: pathlib.Path, *words: str) -> Played:
    done = subprocess.run(
        [sys.executable, "-m", "crashready", "soak", *words],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "XDG_STATE_HOME": str(folder / "state"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Played(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_what_the_playbooks_say_is_heard(tmp_path: pathlib.Path) -> None:
    """A refusal, the record of a host after it, a host that is not armed again: through Ansible, with its events."""
    place = tmp_path / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    answers = tmp_path / "answers.json"
    for name in ("nic_soak", "crash_facts"):
        module = place / "plugins" / "modules" / (name + ".py")
        module.write_text(FAKE.format(options=options_of(module.read_text()), answers=str(answers)))
    wait = place / "playbooks" / "wait_armed.yml"
    wait.write_text(wait.read_text().replace("__crashready_pause_s: 10", "__crashready_pause_s: 1"))
    local = "ansible_connection=local ansible_python_interpreter={0} ansible_become=false".format(sys.executable)
    (tmp_path / "rack").write_text("store1 {0}\nstore2 {0}\n".format(local))
    looked = {"record": None, "outcome": NEVER["outcome"], "offer": {}, "boot_id": None}
    answers.write_text(
        json.dumps({"looked": looked, "checked": {"failed": True, "msg": "nobody said yes to a load"}, "facts": {}})
    )
    done = through_ansible(tmp_path, "-i", "rack", *PAIR, "--repeat", "2", "--json")
    assert done.code == BAD, done.err
    assert done.answer["experiment"] is None
    assert "store1: nobody said yes to a load" in done.answer["problems"]

    (folder,) = (tmp_path / "state" / "crashready" / "runs").iterdir()
    plan = json.loads((folder / "run.json").read_text())["soak"]
    variables = {"crashready_" + name: plan[name] for name in ("pairs", "phase", "profile", "seconds")}
    variables.update(crashready_experiment=plan["name"], crashready_soak_parameters={})
    panicked = record(plan["soaks"][0], variables, "store1", 90.0)
    looked.update(record=panicked, outcome=outcome("panic", 90.0, "Oops", ONE))
    unarmed = {"ansible_facts": {"crashready": {"capture": {"armed": False}}}}
    answers.write_text(json.dumps({"looked": looked, "facts": unarmed}))
    done = through_ansible(tmp_path, "--resume", *YES, "--rearm-timeout", "2", "--json")
    assert done.code == BAD, done.err
    assert done.answer["experiment"]["verdict"] == "reproduced"
    assert {run["host"] for run in done.answer["experiment"]["runs"]} == {"store1", "store2"}
    assert "store2: The host is back and not armed after 2 s. Nothing was changed" in "\n".join(done.answer["problems"])
