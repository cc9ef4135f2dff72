# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record of a soak is read back or refused, and says whether the host panicked, stopped, or is only lost."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakrecord as records
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.tests.unit.soak_seen import BOOT, ID, OTHER, crash, record
from hypothesis import given
from hypothesis import strategies as st


def test_ids_and_paths() -> None:
    assert records.new_id(1795439100, b"\x0a\x1b") == ID
    assert records.record_path(ID) == "/var/lib/crashready/soaks/{0}.json".format(ID)
    assert records.plan_path(ID).endswith(".plan")
    assert (
        records.newest_id([ID + ".json", "s-20251123T130500-ffff.json", "x.json", "s-20271123T130500-0a1b.plan"]) == ID
    )
    assert records.newest_id([]) is None
    with pytest.raises(ParseError):
        records.new_id(0, b"x")


@pytest.mark.parametrize("soak_id", ["", "s-1", ID + "x", "../etc/passwd", ID + "\n", ID.upper()])
def test_what_is_no_id_makes_no_path(soak_id: str) -> None:
    for path in (records.record_path, records.plan_path):
        with pytest.raises(ParseError, match="no id"):
            path(soak_id)


def test_record_is_read_back() -> None:
    found = record()
    assert records.parse(records.render(found)) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        (records.render(record())[:300], "half-written"),
        ("[" * 9999, "half-written"),
        ("[]", "no object"),
        ("{}", "no schema"),
        ('{"schema": true}', "no schema"),
        ('{"schema": 0}', "an older Crashready"),
        ('{"schema": 2}', "a newer Crashready"),
        ('{"schema": 1}', "lacks address"),
        ('{"schema": NaN}', "half-written"),
        ("\0" * 10, "half-written"),
        ("x" * (records.LIMIT_BYTES + 1), "more than"),
    ],
)
def test_what_is_no_record_says_why(text: str, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        records.parse(text)


@pytest.mark.parametrize(
    "more",
    [
        {"id": "x"},
        {"name": "a b"},
        {"phase": "during"},
        {"state": "asleep"},
        {"boot_id": "x"},
        {"started_at": "yesterday"},
        {"started_at": "2026-99-99T99:99:99Z"},
        {"silent_s": 91},
        {"elapsed_s": -1},
        {"elapsed_s": True},
        {"traffic": {}},
        {"samples": [[0, 0, 0, 0, 0, 0]]},
        {"samples": [[5, 0, 0, 0, 0, 0, None], [4, 0, 0, 0, 0, 0, None]]},
        {"samples": [[0, 0, 0, 0, 0, 0, None]] * (records.SAMPLES_LIMIT + 1)},
        {"errors": {"x": -1}},
        {"errors": dict.fromkeys(map(str, range(500)), 1)},
        {"profile": {"name": []}},
        {"profile": {"name": "bulk", "x": []}},
        {"crashes_before": "x"},
    ],
)
def test_odd_values_are_refused(more: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError):
        records.parse(json.dumps({**record(), **more}))


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers()))


@given(st.sampled_from(sorted(record())), ODD)
def test_one_odd_value_is_read_or_refused(key: str, odd: t.Any) -> None:
    """Never another error; and what is read can be judged and written."""
    try:
        found = records.parse(json.dumps({**record(), key: odd}))
    except ParseError:
        return
    assert records.outcome(found, OTHER, [crash()])["outcome"] in records.OUTCOMES
    assert records.parse(records.render(found)) == found


def test_texts_are_clean() -> None:
    assert record(reason="\x1b[31mhot\n")["reason"] == "[31mhot"


def test_what_others_may_leave_out() -> None:
    found = {key: value for key, value in record().items() if key not in ("interval_s", "crashes_before", "ethtool")}
    read = records.parse(json.dumps(found))
    assert (read["interval_s"], read["crashes_before"], read["ethtool"]) == (5, None, {})


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 500, 4999])
def test_samples_of_any_length_keep_their_shape(count: int) -> None:
    samples = records.Samples(10)
    for number in range(count):
        samples.add([number])
    rows = [row[0] for row in samples.rows()]
    assert len(rows) <= 10
    assert (rows[0], rows[-1]) == (0, count - 1)
    steps = {after - before for before, after in zip(rows, rows[1:-1])}
    assert len(steps) <= 1, "evenly spaced but for the newest"
    assert count < 10 or len(rows) >= 5


def test_no_samples() -> None:
    assert records.Samples().rows() == []


# --- what became of it ------------------------------------------------------------------------------------------------

NOT_WHOLE = {"valid": False, "reason": "0 bytes", "dump": None, "record": None}
ALONE = {"path": "/var/lib/crashready/crashes/x.json", "files": [], "dump": None, "valid": False, "reason": "gone"}
EARLY = {"record": {"crashed_at": "2026-11-01T00:00:00+00:00", "signature": None}}


