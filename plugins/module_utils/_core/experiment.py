# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reproduce, fix, prove silence: the verdict of soaks before and after a fix.

Each host is judged by its own runs, one with another host's is never mixed: two hosts
may have two faults. The runs after are those on the newest kernel, driver and firmware;
what was tried before it is told and left aside. Runs before count where they had the
same load. How much silence is enough is `experimentsilence.judge_silence`.
"""

from __future__ import annotations

import math
import typing as t

from .experimentsilence import FACTOR, Silence, judge_silence
from .experimenttrial import Trial, same_signature
from .text import clean

__all__ = ["SAME_RATE", "SCHEMA", "VERDICTS", "is_bad", "is_open", "judge_experiment", "span_text"]

#: Version of the shape of a judged experiment.
SCHEMA = 1
#: The worst first.
VERDICTS = ("not fixed", "inconclusive", "reproduced", "fixed", "not reproduced")
#: The packets a second after, as a share of those before, below which two loads are not the same. A silence at a share
#: from here to 1 counts in proportion.
SAME_RATE = 0.9

_BEFORE = ("before", "single")
_RUNS_LIMIT = 1000
_SAYS_LIMIT = 20

Row = dict[str, t.Any]


class _Rates(t.NamedTuple):
    """Packets a second before and after, in the direction that counts. None: no sample was kept."""

    direction: str  #: "received" or "sent"
    before: float | None
    after: float | None

    @property
    def share(self) -> float | None:
        return None if self.before is None or self.after is None else self.after / self.before


class _Host(t.NamedTuple):
    """The runs of one host's NIC in their parts, each in the order of time."""

    before: list[Trial]  #: with the load that counts
    after: list[Trial]  #: on the newest build, with the load that counts
    tried: list[Trial]  #: after, on an earlier build
    elsewise: list[Trial]  #: with another load

    @property
    def panics(self) -> list[Trial]:
        return [trial for trial in self.before if trial.panicked]

    @property
    def panics_after(self) -> list[Trial]:
        return [trial for trial in self.after if trial.panicked]

    @property
    def exposure_s(self) -> float:
        """Before. What a lost run had until then counts: more exposure asks for more silence."""
        return sum(trial.seconds for trial in self.before)

    @property
    def silent_s(self) -> float:
        """After. A lost run may have ended in a panic, so its time is no silence."""
        return sum(trial.seconds for trial in self.after if trial.outcome not in ("panic", "lost"))


def span_text(seconds: float) -> str:
    """A time for people, three digits of it.

    >>> [span_text(value) for value in (9.5, 90, 600, 5400, 200000)]
    ['9.5 s', '90 s', '10 min', '1.5 h', '2.31 d']
    """
    for unit, size, enough in (("d", 86400.0, 2 * 86400.0), ("h", 3600.0, 3600.0), ("min", 60.0, 180.0)):
        if seconds >= enough:
            return "{0:.3g} {1}".format(seconds / size, unit)
    return "{0:.3g} s".format(seconds)


def judge_experiment(
    trials: t.Iterable[Trial], confidence: float = 0.95, factor: float = FACTOR, name: str | None = None
) -> Row:
    """The verdict: {schema, name, verdict, confidence, factor, says, hosts, runs, more_runs}.

    A host: {host, nic, verdict, says, panics, panics_after, other_crash, times_to_panic_s, longest_s, exposure_s,
    silent_s, needed_s, left_s, chance, packets {direction, before_per_s, after_per_s}, signatures [{signature, runs}],
    same_signature, profile, before, after}; the last two are builds in words, null without such runs. `needed_s`,
    `left_s` and `chance` are null without a panic before; `left_s` is "and so many seconds more". A run: {id, phase,
    host, peer, side, nic, started_at, profile, build, outcome, seconds, signature, dump, errors, reason}.

    The verdict of the experiment is the worst of the hosts that had a panic, else the worst of all. Raises ValueError
    without a trial and for a confidence outside 0 to 1.
    """
    # An id begins with the controller's time; the clock of a host that panics may come back as another one.
    order = sorted(trials, key=lambda trial: (trial.soak_id, trial.host, trial.nic))
    if not order or not 0 < confidence < 1:
        raise ValueError("{0} runs, confidence {1:g}".format(len(order), confidence))
    compared = any(trial.phase == "after" for trial in order)
    hosts = []
    for key in sorted({(trial.host, trial.nic) for trial in order}):
        own = [trial for trial in order if (trial.host, trial.nic) == key]
        hosts.append(_judge_host(key, _parts(own), confidence, factor, compared))
    counted = [host for host in hosts if host["panics"] or host["panics_after"]] or hosts
    verdict = min((host["verdict"] for host in counted), key=VERDICTS.index)
    return {
        "schema": SCHEMA,
        "name": order[0].experiment if name is None else name,
        "verdict": verdict,
        "confidence": confidence,
        "factor": factor,
        "says": ["{0}: {1}".format(host["host"], line) for host in counted for line in host["says"]][:_SAYS_LIMIT],
        "hosts": hosts,
        "runs": [_run(trial) for trial in order[-_RUNS_LIMIT:]],
        "more_runs": max(0, len(order) - _RUNS_LIMIT),
    }


