# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready report` and `crashready diff` as a user runs them, and what `check` and `facts` keep for them."""

from __future__ import annotations

import argparse
import copy
import datetime as dt
import json
import os
import pathlib
import sys
import typing as t

import jsonschema
import pytest

from crashready import cli
from crashready._core.history import KINDS, brief_judgement
from crashready.check import Checked, Looked
from crashready.diff import HostDiff, compare, exit_code, moment_of
from crashready.remember import Memory
from crashready.report import drills_of_folder, write_page
from crashready.report_html import page, policy
from crashready.store.history import Look, Store

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Done(t.NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = t.Callable[..., Done]
NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)

FACTS: dict[str, t.Any] = {
    "schema": 1,
    "nics": [],
    "kernel": {"release": "6.12.1", "package_version": "6.12.1-1", "candidates": {"trixie": ["x"]}},
    "capture": {"applicable": True, "armed": True, "reserved_bytes": 1 << 28, "proven": None, "problems": []},
    "crashes": [],
}
WELL = brief_judgement("well", "armed", {"verdict": "clear", "entries": []}, "")
BAD = brief_judgement("bad", "not armed", {"verdict": "clear", "entries": []}, "")


def schema(name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((ROOT / "docs" / (name + ".schema.json")).read_text(encoding="utf-8")))


def facts(**capture: t.Any) -> dict[str, t.Any]:
    made = copy.deepcopy(FACTS)
    made["capture"].update(capture)
    return made


@pytest.fixture
def crashready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Runs the command in this process, with a state of its own: a start takes longer than most of what is tested."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("CRASHREADY_STORE", raising=False)

    def run(*words: str, **env: str) -> Done:
        with monkeypatch.context() as context:
            for name, value in env.items():
                context.setenv(name, value)
            try:
                code = cli.main(list(words))
            except SystemExit as exc:
                code = int(str(exc.code))
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def recorded(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "facts"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(facts()))
    (folder / "b.json").write_text(json.dumps(facts(armed=False)))
    (folder / "c.json").write_text("{")
    return folder


@pytest.fixture
def store_file(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "store.sqlite3")


# --- report ----------------------------------------------------------------------------------------------------------


def test_report_in_its_forms(crashready: Run, recorded: pathlib.Path, store_file: str, tmp_path: pathlib.Path) -> None:
    crash = {"kind": "bug", "path": "nic_rx", "driver": "i40e", "signature": {"exact": "cr1:x:1", "similar": "s"}}
    with Store(store_file) as store:
        store.remember([Look("a", facts(), WELL, NOON), Look("b", facts(), WELL, NOON)])
        store.remember([Look("a", facts(), WELL, NOON + DAY)])
        store.add_crash(crash, "b", "e1", NOON, NOON)
        store.add_crash(crash, "stranger", "e2", NOON, NOON)
    (tmp_path / "drills").mkdir()
    outcome = {"host": "a", "drill_id": "d1", "state": "proven", "record": {"when_s": 1790000000, "kind": "sysrq"}}
    (tmp_path / "drills" / "a.json").write_text(json.dumps(outcome))
    (tmp_path / "drills" / "odd.json").write_text('{"host": "b", "drill_id": "d2", "state": [], "record": [1]}')
    (tmp_path / "drills" / "b.json").write_text('{"host": "b", "record": null, "drill_id": null}')
    words = ("report", "--from", str(recorded), "--store", store_file, "--records", str(tmp_path / "drills"))
    html = tmp_path / "report.html"
    done = crashready(*words, "--json", "--html", str(html), "--title", "Hall <1>")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema("report"))
    hosts = {host["host"]: host for host in report["hosts"]}
    assert [(host["host"], host["state"]) for host in report["hosts"]] == [
        ("b", "bad"),
        ("a", "unknown"),
        ("c", "unknown"),
    ]
    assert (hosts["a"]["capture"], hosts["a"]["armed_since"]) == ("armed", NOON.isoformat())
    assert (hosts["b"]["capture"], hosts["b"]["armed_since"]) == ("not armed", None)
    assert hosts["a"]["proven"]["drill"] == {
        "state": "proven",
        "kind": "sysrq",
        "drilled_at": "2026-09-21T14:13:20+00:00",
    }
    assert hosts["c"]["failure"]
    assert [(group["signature"], group["hosts"]) for group in report["crashes"]] == [("cr1:x:1", ["b"])]
    assert "b.json: no outcome of a drill" in done.stderr
    assert html.stat().st_mode & 0o777 == 0o600
    text = html.read_text(encoding="utf-8")
    assert "<title>Hall &lt;1&gt;</title>" in text
    shown = crashready(*words)
    assert shown.returncode == 1
    assert "cr1:x:1" in shown.stdout
    assert "3 hosts: 1 bad" in shown.stdout
    with Store(store_file) as store:
        known = store.standings(dt.datetime.now(dt.timezone.utc))
        assert {host: each.seen_at for host, each in known.items()} == {"a": NOON + DAY, "b": NOON}, "not kept unasked"