@pytest.mark.parametrize(
    ("more", "boot", "crashes", "alive", "word", "told"),
    [
        ({"state": "done"}, BOOT, None, False, "silent", None),
        # It was done before the host panicked of something else.
        ({"state": "done"}, OTHER, [crash()], False, "silent", None),
        ({"state": "stopped", "reason": "hot"}, BOOT, [], False, "stopped", "hot"),
        ({"state": "failed", "reason": "no peer"}, None, None, None, "stopped", "no peer"),
        ({}, BOOT, [crash()], True, "running", "90 of 120"),
        ({}, BOOT, [], None, "running", "90 of 120"),
        ({}, BOOT, [], False, "stopped", "without a word"),
        ({}, None, None, None, "lost", "does not answer"),
        ({}, OTHER, None, False, "lost", "could not be read"),
        ({}, OTHER, [], False, "lost", "no dump"),
        ({}, OTHER, [crash(path="/var/crash/202611010000")], False, "lost", "no dump"),
        ({}, OTHER, [crash(foreign=True)], False, "lost", "no dump"),
        ({}, OTHER, [crash(**ALONE, **EARLY)], False, "lost", "no dump"),
        ({}, OTHER, [crash(**ALONE)], False, "panic", "not syncing"),
        ({}, OTHER, [crash()], False, "panic", "not syncing"),
        ({}, OTHER, [crash(**NOT_WHOLE)], False, "panic", "no whole dump: 0 bytes"),
        ({"crashes_before": None}, OTHER, [crash()], False, "panic", "not syncing"),
        ({"crashes_before": None}, OTHER, [crash(dump=None, **EARLY)], False, "lost", "no dump"),
        ({"crashes_before": []}, OTHER, [crash()], False, "panic", "not syncing"),
    ],
)
def test_outcome(
    more: dict[str, t.Any], boot: str | None, crashes: t.Any, alive: bool | None, word: str, told: str | None
) -> None:
    found = records.outcome(record(**more), boot, crashes, alive)
    assert found["outcome"] == word
    assert found["last_sample_s"] == 90.0
    assert told is None if found["reason"] is None else told is not None and told in found["reason"]
    assert (found["time_to_panic_s"] is not None) == (word == "panic")


def test_no_record_is_lost() -> None:
    assert records.outcome(None, BOOT, [crash()])["outcome"] == "lost"


@pytest.mark.parametrize(
    ("crash_time", "expected"),
    [
        (1795439193, 91.0),
        # A clock that was set in between: the last sample is what is known.
        (1795439193 + 3600, 90.0),
        (1795439193 - 3600, 90.0),
        (None, 90.0),
    ],
)
def test_time_to_panic(crash_time: int | None, expected: float) -> None:
    one = crash(dump={"path": "/var/crash/1/dump.1", "crash_time": crash_time}, record=None)
    found = records.outcome(record(), OTHER, [one])
    assert found["time_to_panic_s"] == expected
    assert found["dump"] == "/var/crash/1/dump.1"
    assert found["signature"] is None


def test_the_first_of_several_crashes_ended_the_soak() -> None:
    later = crash(path="/var/crash/202611231400", dump={"path": "/later", "crash_time": 1795439193 + 3600})
    found = records.outcome(record(), OTHER, [later, crash()])
    assert found["dump"] == "/var/crash/202611231306/dump.202611231306"
    assert (found["signature"], found["path"]) == ({"exact": "e1", "similar": "s1"}, "nic_rx")


@pytest.mark.parametrize("crashes", [[], [crash()], None])
def test_outcome_is_believed_as_it_was_made(crashes: t.Any) -> None:
    found = records.outcome(record(), OTHER, crashes)
    assert records.check_outcome(json.loads(json.dumps(found))) == found


@pytest.mark.parametrize(
    "more",
    [
        {"outcome": "fine"},
        {"outcome": []},
        {"time_to_panic_s": "x"},
        {"time_to_panic_s": None},
        {"last_sample_s": -1},
        {"dump": 5},
        {"signature": "x"},
        {"signature": {"exact": 5}},
        {"reason": {}},
    ],
)
def test_an_odd_outcome_is_refused(more: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError):
        records.check_outcome({**records.outcome(record(), OTHER, [crash()]), **more})


@pytest.mark.parametrize("value", [None, 5, [], {}, "panic"])
def test_what_is_no_outcome(value: t.Any) -> None:
    with pytest.raises(ParseError):
        records.check_outcome(value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["silent", "silent"], "silent"),
        (["stopped", "panic"], "panic"),
        (["silent", "lost"], "lost"),
        (["running", "silent"], "running"),
        (["stopped", "running"], "stopped"),
    ],
)
def test_of_a_pair_the_worst_counts(words: list[str], expected: str) -> None:
    assert records.of_pair([{"outcome": word} for word in words])["outcome"] == expected