def is_bad(judged: Row) -> bool:
    """Whether something bad was seen: the fault came, or another one after the fix."""
    other = any(host["other_crash"] for host in judged["hosts"])
    return judged["verdict"] in ("reproduced", "not fixed") or other


def is_open(judged: Row) -> bool:
    """Whether the experiment says neither."""
    return bool(judged["verdict"] == "inconclusive")


def _parts(trials: list[Trial]) -> _Host:
    after = [trial for trial in trials if trial.phase == "after"]
    load = (after or trials)[-1].load
    newest = after[-1].build if after else None
    return _Host(
        [trial for trial in trials if trial.phase in _BEFORE and trial.load == load],
        [trial for trial in after if trial.build == newest and trial.load == load],
        [trial for trial in after if trial.build != newest],
        [trial for trial in trials if trial.load != load and (trial.phase in _BEFORE or trial.build == newest)],
    )


# --- one host --------------------------------------------------------------------------------------------------------


def _judge_host(key: tuple[str, str], parts: _Host, confidence: float, factor: float, compared: bool) -> Row:
    rates = _rates(parts)
    share = rates.share
    counted_s = parts.silent_s * min(1.0, share) if share is not None else parts.silent_s
    silence = None
    if parts.panics:
        times_s = [trial.seconds for trial in parts.panics]
        silence = judge_silence(times_s, parts.exposure_s, counted_s, confidence, factor)
    verdict, says = _verdict(parts, rates, silence, confidence, compared)
    signatures = _signatures(parts.panics)
    same = [_same_as_before(trial, parts.panics) for trial in parts.panics_after]
    return {
        "host": key[0],
        "nic": key[1],
        "verdict": verdict,
        "says": [*says, *_notes(parts, signatures)],
        "panics": len(parts.panics),
        "panics_after": len(parts.panics_after),
        "other_crash": bool(parts.panics) and bool(same) and all(each is False for each in same),
        "times_to_panic_s": [round(trial.seconds, 1) for trial in parts.panics],
        "longest_s": round(max(trial.seconds for trial in parts.panics), 1) if parts.panics else None,
        "exposure_s": round(parts.exposure_s, 1),
        "silent_s": round(parts.silent_s, 1),
        "needed_s": round(silence.needed_s, 1) if silence else None,
        "left_s": math.ceil(silence.left_s) if silence else None,
        "chance": float("{0:.4g}".format(silence.chance)) if silence else None,
        "packets": {
            "direction": rates.direction,
            "before_per_s": None if rates.before is None else round(rates.before, 1),
            "after_per_s": None if rates.after is None else round(rates.after, 1),
        },
        "signatures": signatures,
        "same_signature": None if not same or None in same else any(same),
        "profile": (parts.after or parts.before or parts.tried or parts.elsewise)[-1].profile,
        "before": parts.before[-1].build.shown if parts.before else None,
        "after": parts.after[-1].build.shown if parts.after else None,
    }


