# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record of a rollout: what it takes and refuses, each step, and going on from wherever a run can end."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.rollout import (
    Candidate,
    look_of,
    parse_batches,
    plan_waves,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.rollout_record import (
    PHASES,
    STATES,
    begin_wave,
    dump_record,
    end_wave,
    go_on,
    is_finished,
    longest_wave_s,
    move,
    new_record,
    parse_record,
    stop,
    summary_of,
    waves_left,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.rollout_view import (
    counts_of,
    failure_of,
    render_summary,
    unfinished_of,
)

NOW = dt.datetime(2026, 11, 24, 1, tzinfo=dt.timezone.utc)
HOW = (parse_batches("2"), 1)
Record = dict[str, t.Any]


def candidates(*names: str, **more: t.Any) -> list[Candidate]:
    return [Candidate(name, "p", **more) for name in names]


def fresh(*names: str) -> Record:
    hosts = candidates(*(names or ("a", "b", "c", "d", "e")))
    return new_record(plan_waves(hosts, *HOW), hosts, NOW)


def look(**capture: t.Any) -> dict[str, t.Any]:
    facts = {"nics": [], "kernel": {"release": "6.1"}, "capture": {"armed": True, "proven": None, **capture}}
    return look_of(facts, None, {"verdict": "clear"})


def bring(record: Record, host: str, phase: str) -> None:
    """As far as a run would bring it."""
    steps = ["changing", "gated", "done"]
    for step in ["draining"] if phase == "draining" else steps[: steps.index(phase) + 1]:
        move(record, host, step, NOW, **({"after": look()} if step == "gated" else {}))


def stopped_at_c() -> Record:
    """a is the canary, b and c the first batch, of which c failed."""
    record = fresh()
    for host in ("a", "b"):
        begin_wave(record, host, NOW)
        bring(record, host, "done")
        if host == "a":
            end_wave(record, host, NOW + dt.timedelta(seconds=90))
    move(record, "c", "changing", NOW, before=look())
    move(record, "c", "failed", NOW, says="it does not answer")
    stop(record, "c", "it does not answer", NOW)
    assert end_wave(record, "b", NOW) == ["c"]
    return record


def test_order_and_reasons_are_in_it() -> None:
    record = fresh()
    assert waves_left(record) == [["a"], ["b", "c"], ["d", "e"]]
    assert record["hosts"]["b"]["wave"] == 2
    assert record["hosts"]["a"]["reason"] == "canary 1 of 5 hosts with p"
    assert not is_finished(record)


def test_it_goes_through_text_as_it_is() -> None:
    record = stopped_at_c()
    assert parse_record(dump_record(record)) == record


def changed(**more: t.Any) -> str:
    return json.dumps({**stopped_at_c(), **more})


def with_host(**more: t.Any) -> str:
    record = fresh("a")
    record["hosts"]["a"].update(more)
    return json.dumps(record)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no whole record"),
        (dump_record(stopped_at_c())[:-40], "its writing was broken off"),
        ("[" * 100_000, "no whole record"),
        ("[]", "no record of a rollout"),
        ("{}", "no record of a rollout"),
        (changed(schema=2), "newer version (schema 2, this one knows 1)"),
        (changed(schema=True), "no record of a rollout"),
        (changed(schema="1"), "no record of a rollout"),
        (changed(schema=0), "no record of a rollout"),
        (changed(began=5), "no record"),
        (changed(began="yesterday"), "no record"),
        (changed(hosts=[]), "no record"),
        (changed(waves=[{"kind": "canary", "hosts": ["x"], "began": None, "ended": None}]), "not known"),
        (changed(waves=[{"kind": "canary", "hosts": ["a", "a"], "began": None, "ended": None}] * 2), "twice"),
        (changed(waves=[{"kind": "flood", "hosts": ["a"], "began": None, "ended": None}]), "flood"),
        (changed(waves=[{"kind": "batch", "hosts": ["a"], "began": "2026-11-24T01:00:00", "ended": None}]), "zone"),
        (changed(stopped={"says": 5}), "no text"),
        (changed(notes={}), "lists"),
        (with_host(phase="cooking"), "a has the phase 'cooking'"),
        (with_host(drained=None), "no record"),
        (with_host(before="x"), "no record"),
        (with_host(windows=None), "no record"),
    ],
)
def test_what_is_no_record(text: str, says: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_record(text)
    assert says in str(caught.value)


def test_steps_keep_their_order() -> None:
    reached = {("planned", phase) for phase in ("draining", "changing", "failed", "left")}
    for phase in PHASES:
        record = fresh("a")
        if ("planned", phase) in reached:
            move(record, "a", phase, NOW)
        else:
            with pytest.raises(CoreError, match="a cannot go from planned to {0}".format(phase)):
                move(record, "a", phase, NOW)
    with pytest.raises(CoreError, match="no host x"):
        move(fresh(), "x", "done", NOW)


def test_what_it_was_before_its_first_attempt_stays() -> None:
    record = fresh("a")
    move(record, "a", "changing", NOW, before={"armed": True})
    move(record, "a", "failed", NOW, says="x" * 5000)
    move(record, "a", "changing", NOW, before={"armed": False})
    assert record["hosts"]["a"]["before"] == {"armed": True}
    assert len(record["hosts"]["a"]["says"]) <= 600
    bring_on = ("gated", "done")
    for phase in bring_on:
        move(record, "a", phase, NOW)
    assert record["hosts"]["a"]["before"] is None


def test_the_first_reason_to_stop_stays() -> None:
    record = fresh()
    stop(record, "a", "first", NOW)
    stop(record, "b", "second", NOW)
    assert (record["stopped"]["host"], record["stopped"]["says"]) == ("a", "first")


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        ("draining", "the connection to it was lost while it was draining"),
        ("changing", "lost while it was changing"),
        ("planned", "was not reached in its wave, and nothing was changed"),
    ],
)
def test_a_host_that_is_lost_in_its_wave_has_failed(phase: str, says: str) -> None:
    record = fresh("a")
    begin_wave(record, "a", NOW)
    if phase != "planned":
        bring(record, "a", phase)
    assert end_wave(record, "a", NOW) == ["a"]
    assert record["hosts"]["a"]["phase"] == "failed"
    assert says in record["hosts"]["a"]["says"]