SOAK: dict[str, t.Any] = {
    "schema": 1,
    "id": "s-20261101T120000-0001",
    "name": "rx-panic",
    "phase": "before",
    "side": "server",
    "host": "a",
    "peer": "b",
    "nic": "eth1",
    "address": "192.0.2.1",
    "peer_address": "192.0.2.2",
    "profile": {"name": "bulk"},
    "planned_s": 3600,
    "boot_id": "00000000-0000-4000-8000-000000000001",
    "kernel": "6.12.48+deb13-amd64",
    "kernel_package": None,
    "driver": "e1000e",
    "firmware": None,
    "started_at": "2026-11-01T12:00:00Z",
    "elapsed_s": 90,
    "silent_s": 90,
    "state": "running",
    "reason": None,
    "traffic": {"rx_bytes": 1, "tx_bytes": 1, "rx_packets": 90000, "tx_packets": 1},
    "errors": {},
    "samples": [],
}


def test_soaks_in_the_report(crashready: Run, recorded: pathlib.Path, store_file: str, tmp_path: pathlib.Path) -> None:
    """Of hosts that are in it; judged as `crashready soak --show` judges them."""
    panic = {"outcome": "panic", "time_to_panic_s": 90.0, "signature": {"exact": "cr1:x:1", "similar": "cr1:s:1"}}
    with Store(store_file) as store:
        store.add_soak("a", SOAK, panic, NOON)
        store.add_soak("stranger", {**SOAK, "name": "elsewhere"}, panic, NOON)
        store.add_crash({"kind": "bug", "path": "nic_rx", "signature": panic["signature"]}, "a", "e1", NOON, NOON)
    words = ("report", "--from", str(recorded), "--store", store_file)
    html = tmp_path / "report.html"
    done = crashready(*words, "--json", "--html", str(html))
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema("report"))
    assert [(each["name"], each["verdict"]) for each in report["soaks"]] == [("rx-panic", "reproduced")]
    text = html.read_text(encoding="utf-8")
    assert "signature of the panic in a NIC driver: cr1:x:1" in text
    assert '<svg viewBox="0 0 1000 80" role="img" aria-labelledby="soak-0-title soak-0-about">' in text
    shown = crashready(*words)
    assert "rx-panic" in shown.stdout
    assert "elsewhere" not in shown.stdout
    assert json.loads(crashready(*words, "--json", "--no-store").stdout)["soaks"] == []


def test_the_same_drill_is_one(
    crashready: Run, recorded: pathlib.Path, store_file: str, tmp_path: pathlib.Path
) -> None:
    """A file of the time when a drill hung does not hide that it was read since then."""
    (tmp_path / "drills").mkdir()
    hung = {"host": "a", "drill_id": "d1", "state": "hung", "record": None}
    (tmp_path / "drills" / "a.json").write_text(json.dumps(hung))
    with Store(store_file) as store:
        store.add_drill({**hung, "state": "proven", "record": {"kind": "sysrq"}}, NOON)
    words = ("report", "--from", str(recorded), "--store", store_file, "--records", str(tmp_path / "drills"), "--json")
    for more in ((), ("--remember",), ()):
        (host,) = [host for host in json.loads(crashready(*words, *more).stdout)["hosts"] if host["host"] == "a"]
        assert host["proven"]["drill"] == {"state": "proven", "kind": "sysrq", "drilled_at": NOON.isoformat()}


