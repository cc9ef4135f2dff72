# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The store: place and modes, schema and its steps, what is kept and given back."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import pathlib
import stat
import typing as t

import pytest
import sqlalchemy as sa

from crashready.store import database, migrations, place
from crashready.store.database import StoreError
from crashready.store.history import Look, Store, Unfit, canonical
from crashready.store.models import Base

DAY = dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.timezone.utc)
RECORD = {
    "kind": "null_deref",
    "path": "nic_rx",
    "driver": "i40e",
    "kernel": {"release": "6.1.0-18-amd64"},
    "signature": {"exact": "cr1:x:1", "similar": "cr1:s:1"},
    "task": "nul\0 and \ud800",
}


@pytest.fixture
def store(tmp_path: pathlib.Path) -> t.Iterator[Store]:
    with Store(str(tmp_path / "new" / "store.sqlite3")) as opened:
        yield opened


# --- place -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [
        (None, {}, "sqlite:////state/crashready/store.sqlite3"),
        (None, {"CRASHREADY_STORE": "/x/s.db"}, "sqlite:////x/s.db"),
        ("/y/s.db", {"CRASHREADY_STORE": "/x/s.db"}, "sqlite:////y/s.db"),
        ("postgresql://u:p@h/d", {}, "postgresql+psycopg://u:p@h/d"),
        ("postgres://h/d", {}, "postgresql+psycopg://h/d"),
        ("postgresql+psycopg2://h/d", {}, "postgresql+psycopg2://h/d"),
        (None, {"XDG_STATE_HOME": "relative"}, "sqlite:////home/x/.local/state/crashready/store.sqlite3"),
    ],
)
def test_where_the_store_is(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("CRASHREADY_STORE", raising=False)
    for name, value in {"XDG_STATE_HOME": "/state", "HOME": "/home/x", **environment}.items():
        monkeypatch.setenv(name, value)
    assert place.store_url(asked) == expected


def test_folder_and_file_are_the_owners_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "store.sqlite3"
    Store(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    Store(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- schema ----------------------------------------------------------------------------------------------------------


def _shape(engine: sa.Engine) -> dict[str, t.Any]:
    looked = sa.inspect(engine)
    return {
        name: (
            {(each["name"], str(each["type"]), each["nullable"]) for each in looked.get_columns(name)},
            {(each["name"], tuple(each["column_names"])) for each in looked.get_indexes(name)},
            {(each["name"], tuple(each["column_names"])) for each in looked.get_unique_constraints(name)},
            {(each["name"], each["referred_table"], str(each["options"])) for each in looked.get_foreign_keys(name)},
        )
        for name in looked.get_table_names()
    }


def test_the_steps_lead_to_what_the_models_say(tmp_path: pathlib.Path) -> None:
    stepped = database.open_engine(str(tmp_path / "stepped"))
    modelled = sa.create_engine("sqlite:///{0}".format(tmp_path / "modelled"))
    Base.metadata.create_all(modelled)
    assert _shape(stepped) == _shape(modelled)
    assert [step.version for step in migrations.STEPS] == list(range(1, migrations.NEWEST + 1))


def _step(version: int, *statements: str) -> migrations.Step:
    def apply(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return migrations.Step(version, "a test", apply)


def test_an_older_store_is_brought_forward_with_its_rows(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    with Store(path) as store:
        store.add_crash(RECORD, "s0", "e1", NOON, NOON)
    steps = (*migrations.STEPS, _step(migrations.NEWEST + 1, "CREATE TABLE later (id INTEGER PRIMARY KEY)"))
    engine = database.open_engine(path, steps)
    assert "later" in sa.inspect(engine).get_table_names()
    with engine.begin() as connection:
        assert database.version_of(connection) == migrations.NEWEST + 1
        assert connection.exec_driver_sql("SELECT count(*) FROM crash_records").scalar() == 1


def test_a_newer_store_is_refused_and_untouched(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    database.open_engine(path, (*migrations.STEPS, _step(99))).dispose()
    before = (tmp_path / "store").read_bytes()
    with pytest.raises(StoreError, match=r"schema version 99, this crashready knows up to \d+"):
        Store(path)
    assert (tmp_path / "store").read_bytes() == before


def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    Store(path).close()
    broken = _step(migrations.NEWEST + 1, "CREATE TABLE later (id INTEGER PRIMARY KEY)", "CREATE NONSENSE")
    with pytest.raises(StoreError, match="syntax error"):
        database.open_engine(path, (*migrations.STEPS, broken))
    engine = database.open_engine(path)
    assert "later" not in sa.inspect(engine).get_table_names(), "DDL is rolled back as well"


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"not a database, that is sure\n" * 50, "not a database"), (b"SQLite format 3\0" + b"\1" * 90, "store")],
)
def test_a_damaged_file_is_said(tmp_path: pathlib.Path, content: bytes, told: str) -> None:
    (tmp_path / "store").write_bytes(content)
    with pytest.raises(StoreError, match=told):
        Store(str(tmp_path / "store"))
    assert (tmp_path / "store").read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path: pathlib.Path) -> None:
    engine = sa.create_engine("sqlite:///{0}".format(tmp_path / "store"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE hosts (id INTEGER)")
    with pytest.raises(StoreError, match="not a store of crashready"):
        Store(str(tmp_path / "store"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@127.0.0.1:1/x",
        "mysql+nonsense://u:s3cret@h/d",
        "sqlite:////dev/null",
        "x://s3cret@[::",
    ],
)
def test_an_address_that_leads_nowhere_keeps_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert "s3cret" not in str(caught.value)


def test_a_folder_that_may_not_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--store"):
        Store(str(tmp_path / "file" / "store"))


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_facts_that_stay_the_same_are_one_snapshot(store: Store) -> None:
    first = store.add_facts("s0", {"schema": 1, "b": 2, "a": 1}, NOON)
    assert store.add_facts("s0", {"a": 1, "b": 2, "schema": 1}, NOON + DAY) == first
    second = store.add_facts("s0", {"schema": 1, "a": 2}, NOON + 2 * DAY)
    third = store.add_facts("s0", {"schema": 1, "b": 2, "a": 1}, NOON + 3 * DAY)
    assert len({first, second, third}) == 3, "what came back is told from what stayed"
    found = store.facts_at("s0", NOON + DAY)
    assert found is not None
    assert (found.id, found.taken_at, found.seen_at) == (first, NOON, NOON + DAY)


def test_facts_at_a_moment(store: Store) -> None:
    store.add_facts("s0", {"a": 1}, NOON)
    store.add_facts("s0", {"a": 2}, NOON + 2 * DAY)
    wanted = [
        (NOON - DAY, None),
        (NOON, {"a": 1}),
        (NOON + DAY, {"a": 1}),
        (NOON + 3 * DAY, {"a": 2}),
        (None, {"a": 2}),
    ]
    for moment, facts in wanted:
        found = store.facts_at("s0", moment)
        assert (found.facts if found else None) == facts
    assert store.facts_at("s1", None) is None


def test_the_latest_of_every_host(store: Store) -> None:
    for number in range(20):
        store.add_facts("s{0}".format(number % 4), {"n": number}, NOON + number * DAY)
    assert {host: found.facts["n"] for host, found in store.latest_facts().items()} == {
        "s0": 16,
        "s1": 17,
        "s2": 18,
        "s3": 19,
    }


# --- looks at a rack -------------------------------------------------------------------------------------------------

WELL = {"state": "well", "capture": "armed", "verdict": "clear", "entries": [], "failure": None}
BAD = {**WELL, "state": "bad", "capture": "not armed"}


def look(host: str, armed: bool, days: float, judgement: dict[str, t.Any] | None = None, **more: t.Any) -> Look:
    return Look(host, {"schema": 1, "capture": {"armed": armed}, **more}, judgement, NOON + days * DAY)


def test_a_row_only_where_something_changed(store: Store) -> None:
    hosts = ["h{0}".format(number) for number in range(1100)]
    assert store.remember([look(host, True, 0, WELL) for host in hosts]) == (1100, 0, {})
    same = {"kernel": {"candidates": None}}
    assert store.remember([look(host, True, 1, WELL) for host in hosts]) == (0, 1100, {})
    changed = [look(host, host != "h7", 2, BAD if host == "h7" else WELL) for host in hosts]
    assert store.remember(changed) == (1, 1099, {})
    then, now = store.standings(NOON + 1.5 * DAY), store.standings(NOON + 2 * DAY)
    assert [host for host in hosts if then[host].facts_id != now[host].facts_id] == ["h7"]
    assert (now["h0"].taken_at, now["h0"].seen_at) == (NOON, NOON + 2 * DAY)
    assert (now["h7"].taken_at, then["h7"].seen_at) == (NOON + 2 * DAY, NOON + DAY)
    assert now["h7"].judgement == BAD
    assert store.facts_by_id([now["h7"].facts_id or 0])[now["h7"].facts_id or 0]["capture"] == {"armed": False}
    assert store.remember([look("h0", True, 3, **same)]) == (1, 0, {}), "a part that was not looked at before"
    assert store.standings(NOON - DAY) == {}


def test_an_older_look_finds_its_place(store: Store) -> None:
    store.remember([look("a", True, 0, WELL), look("a", False, 4, BAD)])
    assert store.remember([look("a", True, 2, WELL)]) == (0, 1, {})
    assert store.remember([look("a", False, 3, BAD)]) == (1, 0, {})
    assert store.standings(NOON + 2.5 * DAY)["a"].judgement == WELL
    assert store.standings(NOON + 3.5 * DAY)["a"].judgement == BAD


def test_facts_that_cannot_be_kept_cost_their_host_alone(store: Store) -> None:
    unfit = Look("huge", {"schema": 1, "x": "y" * 9_000_000}, WELL, NOON)
    kept = store.remember([look("a", True, 0, WELL), unfit, look("b", True, 0, WELL)])
    assert (kept.changed, list(kept.unfit)) == (2, ["huge"])
    assert set(store.standings(NOON)) == {"a", "b"}


def test_armed_since(store: Store) -> None:
    for days, capture in enumerate(("armed", "not armed", "armed", "unknown", "armed")):
        store.remember([Look("a", None, {**WELL, "capture": capture}, NOON + days * DAY)])
    store.remember([Look("b", None, BAD, NOON), Look("c", None, {**WELL, "capture": "unknown"}, NOON)])
    assert store.armed_since() == {"a": NOON + 2 * DAY}


def test_old_looks_are_forgotten_but_the_newest_and_what_a_crash_names(store: Store) -> None:
    store.remember([look("a", True, 0, WELL)])
    named = store.facts_at("a", None)
    assert named is not None
    store.add_crash(RECORD, "a", "e1", NOON, NOON, named.id)
    for days in (1, 2, 3):
        store.remember([look("a", bool(days % 2), days, WELL if days % 2 else BAD, n=days), look("b", True, 0, WELL)])
    assert store.forget(NOON + 100 * DAY) == 4, "two facts and two judgements of a"
    assert store.facts_at("a", NOON) is not None
    assert store.facts_at("a", NOON + 1.5 * DAY) == named._replace(facts=named.facts)
    assert store.standings(NOON + 9 * DAY)["a"].judgement == WELL
    assert store.standings(NOON + 9 * DAY)["b"].taken_at == NOON
    assert store.forget() == 0, "by itself after two years"


def test_drills(store: Store) -> None:
    outcome = {"host": "a", "drill_id": "d1", "state": "unproven", "record": {"kind": "sysrq"}}
    first = store.add_drill(outcome, NOON)
    again = store.add_drill({**outcome, "state": "proven"}, NOON)
    assert (first.new, again.new, again.id) == (True, False, first.id)
    store.add_drill({**outcome, "drill_id": "d0", "state": "hung", "record": None}, NOON - DAY)
    told = {"drill_id": "d1", "drilled_at": NOON.isoformat(), "state": "proven", "kind": "sysrq"}
    assert store.last_drills() == {"a": told}
    for odd in ({}, {"host": "a"}, {"host": "a", "drill_id": 5}, {**outcome, "x": {1, 2}}):
        with pytest.raises(Unfit):
            store.add_drill(odd, NOON)


def test_what_was_read_of_a_drill_stays(store: Store) -> None:
    """A file of the time when it hung may lie about in another folder of records."""
    outcome = {"host": "a", "drill_id": "d1", "state": "proven", "record": {"kind": "sysrq"}}
    store.add_drill(outcome, NOON)
    assert store.add_drill({**outcome, "state": "hung", "record": None}, NOON + DAY).new is False
    assert store.last_drills()["a"]["state"] == "proven"


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
    "traffic": {"rx_bytes": 1, "tx_bytes": 1, "rx_packets": 1, "tx_packets": 1},
    "errors": {},
    "samples": [],
}
RUNS, LOST = {"outcome": "running"}, {"outcome": "lost", "last_sample_s": 90}
PANIC = {"outcome": "panic", "time_to_panic_s": 91.0}


def test_a_soak_is_kept_once_and_what_is_known_of_it_stays(store: Store) -> None:
    first = store.add_soak("a", SOAK, RUNS, NOON)
    for outcome in (PANIC, LOST, RUNS):
        again = store.add_soak("a", SOAK, outcome, NOON + DAY)
        assert (first.new, again.new, again.id) == (True, False, first.id)
    assert store.add_soak("a", {**SOAK, "nic": "eth2"}, RUNS, NOON).new is True
    later = {**SOAK, "id": "s-20261101T130000-0001", "started_at": "2026-11-01T13:00:00Z", "name": "other"}
    assert store.add_soak("a", later, RUNS, NOON).new is True
    found = store.soaks("rx-panic")
    assert [(each["host"], each["record"]["nic"], each["outcome"]["outcome"]) for each in found] == [
        ("a", "eth1", "panic"),
        ("a", "eth2", "running"),
    ]
    assert found[0]["record"] == SOAK
    assert len(store.soaks()) == 3
    assert list(store.experiments()) == ["other", "rx-panic"]
    assert store.experiments()["rx-panic"] == dt.datetime(2026, 11, 1, 12, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (None, RUNS),
        ({**SOAK, "schema": 2}, RUNS),
        ({key: SOAK[key] for key in SOAK if key != "boot_id"}, RUNS),
        (SOAK, None),
        (SOAK, {"outcome": "panic", "time_to_panic_s": None}),
        ({**SOAK, "started_at": "2026-99-01T12:00:00Z"}, RUNS),
    ],
)
def test_half_a_soak_is_not_kept(store: Store, record: t.Any, outcome: t.Any) -> None:
    store.add_soak("a", SOAK, RUNS, NOON)
    with pytest.raises(Unfit, match="a soak"):
        store.add_soak("a", record, outcome, NOON + DAY)
    assert [each["record"] for each in store.soaks()] == [SOAK]


def test_a_store_of_the_second_version_gets_soaks_and_keeps_its_drills(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    engine = database.open_engine(path, migrations.STEPS[:2])
    with engine.begin() as connection:
        assert database.version_of(connection) == 2
        connection.exec_driver_sql("INSERT INTO hosts (id, name, first_seen_at) VALUES (1, 'a', '2026-11-01 12:00:00')")
        connection.exec_driver_sql(
            "INSERT INTO drills (host_id, drill_id, drilled_at, state, outcome) "
            "VALUES (1, 'd1', '2026-11-01 12:00:00', 'proven', '{}')"
        )
    engine.dispose()
    with Store(path) as store:
        assert store.last_drills()["a"]["state"] == "proven"
        assert store.add_soak("a", SOAK, RUNS, NOON).new is True


@pytest.mark.parametrize("host", ["s0", None])
def test_the_same_crash_is_kept_once(store: Store, host: str | None) -> None:
    first = store.add_crash(RECORD, host, "e1", NOON, NOON)
    again = store.add_crash({**RECORD, "kind": "page_fault"}, host, "e1", None, NOON + DAY)
    assert (first.new, again.new, again.id) == (True, False, first.id)
    (kept,) = store.crashes()
    assert (kept["kind"], kept["crashed_at"]) == ("page_fault", NOON.isoformat()), "what was known stays"
    assert store.add_crash(RECORD, host, "e2", NOON, NOON).new is True
    assert store.add_crash(RECORD, "s9", "e1", NOON, NOON).new is True


def test_crashes_by_signature(store: Store) -> None:
    other = {**RECORD, "signature": {"exact": "cr1:x:2", "similar": "cr1:s:1"}}
    third = {**RECORD, "signature": {"exact": "cr1:x:3", "similar": "cr1:s:3"}}
    nothing = {"kind": "unknown"}
    for number, record in enumerate((RECORD, other, third, nothing)):
        store.add_crash(record, "s{0}".format(number), "e", NOON + number * DAY, NOON)
    assert [each["host"] for each in store.crashes("cr1:x:1")] == ["s0"]
    assert [each["host"] for each in store.crashes("cr1:x:1", "cr1:s:1")] == ["s0", "s1"]
    assert len(store.crashes()) == 4


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    added = store.add_crash(RECORD, "s0", "e1", NOON, NOON)
    assert store.record(added.id) == RECORD
    assert store.record(added.id + 1) is None


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="without a time zone"):
        store.add_facts("s0", {}, NOON.replace(tzinfo=None))


def test_what_is_too_large_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="more than"):
        store.add_facts("s0", {"a": "x" * 9_000_000}, NOON)


def test_canonical_text() -> None:
    assert canonical({"b": "\0\u202e", "a": [1, None]}) == '{"a":[1,null],"b":"\\u0000\\u202e"}'
    with pytest.raises(Unfit, match="Out of range"):
        canonical({"a": float("nan")})


def _write(path: str, number: int) -> None:
    with Store(path) as store:
        for each in range(10):
            store.add_crash(RECORD, "s{0}".format(number), "e{0}".format(each), NOON, NOON)
            store.add_crash(RECORD, "shared", "e{0}".format(each), NOON, NOON)


def test_several_programs_write_at_once(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(path, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with Store(path) as store:
        assert len(store.crashes()) == 50


@pytest.mark.skipif("CRASHREADY_TEST_POSTGRESQL" not in os.environ, reason="CRASHREADY_TEST_POSTGRESQL names no server")
def test_a_server_keeps_the_same() -> None:
    url = os.environ["CRASHREADY_TEST_POSTGRESQL"]
    with Store(url) as store:
        name = "host-{0}".format(os.getpid())
        snapshot = store.add_facts(name, {"schema": 1, "x": "\0"}, NOON)
        assert store.add_crash(RECORD, name, "e1", NOON, NOON, snapshot).new is True
        assert store.add_crash(RECORD, name, "e1", NOON, NOON).new is False
        assert store.latest_facts()[name].facts == {"schema": 1, "x": "\0"}
        found = store.facts_at(name, NOON + DAY)
        assert found is not None
        assert found.taken_at == NOON
        assert any(each["host"] == name for each in store.crashes("cr1:x:1"))
        assert store.remember([look(name, True, 2, WELL)])[:2] == (1, 0)
        assert store.remember([look(name, True, 3, WELL)])[:2] == (0, 1)
        assert store.standings(NOON + 4 * DAY)[name].seen_at == NOON + 3 * DAY
        assert store.armed_since()[name] == NOON + 2 * DAY
        assert store.add_drill({"host": name, "drill_id": "d1", "state": "proven"}, NOON).new is True
        assert store.forget(NOON - 1000 * DAY) == 0