def _verdict(
    parts: _Host, rates: _Rates, silence: Silence | None, confidence: float, compared: bool
) -> tuple[str, list[str]]:
    if parts.panics_after:
        return _panicked_after(parts)
    if silence is None:
        return _never_panicked(parts)
    count = len(parts.panics)
    if not parts.after:
        says = "a panic in {0} of {1} runs, {2}".format(
            count, len(parts.before), _after_text([trial.seconds for trial in parts.panics])
        )
        if compared:
            return "inconclusive", [says, "missing: a run after the fix on this host, with the same load"]
        return "reproduced", [says]
    missing = _missing(parts, rates, silence)
    told = "silent for {0}; without a fix so long only with a chance of {1:.2g} ({2} in {3} before)"
    stated = (told if parts.silent_s else "no silence after is known yet ({2} in {3} before)").format(
        span_text(parts.silent_s),
        silence.chance,
        "1 panic" if count == 1 else "{0} panics".format(count),
        span_text(parts.exposure_s),
    )
    if missing:
        return "inconclusive", [stated, *missing]
    return "fixed", [stated, "enough for confidence {0:g} were {1}".format(confidence, span_text(silence.needed_s))]


def _after_text(times_s: list[float]) -> str:
    if len(times_s) == 1:
        return "after {0}".format(span_text(times_s[0]))
    return "after {0} to {1}".format(span_text(min(times_s)), span_text(max(times_s)))


def _panicked_after(parts: _Host) -> tuple[str, list[str]]:
    last = parts.panics_after[-1]
    when = "a panic {0} into the run after".format(span_text(last.seconds))
    if not parts.panics:
        return "reproduced", [when + "; none was seen before, so that it says nothing of a fix"]
    same = [_same_as_before(trial, parts.panics) for trial in parts.panics_after]
    if all(each is False for each in same):
        says = "{0}, but another one than before ({1}): the fix did not show whether it holds, and this is a new fault"
        return "inconclusive", [
            says.format(when, last.signature_text),
            "missing: a run after without that panic; crashready triage explains it",
        ]
    if True in same:
        return "not fixed", [when + ", with the signature of those before"]
    return "not fixed", [when + "; without a signature (crashready triage) it counts as the same as before"]


def _same_as_before(trial: Trial, before: list[Trial]) -> bool | None:
    """Whether a panic is one of those before; None where no signature says so and one is missing."""
    found = [same_signature(trial.signature, other.signature) for other in before]
    return True if True in found else None if None in found else False


def _never_panicked(parts: _Host) -> tuple[str, list[str]]:
    silent = [trial for trial in (*parts.before, *parts.after) if trial.outcome != "lost"]
    total_s = sum(trial.seconds for trial in silent)
    with_other_load = sum(trial.panicked for trial in parts.elsewise)
    if with_other_load:
        return "inconclusive", [
            "{0} panics, all with another load than the runs after".format(with_other_load),
            "missing: runs before and after with the same profile and parameters",
        ]
    lost = [trial for trial in (*parts.before, *parts.after) if trial.outcome == "lost"]
    if lost or not total_s:
        why = lost[-1].reason if lost else "no traffic went"
        return "inconclusive", [
            "nothing is known of a run: {0}".format(why or "it was lost"),
            "missing: a run that can be read",
        ]
    return "not reproduced", ["silent for {0}, and no panic was seen before".format(span_text(total_s))]


def _missing(parts: _Host, rates: _Rates, silence: Silence) -> list[str]:
    """What stands between a silence after and "fixed"."""
    found = []
    if rates.share is None:
        when = "before" if rates.before is None else "after"
        found.append("missing: packets of the runs {0} (no sample was kept): repeat one".format(when))
    elif rates.share < SAME_RATE:
        says = "missing: the same load: {0:.3g} packets a second {1} after, {2:.3g} before"
        found.append(says.format(rates.after, rates.direction, rates.before))
    if not silence.enough:
        why = "the times to panic" if silence.by == "times" else "the longest time to panic"
        says = "missing: {0} ({1:.0f} s) more of silence, of {2} that {3} ask for"
        found.append(
            says.format(span_text(silence.left_s), math.ceil(silence.left_s), span_text(silence.needed_s), why)
        )
    last = parts.after[-1]
    if last.outcome == "lost":
        found.append("missing: the end of the last run: {0}".format(last.reason or "it is not known"))
    return found


