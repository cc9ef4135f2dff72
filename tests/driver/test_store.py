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
from crashready.store.history import Store, Unfit, canonical
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
    steps = (*migrations.STEPS, _step(migrations.NEWEST + 1, "CREATE TABLE drills (id INTEGER PRIMARY KEY)"))
    engine = database.open_engine(path, steps)
    assert "drills" in sa.inspect(engine).get_table_names()
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
    broken = _step(migrations.NEWEST + 1, "CREATE TABLE drills (id INTEGER PRIMARY KEY)", "CREATE NONSENSE")
    with pytest.raises(StoreError, match="syntax error"):
        database.open_engine(path, (*migrations.STEPS, broken))
    engine = database.open_engine(path)
    assert "drills" not in sa.inspect(engine).get_table_names(), "DDL is rolled back as well"


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