def test_report_of_this_machine_and_wrong_usage(crashready: Run, tmp_path: pathlib.Path) -> None:
    done = crashready("report", "--json", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode in (0, 1, 2), done.stderr
    jsonschema.validate(json.loads(done.stdout), schema("report"))
    assert not (tmp_path / "crashready").exists(), "no store is made to look into it"
    assert crashready("report", "--from", str(tmp_path), "-i", "x").returncode == 3
    assert crashready("report", "-i", "/nowhere/rack").returncode == 3
    done = crashready("report", "--local", "--html", str(tmp_path / "missing" / "x.html"))
    assert (done.returncode, done.stdout) == (4, "")
    assert "cannot be written" in done.stderr
    assert crashready("report", "--local", "--records", str(tmp_path / "missing")).returncode == 4


def test_a_page_that_is_there_keeps_its_mode(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o644)
    write_page(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o644)
    assert os.listdir(tmp_path) == ["report.html"]


def test_the_policy_is_of_what_the_page_has() -> None:
    from crashready._core import rack_view

    evil = "</style><script>alert(1)</script>"
    row = rack_view.host_row(
        evil,
        None,
        {"state": "unknown", "capture": "unknown", "says": [evil], "pairings": None, "failure": evil, "cause": evil},
        rack_view.place_of({"crashready_rack_name": evil}),
    )
    text = page(rack_view.make_report([row], "2026-11-23T20:00:00+00:00", [evil]), evil)
    style = text.split("<style>", 1)[1].split("</style>", 1)[0]
    script = text.rsplit("<script>", 1)[1].split("</script>", 1)[0]
    assert 'content="{0}"'.format(policy(style, script).replace("'", "&#39;")) in text
    assert "unsafe" not in policy(style, script)
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "alert(1)" not in script


def test_drills_of_a_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert drills_of_folder(None) == []
    for name, content in (("a", "{"), ("b", "[]"), ("c", '{"record": {"when_s": 1e300}}'), ("d", "[" * 5000)):
        (tmp_path / (name + ".json")).write_text(content)
    assert drills_of_folder(tmp_path) == []
    hung = {"host": "a", "drill_id": "d1", "state": "hung", "record": None}
    (tmp_path / "a.json").write_text(json.dumps(hung))
    os.utime(tmp_path / "a.json", (NOON.timestamp(), NOON.timestamp()))
    assert drills_of_folder(tmp_path) == [(hung, NOON)], "a drill that hung has no record, and counts all the same"


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_looks_at_an_inventory_are_kept(crashready: Run, tmp_path: pathlib.Path, store_file: str) -> None:
    rack = tmp_path / "rack"
    rack.write_text("nobody ansible_host=127.0.0.1 ansible_port=1\n")
    words = ("-i", str(rack), "--retries", "0", "--store", store_file)
    assert crashready("check", *words, "--no-store").returncode == 2
    assert crashready("facts", *words).returncode == 2
    assert not os.path.exists(store_file)
    assert crashready("check", *words, "--no-store", "--remember").returncode == 3
    assert crashready("check", *words).returncode == 2
    rack.write_text(
        "box ansible_connection=local ansible_python_interpreter={0} crashready_rack_name=A1\n"
        "nobody ansible_host=127.0.0.1 ansible_port=1\n".format(sys.executable)
    )
    report = json.loads(crashready("report", *words, "--json").stdout)
    jsonschema.validate(report, schema("report"))
    assert {host["host"]: host["rack"] for host in report["hosts"]} == {"box": "A1", "nobody": None}
    with Store(store_file) as store:
        known = store.standings(dt.datetime.now(dt.timezone.utc))
        assert set(known) == {"box", "nobody"}
        assert known["box"].judgement is not None
        assert (known["nobody"].judgement or {})["failure"].startswith("refused")
        assert known["nobody"].facts_id is None
        assert known["nobody"].taken_at < known["box"].taken_at
        kept = store.facts_by_id([known["box"].facts_id or 0])[known["box"].facts_id or 0]
        assert {"nics", "kernel", "capture", "crashes"} <= set(kept)
    done = crashready("diff", "-i", str(rack), "--since", "1h", "--store", store_file, "--json")
    assert done.returncode == 2
    assert {host["standing"] for host in json.loads(done.stdout)["hosts"].values()} == {"new"}


def test_facts_of_this_machine_are_kept_when_asked(crashready: Run, store_file: str) -> None:
    words = ("--subset", "kernel", "--json", "--store", store_file)
    assert crashready("facts", *words).returncode == 0
    assert not os.path.exists(store_file)
    assert crashready("facts", *words, "--remember").returncode == 0
    assert crashready("check", "--store", store_file, "--remember").returncode in (0, 1, 2)
    with Store(store_file) as store:
        (known,) = store.standings(dt.datetime.now(dt.timezone.utc)).values()
        assert known.judgement is not None


def test_a_host_whose_turn_never_came_was_not_looked_at(store_file: str) -> None:
    checked = Checked("a", "unknown", "unknown", (), None, "interrupted: the run was interrupted")
    with Memory(Store(store_file)) as memory:
        memory.add(Looked(checked, None, {}, NOON, "x", "y", asked=False))
        memory.add(Looked(checked._replace(host="b", failure="refused: x"), None, {}, NOON, "x", "y"))
    with Store(store_file) as store:
        assert set(store.standings(NOON)) == {"b"}


def test_a_store_out_of_order_does_not_stop_a_check(
    crashready: Run, recorded: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    rack = tmp_path / "rack"
    rack.write_text("nobody ansible_host=127.0.0.1 ansible_port=1\n")
    (tmp_path / "crashready").write_text("a file in the way of the folder")
    done = crashready("check", "-i", str(rack), "--retries", "0", "--json", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "no history" in done.stderr
    assert json.loads(done.stdout)["hosts"]["nobody"]
    done = crashready("check", "--from", str(recorded), "--remember", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 4, "what was asked for by name must work"


# --- diff ------------------------------------------------------------------------------------------------------------


def test_diff(crashready: Run, store_file: str, tmp_path: pathlib.Path) -> None:
    with Store(store_file) as store:
        store.remember([Look(name, facts(), WELL, NOON) for name in ("lost", "same", "moved", "gone")])
        store.remember(
            [
                Look("lost", facts(armed=False, reserved_bytes=0), BAD, NOON + 3 * DAY),
                Look("same", facts(space={"free_bytes": 5}), WELL, NOON + 3 * DAY),
                Look("moved", {**facts(), "kernel": {"release": "6.12.2"}}, WELL, NOON + 3 * DAY),
                Look("new", facts(), WELL, NOON + 3 * DAY),
            ]
        )
    words = ("diff", "--since", "2026-11-02T00:00+00:00", "--until", "2026-11-05T00:00+00:00", "--store", store_file)
    done = crashready(*words, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("diff"))
    assert {name: host["standing"] for name, host in found["hosts"].items()} == {
        "lost": "changed",
        "moved": "changed",
        "new": "new",
        "gone": "not looked at",
    }
    assert [change["kind"] for change in found["hosts"]["lost"]["changes"]] == ["state", "armed", "reservation"]
    assert [change["kind"] for change in found["hosts"]["moved"]["changes"]] == ["kernel"]
    assert found["summary"] == {"hosts": 5, "same": 1, "changed": 2, "worse": 1, "not_compared": 2}
    done = crashready(*words)
    assert done.returncode == 1
    assert "lost its reservation of 256 MiB" in done.stdout
    assert "not looked at since then: gone" in done.stdout
    rack = tmp_path / "rack"
    for names, code in (("same", 0), ("moved", 2), ("same\nmoved\nlost", 1), ("never", 2)):
        rack.write_text(names + "\n")
        assert crashready(*words, "-i", str(rack)).returncode == code, names


def test_diff_in_wrong_usage(crashready: Run, tmp_path: pathlib.Path, store_file: str) -> None:
    assert crashready("diff").returncode == 3
    assert crashready("diff", "--since", "yesterday").returncode == 3
    assert crashready("diff", "--since", "1d", "--until", "2020-01-01").returncode == 3
    assert crashready("diff", "--since", "1d", "--limit", "a").returncode == 3
    done = crashready("diff", "--since", "1d", "--store", store_file)
    assert (done.returncode, done.stdout) == (4, "")
    assert "no history yet" in done.stderr
    assert not os.path.exists(store_file)


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-11-01T12:00:00+00:00", False, NOON),
        ("2026-11-01T14:00+02:00", False, NOON),
        ("2026-11-01T12:00:00Z", True, NOON),
    ],
)
def test_moments(text: str, end: bool, expected: dt.datetime) -> None:
    assert moment_of(text, end) == expected


def test_moments_of_days_and_ago() -> None:
    first, last = moment_of("2026-11-01"), moment_of("2026-11-01", end=True)
    assert dt.timedelta(hours=22) < last - first < dt.timedelta(hours=26)
    now = dt.datetime.now(dt.timezone.utc)
    for text, ago in (("7d", 7 * DAY), ("12h", DAY / 2), ("2w", 14 * DAY)):
        assert abs(now - ago - moment_of(text)) < dt.timedelta(minutes=1)
    for text in ("", "7", "-7d", "d", "2026-13-01", "99999d", "\x1b"):
        with pytest.raises(argparse.ArgumentTypeError):
            moment_of(text)


@pytest.mark.parametrize(
    ("standings", "code"),
    [(["same"], 0), (["same", "new"], 2), (["not looked at"], 2), (["never looked at"], 2), ([], 2)],
)
def test_exit_codes_without_changes(standings: list[str], code: int) -> None:
    assert exit_code([HostDiff("a", standing, None, None, ()) for standing in standings]) == code


def test_many_hosts_and_every_kind_is_in_the_schema(store_file: str) -> None:
    names = ["h{0:04}".format(number) for number in range(1200)]
    with Store(store_file) as store:
        store.remember([Look(name, facts(), WELL, NOON) for name in names])
        store.remember(
            [Look(name, facts(armed=bool(number % 3)), WELL, NOON + DAY) for number, name in enumerate(names)]
        )
        found = compare(store, NOON, NOON + 2 * DAY, None)
    assert sum(each.standing == "changed" for each in found) == 400
    hosts = schema("diff")["properties"]["hosts"]["additionalProperties"]["properties"]
    assert set(hosts["changes"]["items"]["properties"]["kind"]["enum"]) == set(KINDS)