def _rates(parts: _Host) -> _Rates:
    """In the direction of the crash: received unless more packets were sent before."""
    before = [trial for trial in parts.before if trial.counted_s > 0]
    after = [trial for trial in parts.after if trial.counted_s > 0]
    sent = sum(trial.tx_packets for trial in before) > sum(trial.rx_packets for trial in before)

    def rate(trials: list[Trial]) -> float | None:
        seconds = sum(trial.counted_s for trial in trials)
        return sum(trial.tx_packets if sent else trial.rx_packets for trial in trials) / seconds if seconds else None

    pace = rate(before)
    return _Rates("sent" if sent else "received", pace or None, rate(after))


def _signatures(panics: list[Trial]) -> list[Row]:
    """Of the panics before, one row a bug, most runs first."""
    groups: list[list[Trial]] = []
    for trial in panics:
        group = next((group for group in groups if same_signature(group[0].signature, trial.signature)), None)
        unknown = next((group for group in groups if group[0].signature is None), None)
        if trial.signature is None and unknown is not None:
            unknown.append(trial)
        elif group is not None:
            group.append(trial)
        else:
            groups.append([trial])
    rows = [{"signature": group[0].signature_text, "runs": len(group)} for group in groups]
    return sorted(rows, key=lambda row: (row["signature"] is None, -row["runs"]))


def _notes(parts: _Host, signatures: list[Row]) -> list[str]:
    """What does not change the verdict, and what a reader has to know."""
    found = []
    if parts.panics:
        found.append(_told_signatures(signatures, parts.panics))
    if len(parts.panics) == 1 and parts.after:
        found.append("one panic is weak evidence: repeat the run before for a shorter proof")
    if parts.panics and parts.after and parts.after[-1].build == parts.before[-1].build:
        found.append("kernel, driver and firmware are those of before: the fix is none of them")
    if len({trial.build for trial in parts.before}) > 1:
        found.append("the runs before had more than one kernel, driver or firmware")
    for build in dict.fromkeys(trial.build for trial in parts.tried):
        panics = sum(trial.panicked for trial in parts.tried if trial.build == build)
        found.append("tried before: {0}: {1} panics".format(build.shown, panics))
    aside = len(parts.elsewise)
    if aside:
        found.append("{0} runs with another load are left aside".format(aside))
    for trial in (*parts.before, *parts.after):
        if trial.outcome == "stopped":
            why = trial.reason or "it does not say why"
            found.append("a run was stopped after {0}: {1}".format(span_text(trial.seconds), why))
    return [clean(line, 400) for line in found[:8]]


def _told_signatures(signatures: list[Row], panics: list[Trial]) -> str:
    seen = [trial.nic_path for trial in panics if trial.nic_path is not None]
    where = "" if not seen else " in a NIC driver" if seen[-1] else " outside of the NIC drivers"
    known = [row for row in signatures if row["signature"]]
    if not known:
        return "no panic has a signature: crashready triage explains the dump"
    if len(signatures) == 1 and len(panics) > 1:
        return "all {0} panics have the same signature{1}: {2}".format(len(panics), where, known[0]["signature"])
    if len(signatures) == 1:
        return "the signature of the panic{0}: {1}".format(where, known[0]["signature"])
    told = ", ".join("{0} ({1})".format(row["signature"] or "none", row["runs"]) for row in signatures)
    return "more than one signature: {0}; these may be several faults".format(told)


def _run(trial: Trial) -> Row:
    return {
        "id": trial.soak_id,
        "phase": trial.phase,
        "host": trial.host,
        "peer": trial.peer,
        "side": trial.side,
        "nic": trial.nic,
        "started_at": trial.started_at,
        "profile": trial.profile,
        "build": trial.build.shown,
        "outcome": trial.outcome,
        "seconds": round(trial.seconds, 1),
        "planned_s": round(trial.planned_s, 1),
        "packets_per_s": round((trial.rx_packets + trial.tx_packets) / trial.counted_s, 1) if trial.counted_s else None,
        "signature": trial.signature_text,
        "dump": trial.dump,
        "errors": trial.errors,
        "reason": trial.reason,
    }
