# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record of a rollout: its order, how far each host is, where it stopped; and how it goes on from there.

A record is a dict of JSON: {schema, began, updated, waves [{kind, hosts, began, ended}], hosts {name: {phase, wave,
reason, says, answers, windows, groups, drained, before, after}}, stopped {host, says, at} or null, notes [text]}. Times
are texts in UTC. `before` and `after` are looks (`rollout.look_of`); `before` stays where a host failed, so that it is
asked again against what it was when it was well.
"""

from __future__ import annotations

import datetime as dt
import json
import typing as t

from .errors import CoreError, ParseError
from .rollout import BATCH, CANARY, Candidate, Plan, Size, judge_gate, left_out, plan_waves
from .text import clean

__all__ = [
    "AGAIN",
    "LIMIT_BYTES",
    "PHASES",
    "SCHEMA",
    "STATES",
    "begin_wave",
    "dump_record",
    "end_wave",
    "go_on",
    "is_finished",
    "longest_wave_s",
    "move",
    "new_record",
    "parse_record",
    "stop",
    "summary_of",
    "waves_left",
]

#: Version of the shape of a record and of a summary.
SCHEMA = 1
#: Far more than ten thousand hosts need.
LIMIT_BYTES = 256 * 1024 * 1024
PHASES = ("planned", "draining", "changing", "gated", "done", "failed", "left")
#: A wave that is one host which failed in an earlier run.
AGAIN = "again"
#: Of a host in a summary.
STATES = ("failed", "unreachable", "left", "planned", "done")

_NEXT: dict[str, tuple[str, ...]] = {
    "planned": ("draining", "changing", "failed", "left"),
    "draining": ("changing", "failed"),
    "changing": ("gated", "failed"),
    "gated": ("done", "failed"),
    "failed": ("draining", "changing", "failed", "left"),
    "left": ("planned", "left"),
    "done": ("failed",),
}
_UNDER_WAY = ("draining", "changing", "gated")
_SAYS_LIMIT = 600
_NOTES_LIMIT = 20

Record = dict[str, t.Any]
Looks = t.Mapping[str, t.Mapping[str, t.Any]]


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.timezone.utc).isoformat(timespec="seconds")


def _host(candidate: Candidate, phase: str, wave: int | None, reason: str) -> Record:
    return {
        "phase": phase,
        "wave": wave,
        "reason": clean(reason, 1000),
        "says": "",
        "answers": candidate.answers,
        "windows": list(candidate.windows),
        "groups": list(candidate.groups),
        "drained": False,
        "before": None,
        "after": None,
    }


def new_record(plan: Plan, candidates: t.Iterable[Candidate], now: dt.datetime) -> Record:
    """The record of a rollout that has not begun."""
    hosts = {}
    for each in candidates:
        place = plan.positions.get(each.host)
        if place is None:
            hosts[each.host] = _host(each, "left", None, plan.left[each.host])
        else:
            hosts[each.host] = _host(each, "planned", place.wave, place.reason)
    waves = [_wave(wave.kind, wave.hosts) for wave in plan.waves]
    times = {"began": _text(now), "updated": _text(now)}
    return {"schema": SCHEMA, **times, "waves": waves, "hosts": hosts, "stopped": None, "notes": []}


def _wave(kind: str, hosts: t.Iterable[str]) -> Record:
    return {"kind": kind, "hosts": list(hosts), "began": None, "ended": None}


# --- text ------------------------------------------------------------------------------------------------------------


def dump_record(record: t.Mapping[str, t.Any]) -> str:
    """The text that `parse_record` takes."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"