def test_the_longest_wave_is_known() -> None:
    assert longest_wave_s(fresh()) == 0
    assert longest_wave_s(stopped_at_c()) == 90


# --- going on --------------------------------------------------------------------------------------------------------


def all_well(*names: str) -> dict[str, t.Any]:
    return {name: look() for name in names or "abcde"}


def test_it_goes_on_with_the_host_that_failed() -> None:
    record = stopped_at_c()
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    assert record["stopped"] is None
    assert waves_left(record) == [["c"], ["d", "e"]]
    assert record["hosts"]["c"]["reason"] == "it failed before: it does not answer"
    assert [record["hosts"][name]["wave"] for name in "abcde"] == [1, 2, 3, 4, 4]
    parse_record(dump_record(record))


@pytest.mark.parametrize("phase", ["draining", "changing", "gated"])
def test_a_run_that_was_broken_off_goes_on_with_the_host_in_the_middle(phase: str) -> None:
    record = fresh()
    begin_wave(record, "a", NOW)
    bring(record, "a", "done")
    end_wave(record, "a", NOW)
    begin_wave(record, "b", NOW)
    bring(record, "b", phase)
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    assert waves_left(record) == [["b"], ["c"], ["d", "e"]], "c was planned beside b and not touched"
    assert "the run before ended while it was {0}".format(phase) in record["hosts"]["b"]["reason"]


def test_a_host_that_is_done_and_no_longer_well_stops_it_at_once() -> None:
    record = stopped_at_c()
    go_on(record, candidates(*"abcde"), {**all_well(), "b": look(armed=False)}, HOW, NOW)
    assert record["stopped"]["host"] == "b"
    assert "no longer as well as it was then: it was armed and is not" in record["stopped"]["says"]
    assert record["hosts"]["b"]["phase"] == "failed"
    assert record["hosts"]["b"]["before"]["armed"] is True, "against this it is asked again"


def test_a_host_that_is_done_and_does_not_answer_stops_it() -> None:
    record = stopped_at_c()
    silent = candidates("b", answers=False, left="it did not answer")
    go_on(record, [*candidates(*"acde"), *silent], all_well(*"acde"), HOW, NOW)
    assert record["stopped"]["host"] == "b"


def test_a_host_that_failed_and_still_cannot_go_stops_it() -> None:
    record = stopped_at_c()
    silent = candidates("c", answers=False, left="it did not answer")
    go_on(record, [*candidates(*"abde"), *silent], all_well(*"abde"), HOW, NOW)
    assert record["stopped"]["says"] == "it failed before, and still: it did not answer"


def test_a_host_that_failed_and_was_taken_out_of_the_rack_is_left() -> None:
    record = stopped_at_c()
    go_on(record, candidates(*"abde"), all_well(*"abde"), HOW, NOW)
    assert record["stopped"] is None
    assert waves_left(record) == [["d", "e"]]
    assert "no longer among the hosts" in record["hosts"]["c"]["says"]


def test_new_hosts_and_those_that_were_left_come_last() -> None:
    hosts = [*candidates("a", "b"), *candidates("c", left="no yes")]
    record = new_record(plan_waves(hosts, *HOW), hosts, NOW)
    assert record["hosts"]["c"]["phase"] == "left"
    bring(record, "a", "done")
    go_on(record, candidates("a", "b", "c", "f"), all_well(*"abcf"), HOW, NOW)
    assert waves_left(record) == [["b"], ["c"], ["f"]], "of the new ones one goes alone first"
    assert [record["hosts"][name]["wave"] for name in "abcf"] == [1, 2, 3, 4]
    parse_record(dump_record(record))


