# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Verdicts of experiments: tables of runs, each with what it leaves open."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import experimentplot
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.experiment import (
    VERDICTS,
    is_bad,
    is_open,
    judge_experiment,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.experimenttrial import (
    Trial,
    same_signature,
    trial_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ONE = {"exact": "cr1:x:5d1f", "similar": "cr1:s:5d1f", "text": "page_fault < e1000_clean_rx_irq"}
ONE_ELSEWHERE = {"exact": "cr1:x:77aa", "similar": "cr1:s:5d1f"}
OTHER = {"exact": "cr1:x:0a77", "similar": "cr1:s:0a77"}
OLD, NEW = "6.12.48+deb13-amd64", "6.16.3+deb13-amd64"
PROFILE = {"name": "bulk", "streams": 4, "udp": False, "rate_mbps": None, "interval_s": 2}


def record(number: int = 0, phase: str = "before", seconds: float = 90, pace: float = 1000, **more: t.Any) -> t.Any:
    counts = [int(seconds * pace * 1500), 0, int(seconds * pace), int(seconds * 10)]
    found = {
        "schema": 1,
        "id": "s-20261101T12{0:02}00-0001".format(number),
        "name": "rx-panic",
        "phase": phase,
        "side": "server",
        "host": "a",
        "peer": "b",
        "nic": "eth1",
        "address": "192.0.2.1",
        "peer_address": "192.0.2.2",
        "profile": PROFILE,
        "planned_s": 3600,
        "boot_id": "00000000-0000-4000-8000-000000000001",
        "kernel": NEW if phase == "after" else OLD,
        "kernel_package": "6.12.48-1",
        "driver": "e1000e",
        "firmware": "2.1-0",
        "started_at": "2026-11-01T12:{0:02}:00Z".format(number),
        "elapsed_s": seconds,
        "silent_s": seconds,
        "state": "running",
        "reason": None,
        "traffic": dict(zip(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), counts)),
        "errors": {"rx_crc_errors": 2},
        "samples": [[seconds, *counts, 2, None]] if seconds else [],
    }
    return {**found, **more}


def outcome(word: str = "silent", seconds: float | None = None, signature: t.Any = None, **more: t.Any) -> t.Any:
    found = {"outcome": word, "time_to_panic_s": None, "dump": None, "signature": signature, "reason": None}
    return {**found, "last_sample_s": seconds, "time_to_panic_s": seconds if word == "panic" else None, **more}


def panic(
    number: int, seconds: float = 90, signature: t.Any = "its own", phase: str = "before", **more: t.Any
) -> Trial:
    return trial_of(
        record(number, phase, seconds, **more), outcome("panic", seconds, ONE if signature == "its own" else signature)
    )


def silent(number: int, seconds: float, phase: str = "after", word: str = "silent", **more: t.Any) -> Trial:
    why = {"lost": "the host does not answer", "stopped": "rx_crc_errors rise"}.get(word)
    return trial_of(record(number, phase, seconds, **more), outcome(word, seconds, reason=why))


THREE = [panic(1), panic(2), panic(3)]

CASES: list[tuple[str, list[Trial], str, str]] = [
    ("one panic", [panic(1)], "reproduced", "a panic in 1 of 1 runs, after 90 s"),
    (
        "two of three",
        [panic(1), silent(2, 600, "before"), panic(3, 120)],
        "reproduced",
        "2 of 3 runs, after 90 s to 120",
    ),
    ("the same one", THREE, "reproduced", "all 3 panics have the same signature: cr1:x:5d1f"),
    ("two faults", [panic(1), panic(2, 90, OTHER)], "reproduced", "more than one signature"),
    ("not triaged", [panic(1, 90, None)], "reproduced", "no panic has a signature"),
    ("nothing came", [silent(1, 3600, "before")], "not reproduced", "silent for 1 h"),
    ("a single soak", [silent(1, 7200, "single")], "not reproduced", "silent for 2 h"),
    ("a single panic", [panic(1, phase="single")], "reproduced", "after 90 s"),
    ("lost", [silent(1, 60, "before", "lost")], "inconclusive", "does not answer"),
    ("no traffic", [silent(1, 0, "before", "stopped")], "inconclusive", "no traffic went"),
    # 270 * (20 ** (1 / 3) - 1) = 462.9 s
    ("enough", [*THREE, silent(4, 463)], "fixed", "enough for confidence 0.95 were 7.71 min"),
    ("in two runs", [*THREE, silent(4, 300), silent(5, 163)], "fixed", "chance of 0.05"),
    ("not enough", [*THREE, silent(4, 400)], "inconclusive", "missing: 62.9 s (63 s) more of silence, of 7.71 min"),
    ("one panic is weak", [panic(1), silent(4, 1709)], "inconclusive", "repeat the run before"),
    ("19 times", [panic(1), silent(4, 1710)], "fixed", "one panic is weak evidence"),
    ("it came again", [*THREE, panic(4, 80, phase="after")], "not fixed", "with the signature of those before"),
    ("inlined", [*THREE, panic(4, 80, ONE_ELSEWHERE, "after")], "not fixed", "with the signature of those before"),
    ("not known", [*THREE, panic(4, 80, None, "after")], "not fixed", "counts as the same"),
    ("another one", [*THREE, panic(4, 80, OTHER, "after")], "inconclusive", "this is a new fault"),
    ("never before", [panic(4, 80, ONE, "after")], "reproduced", "none was seen before"),
    ("silence after nothing", [silent(1, 600, "before"), silent(4, 600)], "not reproduced", "silent for 20 min"),
    ("a slower load", [*THREE, silent(4, 4000, pace=500)], "inconclusive", "the same load: 500 packets a second"),
    # 0.95 of the packets: 480 s count as 456
    ("a little slower", [*THREE, silent(4, 480, pace=950)], "inconclusive", "(7 s) more of silence"),
    ("a little slower, longer", [*THREE, silent(4, 490, pace=950)], "fixed", "enough"),
    ("a faster one", [*THREE, silent(4, 463, pace=2000)], "fixed", "enough"),
    (
        "no packets before",
        [panic(1, 90, samples=[], elapsed_s=0, silent_s=0), silent(4, 4000)],
        "inconclusive",
        "missing: packets of the runs before",
    ),
    (
        "another profile",
        [*THREE, silent(4, 4000, profile={**PROFILE, "streams": 1})],
        "inconclusive",
        "all with another load",
    ),
    ("watched otherwise", [*THREE, silent(4, 463, profile={**PROFILE, "interval_s": 10})], "fixed", "enough"),
    (
        "lost at the end",
        [*THREE, silent(4, 4000), silent(5, 10, word="lost")],
        "inconclusive",
        "the end of the last run",
    ),
    ("lost in between", [*THREE, silent(4, 4000, word="lost"), silent(5, 463)], "fixed", "enough"),
    ("lost is no silence", [*THREE, silent(4, 400, word="lost"), silent(5, 400)], "inconclusive", "(63 s) more"),
    ("it runs", [*THREE, silent(4, 500, word="running")], "fixed", "enough"),
    ("stopped", [*THREE, silent(4, 500, word="stopped")], "fixed", "rx_crc_errors rise"),
    ("a first fix", [*THREE, panic(4, 80, phase="after", kernel="6.13"), silent(5, 500)], "fixed", "6.13"),
    ("not the kernel", [*THREE, silent(4, 500, kernel=OLD)], "fixed", "the fix is none of them"),
    (
        "fixed on one host",
        [*THREE, silent(4, 500), panic(1, host="c"), silent(4, 500, host="d")],
        "inconclusive",
        "c: missing: a run after the fix on this host",
    ),
    ("the peer does not count", [*THREE, silent(1, 80, "before", "stopped", host="b"), silent(4, 500)], "fixed", "a: "),
]


@pytest.mark.parametrize(("trials", "verdict", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_verdicts(trials: list[Trial], verdict: str, told: str) -> None:
    judged = judge_experiment(trials)
    assert judged["verdict"] == verdict, judged["says"]
    assert told in "\n".join(judged["says"]), judged["says"]
    assert is_open(judged) == (verdict == "inconclusive")
    json.dumps(judged, allow_nan=False)
    assert experimentplot.render_plot(judged, "e-1").startswith("<svg ")


def test_every_verdict_has_a_case() -> None:
    assert {case[2] for case in CASES} == set(VERDICTS)


@pytest.mark.parametrize(
    ("name", "bad"),
    [("one panic", True), ("it came again", True), ("another one", True), ("never before", True)]
    + [(name, False) for name in ("enough", "not enough", "nothing came", "lost")],
)
def test_what_is_bad(name: str, bad: bool) -> None:
    (trials,) = [case[1] for case in CASES if case[0] == name]
    assert is_bad(judge_experiment(trials)) is bad


def test_figures() -> None:
    judged = judge_experiment([*THREE, silent(4, 400)], confidence=0.9)
    (host,) = judged["hosts"]
    assert (host["panics"], host["exposure_s"], host["longest_s"]) == (3, 270, 90)
    assert host["needed_s"] == pytest.approx(311.7, abs=0.05), "270 * (10 ** (1 / 3) - 1) = 311.69"
    assert (host["silent_s"], host["left_s"], host["verdict"]) == (400, 0, "fixed")
    assert host["packets"] == {"direction": "received", "before_per_s": 1000, "after_per_s": 1000}
    assert host["after"] == "kernel {0} (6.12.48-1), driver e1000e, firmware 2.1-0".format(NEW)
    assert [run["outcome"] for run in judged["runs"]] == ["panic", "panic", "panic", "silent"]
    assert judged["runs"][0]["packets_per_s"] == 1010
    assert judged["runs"][0]["errors"] == 2


def test_the_order_of_the_runs_does_not_matter() -> None:
    trials = [*THREE, silent(4, 300), silent(5, 163)]
    assert judge_experiment(trials) == judge_experiment(reversed(trials))


def test_a_clock_that_jumps_does_not_turn_the_order_round() -> None:
    """The ids are of the controller; what was tried last is judged, whatever the host takes for its date."""
    first = panic(4, 80, phase="after", kernel="6.13", started_at="2026-12-24T00:00:00Z")
    judged = judge_experiment([*THREE, first, silent(5, 463, started_at="1970-01-01T00:00:09Z")])
    assert judged["verdict"] == "fixed", judged["says"]
    assert [run["id"] for run in judged["runs"]] == sorted(run["id"] for run in judged["runs"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("x", "s"), ("x", "s"), True),
        (("x", "s"), ("y", "s"), True),
        (("x", "s"), ("y", "t"), False),
        (("x", None), (None, "s"), None),
        (None, ("x", "s"), None),
    ],
)
def test_signatures(one: t.Any, other: t.Any, expected: bool | None) -> None:
    assert same_signature(one, other) is expected


@pytest.mark.parametrize(
    ("path", "told"), [("nic_rx", " in a NIC driver:"), ("none", " outside of the NIC drivers:"), (None, " panic:")]
)
def test_where_the_crash_sits(path: str | None, told: str) -> None:
    trial = trial_of(record(), outcome("panic", 90, ONE, path=path))
    assert told in "\n".join(judge_experiment([trial])["says"])


@pytest.mark.parametrize(
    ("seen", "ended", "told"),
    [
        (None, outcome(), "no object"),
        ({}, outcome(), "no schema"),
        ({**record(), "schema": 0}, outcome(), "schema 0"),
        ({key: value for key, value in record().items() if key != "boot_id"}, outcome(), "lacks boot_id"),
        (record(), None, "no outcome"),
        (record(), {"outcome": "fine"}, "no outcome"),
        (record(), outcome("panic"), "time_to_panic_s"),
        (record(), outcome("panic", float("nan")), "time_to_panic_s"),
        (record(), outcome("lost", True), "last_sample_s"),  # type: ignore[arg-type]
        ({**record(), "x": {1, 2}}, outcome(), "no JSON"),
    ],
)
def test_half_a_record_is_an_error(seen: t.Any, ended: t.Any, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        trial_of(seen, ended)


def test_a_panic_at_once_counts_as_one_second() -> None:
    assert trial_of(record(seconds=0), outcome("panic", 0.0)).seconds == 1.0


def test_no_runs_and_no_confidence() -> None:
    for trials, confidence in (([], 0.95), (THREE, 1.0), (THREE, 0.0)):
        with pytest.raises(ValueError, match="confidence"):
            judge_experiment(trials, confidence)


# --- the picture -----------------------------------------------------------------------------------------------------


def test_the_picture_says_what_the_runs_say() -> None:
    judged = judge_experiment([*THREE, silent(4, 500), silent(5, 5, word="lost")])
    svg = experimentplot.render_plot(judged, "e-1")
    says = [each.says for each in experimentplot.bars_of(judged)]
    assert says == [
        *["a, before: panic after 90 s"] * 3,
        "a, after: silent for 8.33 min",
        "a, after: lost after 5 s, not known how it ended",
        "a: silent for 8.33 min after, 7.71 min are needed",
    ]
    assert all(line in svg for line in says)
    assert 'aria-labelledby="e-1-title e-1-about"' in svg
    assert svg.count("<circle") == 3
    assert "style" not in svg


@pytest.mark.parametrize("evil", ["</svg><script>x()</script>", "\"'><img src=x onerror=x()>", "\x1b[31m\u202ered"])
def test_texts_stay_texts_in_the_picture(evil: str) -> None:
    seen = judge_experiment([trial_of(record(), outcome("panic", 90), evil)], name=evil)
    svg = experimentplot.render_plot(seen, "e-1")
    assert "<script" not in svg
    assert "<img" not in svg
    assert not set(svg) & set("\x1b\u202e")


# --- whatever comes --------------------------------------------------------------------------------------------------

ANY = st.builds(
    lambda number, phase, word, seconds, host, signature, kernel, pace: trial_of(
        record(number, phase, seconds, pace, kernel=kernel),
        outcome(word, seconds, signature, reason="why"),
        host,
    ),
    st.integers(0, 59),
    st.sampled_from(("before", "after", "single")),
    st.sampled_from(("panic", "lost", "stopped", "running", "silent")),
    st.floats(0, 1e7),
    st.sampled_from(("a", "b")),
    st.sampled_from((None, ONE, OTHER, {"exact": None, "similar": None})),
    st.sampled_from((OLD, NEW)),
    st.sampled_from((0, 900, 1000)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=12))
def test_every_experiment_has_a_verdict(trials: list[Trial]) -> None:
    judged = judge_experiment(trials)
    assert judged["verdict"] in VERDICTS
    assert judged["says"]
    json.dumps(judged, allow_nan=False)
    experimentplot.render_plot(judged, "e-1")
    for host in judged["hosts"]:
        if host["verdict"] == "fixed":
            assert host["panics"] > 0
            assert host["panics_after"] == 0
            assert host["chance"] <= 0.0501
            assert host["silent_s"] >= host["needed_s"] - 0.1