def parse_record(text: str) -> Record:
    """The record of an earlier run. Raises ParseError for half of one, one of a newer version, anything else."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as exc:
        says = "it is no whole record of a rollout ({0}): its writing was broken off, or it is another file"
        raise ParseError(says.format(clean(str(exc), 120))) from exc
    schema = record.get("schema") if isinstance(record, dict) else None
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        says = "it was written by a newer version (schema {0}, this one knows {1}): go on with that version"
        raise ParseError(says.format(schema, SCHEMA))
    if schema != SCHEMA or isinstance(schema, bool):
        raise ParseError("it is no record of a rollout (schema {0})".format(clean(repr(schema), 40)))
    try:
        _check(record)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        says = "it is no record of a rollout: {0}"
        raise ParseError(says.format(clean("{0}: {1}".format(type(exc).__name__, exc), 200))) from exc
    return t.cast(Record, record)


def _check(record: Record) -> None:
    dt.datetime.fromisoformat(record["began"])
    _need(isinstance(record["notes"], list) and isinstance(record["waves"], list), "waves and notes are lists")
    for name, host in record["hosts"].items():
        _need(host["phase"] in PHASES, "{0} has the phase {1!r}".format(name, host["phase"]))
        _need(isinstance(host["drained"], bool) and isinstance(host["answers"], bool), name)
        _need(all(isinstance(host[key], str) for key in ("reason", "says")), name)
        _need(all(isinstance(host[key], (dict, type(None))) for key in ("before", "after")), name)
        _need(all(isinstance(host[key], list) for key in ("windows", "groups")), name)
    placed: set[str] = set()
    for number, wave in enumerate(record["waves"], 1):
        _need(wave["kind"] in (CANARY, BATCH, AGAIN), "wave {0} is of the kind {1!r}".format(number, wave["kind"]))
        _need(bool(wave["hosts"]) and not placed & set(wave["hosts"]), "wave {0} has a host twice".format(number))
        _need(set(wave["hosts"]) <= set(record["hosts"]), "wave {0} has a host that is not known".format(number))
        placed.update(wave["hosts"])
        for key in ("began", "ended"):
            _need(wave[key] is None or dt.datetime.fromisoformat(wave[key]).tzinfo is not None, "a time without zone")
    stopped = record["stopped"]
    _need(stopped is None or isinstance(stopped["says"], str), "where it stopped is no text")


def _need(true: bool, says: str) -> None:
    if not true:
        raise ValueError(says)


# --- steps -----------------------------------------------------------------------------------------------------------


def move(record: Record, host: str, phase: str, now: dt.datetime, **values: t.Any) -> None:
    """Bring a host to its next phase; `values` are of `says`, `drained`, `before`, `after`. Raises CoreError."""
    entry = record["hosts"].get(host)
    if entry is None:
        raise CoreError("the record of the rollout has no host {0}".format(clean(host, 80)))
    if phase not in _NEXT[entry["phase"]]:
        says = "{0} cannot go from {1} to {2}: does another run use the same record?"
        raise CoreError(says.format(clean(host, 80), entry["phase"], phase))
    if "before" in values and entry["before"] is not None:
        values.pop("before")  # of the attempt before which it was well
    if "says" in values:
        values["says"] = clean(values["says"], _SAYS_LIMIT)
    entry.update(values, phase=phase)
    if phase == "done":
        entry.update(before=None, drained=False)
    record["updated"] = _text(now)


def stop(record: Record, host: str | None, says: str, now: dt.datetime) -> None:
    """No further wave begins. The first reason stays."""
    if record["stopped"] is None:
        record["stopped"] = {"host": host, "says": clean(says, _SAYS_LIMIT), "at": _text(now)}
    record["updated"] = _text(now)


def _wave_of(record: Record, host: str) -> Record:
    number = record["hosts"][host]["wave"]
    return t.cast(Record, record["waves"][number - 1])


def begin_wave(record: Record, host: str, now: dt.datetime) -> Record:
    """The wave of a host has begun."""
    wave = _wave_of(record, host)
    wave.update(began=_text(now), ended=None)
    record["updated"] = _text(now)
    return wave


def end_wave(record: Record, host: str, now: dt.datetime) -> list[str]:
    """The wave of a host is over: hosts of it that are not done, of which those in the middle have failed."""
    wave = _wave_of(record, host)
    wave["ended"] = _text(now)
    record["updated"] = _text(now)
    found = []
    for name in wave["hosts"]:
        phase = record["hosts"][name]["phase"]
        if phase in _UNDER_WAY:
            move(record, name, "failed", now, says="the connection to it was lost while it was {0}".format(phase))
        elif phase == "planned":
            move(record, name, "failed", now, says="it was not reached in its wave, and nothing was changed on it")
        if record["hosts"][name]["phase"] != "done":
            found.append(name)
    return found


def longest_wave_s(record: t.Mapping[str, t.Any]) -> float:
    """The longest that a wave has taken so far; 0 where none has ended."""
    lasted = [
        (dt.datetime.fromisoformat(wave["ended"]) - dt.datetime.fromisoformat(wave["began"])).total_seconds()
        for wave in record["waves"]
        if wave["began"] and wave["ended"]
    ]
    return max([0.0, *lasted])


def waves_left(record: t.Mapping[str, t.Any]) -> list[list[str]]:
    """Hosts that are still to go, wave by wave."""
    hosts = record["hosts"]
    waves = [
        [name for name in wave["hosts"] if hosts[name]["phase"] not in ("done", "left")] for wave in record["waves"]
    ]
    return [wave for wave in waves if wave]


def is_finished(record: t.Mapping[str, t.Any]) -> bool:
    """Whether every host that was to go is done."""
    return not waves_left(record)


# --- going on --------------------------------------------------------------------------------------------------------


def go_on(
    record: Record,
    candidates: t.Sequence[Candidate],
    looks: Looks,
    how: tuple[t.Sequence[Size], int],
    now: dt.datetime,
) -> None:
    """Take up a rollout that stopped: the order stays, hosts that failed come first, each alone.

    `looks` are of all candidates that answer. A host that is done and no longer as well as it was, and one that failed
    and still cannot go, stop the rollout before anything is done. Hosts that were left or are new come last.
    `how` is sizes of batches and number of canaries, for those.
    """
    known = {each.host: each for each in candidates}
    record.update(stopped=None, updated=_text(now))
    left = left_out(candidates)
    for host, entry in record["hosts"].items():
        if host in known:
            entry.update(answers=known[host].answers, windows=list(known[host].windows))
    _look_at_done(record, known, looks, now)
    again = [name for name, entry in record["hosts"].items() if entry["phase"] in (*_UNDER_WAY, "failed")]
    _ask_again(record, again, known, left, now)
    _leave(record, known, left, now)
    record["waves"] = [*_parts(record, "done"), *_again(record, again), *_parts(record, "planned")]
    _add_new(record, candidates, left, how)
    for number, wave in enumerate(record["waves"], 1):
        for name in wave["hosts"]:
            record["hosts"][name]["wave"] = number


def _parts(record: Record, phase: str) -> list[Record]:
    """The waves, each with its hosts of one phase alone."""
    parts = [dict(wave, hosts=_of_phase(record, wave["hosts"], phase)) for wave in record["waves"]]
    parts = [part for part in parts if part["hosts"]]
    return parts if phase == "done" else [dict(part, began=None, ended=None) for part in parts]


def _of_phase(record: Record, names: t.Iterable[str], phase: str) -> list[str]:
    return [name for name in names if record["hosts"][name]["phase"] == phase]


def _again(record: Record, names: t.Iterable[str]) -> list[Record]:
    """A wave for each host that failed and may be asked again, in the order in which they went."""
    failed = _of_phase(record, names, "failed")
    return [_wave(AGAIN, [name]) for name in sorted(failed, key=lambda name: record["hosts"][name]["wave"])]


def _look_at_done(record: Record, known: t.Mapping[str, Candidate], looks: Looks, now: dt.datetime) -> None:
    for host, entry in record["hosts"].items():
        if entry["phase"] != "done" or host not in known or entry["after"] is None:
            continue
        found = judge_gate(entry["after"], looks.get(host) if known[host].answers else None)
        errors = [finding.message for finding in found if finding.severity == "error"]
        if errors:
            says = "it was done and is no longer as well as it was then: {0}".format("; ".join(errors))
            move(record, host, "failed", now, says=says)
            entry["before"] = entry["after"]
            stop(record, host, says, now)


def _ask_again(
    record: Record,
    again: t.Iterable[str],
    known: t.Mapping[str, Candidate],
    left: t.Mapping[str, str],
    now: dt.datetime,
) -> None:
    for host in again:
        entry = record["hosts"][host]
        if entry["phase"] != "failed":
            move(record, host, "failed", now, says="the run before ended while it was {0}".format(entry["phase"]))
        entry["reason"] = clean("it failed before: {0}".format(entry["says"]), 1000)
        if host not in known:
            move(record, host, "left", now, says="it failed, and is no longer among the hosts of this run")
        elif host in left:
            stop(record, host, "it failed before, and still: {0}".format(left[host]), now)


def _leave(record: Record, known: t.Mapping[str, Candidate], left: t.Mapping[str, str], now: dt.datetime) -> None:
    for host, entry in record["hosts"].items():
        if entry["phase"] == "planned" and host not in known:
            move(record, host, "left", now, says="it is no longer among the hosts of this run")
        elif entry["phase"] in ("planned", "left") and host in left:
            move(record, host, "left", now)
            entry.update(reason=clean(left[host], 1000), says="")


def _add_new(
    record: Record,
    candidates: t.Sequence[Candidate],
    left: t.Mapping[str, str],
    how: tuple[t.Sequence[Size], int],
) -> None:
    """Hosts without a place get one behind the others."""
    placed = {name for wave in record["waves"] for name in wave["hosts"]}
    new = [each for each in candidates if each.host not in placed and each.host not in left]
    for each in candidates:
        if each.host in left and each.host not in record["hosts"]:
            record["hosts"][each.host] = _host(each, "left", None, left[each.host])
    plan = plan_waves(new, *how)
    before = len(record["waves"])
    for each in new:
        place = plan.positions[each.host]
        record["hosts"][each.host] = _host(each, "planned", before + place.wave, place.reason)
    record["waves"] += [_wave(wave.kind, wave.hosts) for wave in plan.waves]


# --- what became of it -----------------------------------------------------------------------------------------------


def summary_of(record: t.Mapping[str, t.Any], plan_only: bool = False) -> dict[str, t.Any]:
    """{schema, began, updated, stopped, notes, waves [{wave, kind, hosts}], hosts [{host, state, wave, reason, says}]}.

    `state` is of STATES. Hosts are in the order of the rollout, those without a place at its end.
    """
    hosts = []
    for host, entry in record["hosts"].items():
        state, says = _state(record, entry, plan_only)
        row = {"host": host, "state": state, "wave": entry["wave"], "reason": entry["reason"], "says": says}
        hosts.append(dict(row, drained=entry["drained"]))
    placed = {name: (wave, at) for wave, each in enumerate(record["waves"]) for at, name in enumerate(each["hosts"])}
    hosts.sort(key=lambda row: placed.get(row["host"], (len(record["waves"]), 0)))
    waves = [
        {"wave": number, "kind": wave["kind"], "hosts": wave["hosts"]} for number, wave in enumerate(record["waves"], 1)
    ]
    told = {key: record[key] for key in ("began", "updated", "stopped", "notes")}
    return {"schema": SCHEMA, **told, "plan": plan_only, "waves": waves, "hosts": hosts}


def _state(record: t.Mapping[str, t.Any], entry: t.Mapping[str, t.Any], plan_only: bool) -> tuple[str, str]:
    phase, says = entry["phase"], entry["says"]
    if phase == "left":
        return ("left" if entry["answers"] else "unreachable"), says or entry["reason"]
    if phase in _UNDER_WAY:
        return "failed", "the run ended while it was {0}".format(phase)
    if phase == "failed" and plan_only and record["stopped"] is None:
        return "planned", entry["reason"]  # it is asked again
    if phase == "planned" and not plan_only:
        stopped = record["stopped"]
        where = "at {0} ".format(stopped["host"]) if stopped and stopped["host"] else ""
        return "left", "untouched: the rollout stopped {0}before its turn".format(where)
    return phase, says