def test_a_yes_that_is_taken_back_leaves_the_host() -> None:
    record = stopped_at_c()
    go_on(record, [*candidates(*"abcd"), *candidates("e", left="no yes")], all_well(), HOW, NOW)
    assert waves_left(record) == [["c"], ["d"]]
    assert record["hosts"]["e"]["reason"] == "no yes"
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    assert ["e"] in waves_left(record)


def test_going_on_twice_is_going_on_once() -> None:
    record = stopped_at_c()
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    once = json.loads(json.dumps(record))
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    once["hosts"]["c"]["says"] = record["hosts"]["c"]["says"]
    assert waves_left(record) == waves_left(once)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_summary_says_what_was_done_and_what_is_left() -> None:
    summary = summary_of(stopped_at_c())
    assert [(row["host"], row["state"]) for row in summary["hosts"]] == [
        *(("a", "done"), ("b", "done"), ("c", "failed"), ("d", "left"), ("e", "left")),
    ]
    assert counts_of(summary) == {"done": 2, "failed": 1, "left": 2}
    assert unfinished_of(summary)["d"] == "untouched: the rollout stopped at c before its turn"
    text = render_summary(summary)
    assert "5 hosts in 3 waves: 2 done, 1 failed, 2 left" in text
    assert text.endswith("stopped at c: it does not answer")


def test_summary_of_a_plan() -> None:
    record = fresh()
    record["notes"].append("nothing was done")
    summary = summary_of(record, plan_only=True)
    assert {row["state"] for row in summary["hosts"]} == {"planned"}
    assert unfinished_of(summary) == {}
    lines = render_summary(summary).splitlines()
    assert lines[0].split() == ["WAVE", "HOST", "STATE", "WHY"]
    assert lines[1].split(None, 4) == ["1", "canary", "a", "planned", "canary 1 of 5 hosts with p"]
    assert lines[-1] == "nothing was done"


def test_a_host_that_is_asked_again_is_planned() -> None:
    record = stopped_at_c()
    assert counts_of(summary_of(record, plan_only=True))["failed"] == 1
    go_on(record, candidates(*"abcde"), all_well(), HOW, NOW)
    assert counts_of(summary_of(record, plan_only=True)) == {"done": 2, "planned": 3}


def test_summary_of_hosts_without_a_place() -> None:
    hosts = [*candidates("a", answers=False, left="it did not answer"), *candidates("b", left="no yes")]
    summary = summary_of(new_record(plan_waves(hosts, *HOW), hosts, NOW))
    assert [(row["host"], row["state"], row["says"]) for row in summary["hosts"]] == [
        ("a", "unreachable", "it did not answer"),
        ("b", "left", "no yes"),
    ]
    assert "2 hosts in 0 waves: 1 left, 1 not reached" in render_summary(summary)


def test_every_state_is_one_of_the_published() -> None:
    for phase in PHASES:
        record = fresh("a")
        record["hosts"]["a"]["phase"] = phase
        assert summary_of(record)["hosts"][0]["state"] in STATES


def test_a_narrow_terminal_gets_a_list() -> None:
    text = render_summary(summary_of(stopped_at_c()), width=40)
    assert "c: failed\n  wave 2 batch: it does not answer" in text


def test_a_host_that_is_still_drained_is_told() -> None:
    record = stopped_at_c()
    record["hosts"]["c"]["drained"] = True
    assert "it does not answer; it is still drained" in render_summary(summary_of(record))


COMMAND = {"failed": True, "rc": 1, "stdout": "", "stderr": "no such pool", "msg": "non-zero return code"}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"msg": "no room"}, "no room"),
        ({}, "failed"),
        (5, "5"),
        ({**COMMAND, "cmd": ["lb", "out"]}, "lb out: non-zero return code, exit code 1, no such pool"),
        (
            {"results": [{"item": 1}, {**COMMAND, "cmd": ["timeout", "--kill-after=10", "300", "lb", "out"]}]},
            "lb out: non-zero return code, exit code 1, no such pool",
        ),
        (
            {**COMMAND, "rc": 124, "stderr": "", "cmd": ["timeout", "--kill-after=10", "300", "lb", "out"]},
            "lb out: it took longer than 300 s, exit code 124",
        ),
        ({"msg": "a\x1b[31m\nb"}, "a [31m b"),
        ({"results": "x", "cmd": "x", "rc": 1}, "failed"),
    ],
)
def test_why_a_task_failed(result: t.Any, says: str) -> None:
    assert failure_of(result) == says
