# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The metric families, and what the facts of a host are as samples of them. The one definition of both.

Every family is a gauge. A host's own file (node_exporter's textfile collector) has them without a label that
names the host, since Prometheus adds `instance`; `crashready metrics` exports the same ones with the label
`host`, and verdicts beside them. What was not seen has no sample, and `crashready_fact_unread` says so: a rule
must never take an absent sample for a good one. Facts are the word of a host: any JSON is taken, the number of
label values is bounded, and nothing is raised.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import typing as t

from .rack import capture_state
from .text import clean

__all__ = [
    "EXPORTER_FAMILIES",
    "FACTS",
    "FAMILIES",
    "HOST_FAMILIES",
    "STAGES",
    "VERDICT_FAMILIES",
    "Family",
    "Sample",
    "host_samples",
    "render_text",
    "unanswered_samples",
    "verdict_samples",
]

#: Label values of signatures and of problems that one host may have; the rest is counted under "other".
SIGNATURES_LIMIT = 20
PROBLEMS_LIMIT = 64
PAIRINGS_LIMIT = 64
_CRASHES_LIMIT = 1000
_OTHER = "other"

STATES = ("bad", "unknown", "suspect", "well")
VERDICTS = ("bad", "unknown", "suspect", "waived", "clear")
STAGES = ("none", "staged", "armed", "passed", "committed", "failed")
#: Values of the label `fact`.
FACTS = ("armed", "reserved_bytes", "suggested_bytes", "space", "drill", "proven", "crashes", "kernel", "kernel_pin")


class Family(t.NamedTuple):
    """A metric family; all are gauges. `labels` are those beside the one that names the host."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


class Sample(t.NamedTuple):
    """One value of a family; `labels` are values in the order of the family's."""

    name: str
    labels: tuple[str, ...]
    value: float


_ARMED = (
    "1: the next panic is kept (a capture kernel is loaded and no problem may lose the dump), 0: it is or may be lost"
)
_PROVEN = "1: the last drill still proves this capture, 0: it was not proven or its proof has lapsed"
_CRASHES = "Crashes that the host keeps, by exact signature; those without a record are under unread, without one: none"
_ENTRY = "NICs of the host that an entry of known bad pairings is about, by entry and its verdict"

#: Of one host, from its facts.
HOST_FAMILIES = (
    Family("crashready_look_timestamp_seconds", "When the host was looked at, in seconds since 1970"),
    Family("crashready_fact_unread", "1: this could not be seen, and what needs it has no sample", ("fact",)),
    Family("crashready_capture_applicable", "0: a container, which has no kernel of its own to capture"),
    Family("crashready_armed", _ARMED),
    Family("crashready_capture_loaded", "1: a capture kernel is loaded (/sys/kernel/kexec_crash_loaded)"),
    Family("crashready_reserved_bytes", "Memory that the running kernel reserved for the capture kernel"),
    Family("crashready_suggested_bytes", "Memory that is suggested for it on this host; 0: the host has too little"),
    Family("crashready_dump_free_bytes", "Free space where dumps go"),
    Family("crashready_dump_needed_bytes", "Space that a dump of this host may need at worst"),
    Family("crashready_dump_minimum_bytes", "Space without which a dump of this host is not likely to fit"),
    Family(
        "crashready_problems", "Problems of the capture by code; an error may lose the next dump", ("code", "severity")
    ),
    Family("crashready_proven", _PROVEN),
    Family("crashready_drill_timestamp_seconds", "When the last crash drill was judged, in seconds since 1970"),
    Family("crashready_drill_proven", "How the last crash drill ended: 1 proven, 0 not", ("kind",)),
    Family("crashready_crashes", _CRASHES, ("signature", "kind", "driver")),
    Family("crashready_dumps", "Crash folders of the host, by whether their dump is whole (at most 50)", ("valid",)),
    Family("crashready_newest_crash_timestamp_seconds", "When the newest crash that names its time happened"),
    Family("crashready_kernel_pin", "Stage of the kernel transaction: 1 for the one it is in", ("stage",)),
    Family("crashready_kernel_info", "1, with the running kernel as labels", ("release", "stream")),
)

#: Of one host, judged on the controller.
VERDICT_FAMILIES = (
    Family("crashready_host_answered", "1: the host gave facts, 0: it did not"),
    Family("crashready_host_failure", "1, with the cause why the host gave no facts", ("cause",)),
    Family("crashready_host_state", "State of crashready check: 1 for the one the host is in", ("state",)),
    Family("crashready_pairing_verdict", "Worst verdict of the host's NICs: 1 for the one it is", ("verdict",)),
    Family("crashready_pairing", _ENTRY, ("entry", "verdict")),
)

#: Of the exporter itself: no label for a host.
EXPORTER_FAMILIES = (
    Family("crashready_rack_hosts", "Hosts that were asked"),
    Family("crashready_rack_gathered_timestamp_seconds", "When the answer that is shown was complete"),
    Family("crashready_rack_gather_seconds", "How long it took to ask all hosts"),
    Family("crashready_rack_age_seconds", "Age of the answer that is shown"),
    Family("crashready_rack_failed_gathers", "Attempts since that answer that failed as a whole"),
)

FAMILIES = HOST_FAMILIES + VERDICT_FAMILIES + EXPORTER_FAMILIES


# --- facts to samples ------------------------------------------------------------------------------------------------


class _Samples:
    """Collects samples, and says of every fact whether it was seen."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.unread = dict.fromkeys(FACTS, False)

    def add(self, name: str, value: t.Any, *labels: str, fact: str = "") -> None:
        """A number or a bool as a sample; anything else as a fact that was not seen."""
        number = _number(value)
        if number is not None:
            self.samples.append(Sample("crashready_" + name, labels, number))
        elif fact:
            self.unread[fact] = True

    def add_set(self, name: str, chosen: str, words: t.Sequence[str]) -> None:
        """One sample a word: 1 for the chosen one."""
        for word in words:
            self.add(name, word == chosen, word)


def _number(value: t.Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int):
        return float(value) if 0 <= value < 1 << 63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) and value >= 0 else None
    return None


def _mapping(value: t.Any) -> t.Mapping[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _rows(value: t.Any, limit: int) -> list[t.Mapping[str, t.Any]]:
    return [row for row in value[:limit] if isinstance(row, dict)] if isinstance(value, list) else []


def _word(value: t.Any, instead: str, limit: int = 64) -> str:
    return (clean(value, limit) if isinstance(value, str) else "") or instead


def host_samples(facts: t.Any, now_s: float) -> list[Sample]:
    """Samples of HOST_FAMILIES from the facts `kernel`, `capture` and `crashes` of a host, looked at at `now_s`."""
    found = _Samples()
    facts = _mapping(facts)
    found.add("look_timestamp_seconds", now_s)
    _capture(found, facts)
    _crashes(found, facts.get("crashes"))
    _kernel(found, facts.get("kernel"))
    for fact, unread in found.unread.items():
        found.add("fact_unread", unread, fact)
    return found.samples


def _capture(found: _Samples, facts: t.Mapping[str, t.Any]) -> None:
    capture = _mapping(facts.get("capture"))
    if capture.get("applicable") is False:
        found.add("capture_applicable", False)
        return
    found.add("capture_applicable", capture.get("applicable"))
    state = capture_state(facts)[0]
    found.add("armed", {"armed": True, "not armed": False}.get(state), fact="armed")
    found.add("capture_loaded", capture.get("armed") if isinstance(capture.get("armed"), bool) else None, fact="armed")
    found.add("reserved_bytes", capture.get("reserved_bytes"), fact="reserved_bytes")
    found.add("suggested_bytes", capture.get("suggested_bytes"), fact="suggested_bytes")
    space = _mapping(capture.get("space"))
    for name in ("free_bytes", "needed_bytes", "minimum_bytes"):
        found.add("dump_" + name, space.get(name), fact="space")
    _problems(found, capture.get("problems"))
    _drill(found, capture)


def _problems(found: _Samples, problems: t.Any) -> None:
    counts: dict[tuple[str, ...], int] = {}
    for problem in _rows(problems, _CRASHES_LIMIT):
        code, severity = problem.get("id"), problem.get("severity")
        if not isinstance(code, str) or not re.match(r"[a-z][a-z0-9_]{0,47}\Z", code):
            code = _OTHER
        severity = severity if severity in ("error", "warning") else _OTHER
        counts[code, severity] = counts.get((code, severity), 0) + 1
    _add_counts(found, "problems", counts, PROBLEMS_LIMIT)


def _add_counts(found: _Samples, name: str, counts: dict[tuple[str, ...], int], limit: int) -> None:
    """The most frequent ones by their own labels; all others in one sample."""
    kept = sorted(counts, key=lambda labels: (-counts[labels], labels))
    rest: dict[tuple[str, ...], int] = {}
    for number, labels in enumerate(kept):
        shown = labels if number < limit else (_OTHER,) * len(labels)
        rest[shown] = rest.get(shown, 0) + counts[labels]
    for labels, count in rest.items():
        found.add(name, count, *labels)


def _drill(found: _Samples, capture: t.Mapping[str, t.Any]) -> None:
    unread, drill, proven = _mapping(capture.get("unread")), capture.get("drill"), capture.get("proven")
    found.add("proven", proven if isinstance(proven, bool) else None)
    if isinstance(drill, dict):
        found.add("drill_timestamp_seconds", drill.get("when_s"), fact="drill")
        ended = drill.get("proven")
        found.add(
            "drill_proven", ended if isinstance(ended, bool) else None, _word(drill.get("kind"), "?"), fact="drill"
        )
        # Without a drill there is nothing that could be proven; after one, null means that it was not seen.
        found.unread["proven"] = not isinstance(proven, bool)
    elif drill is not None or "drill" in unread or "drill" not in capture:
        found.unread["drill"] = found.unread["proven"] = True


def _crashes(found: _Samples, crashes: t.Any) -> None:
    if not isinstance(crashes, list):
        found.unread["crashes"] = True
        return
    signatures: dict[tuple[str, ...], int] = {}
    valid = {"true": 0, "false": 0}
    newest: list[float] = []
    for crash in _rows(crashes, _CRASHES_LIMIT):
        record = crash.get("record")
        signatures[_labels(record)] = signatures.get(_labels(record), 0) + 1
        if crash.get("stamp") is not None:  # else its record alone is left
            valid["true" if crash.get("valid") is True else "false"] += 1
        times = (_mapping(crash.get("dump")).get("crash_time"), _seconds(_mapping(record).get("crashed_at")))
        newest += [number for number in map(_number, times) if number is not None]
    _add_counts(found, "crashes", signatures, SIGNATURES_LIMIT)
    for word, count in valid.items():
        found.add("dumps", count, word)
    if newest:
        found.add("newest_crash_timestamp_seconds", max(newest))


def _labels(record: t.Any) -> tuple[str, str, str]:
    if not isinstance(record, dict):
        return "unread", "unread", "unread"
    signature = _mapping(record.get("signature")).get("exact")
    return _word(signature, "none"), _word(record.get("kind"), "unknown", 40), _word(record.get("driver"), "none", 40)


def _seconds(text: t.Any) -> float | None:
    """Of a time like 2026-11-23T13:05:00+00:00; None for one without a zone."""
    try:
        moment = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment.timestamp() if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _kernel(found: _Samples, kernel: t.Any) -> None:
    if not isinstance(kernel, dict):
        found.unread["kernel"] = found.unread["kernel_pin"] = True
        return
    release = kernel.get("release")
    if isinstance(release, str):
        found.add("kernel_info", True, _word(release, "?", 128), _word(kernel.get("stream"), "unknown"))
    else:
        found.unread["kernel"] = True
    pin = kernel.get("pin")
    stage = pin.get("stage") if isinstance(pin, dict) else "none"
    if "pin" not in kernel or "pin" in _mapping(kernel.get("unread")) or stage not in STAGES:
        found.unread["kernel_pin"] = True
    else:
        found.add_set("kernel_pin", str(stage), STAGES)


# --- verdicts --------------------------------------------------------------------------------------------------------


def verdict_samples(state: str, judged: t.Mapping[str, t.Any]) -> list[Sample]:
    """Samples of VERDICT_FAMILIES for a host with facts: its state of `crashready check`, and `judge.judge_host`."""
    found = _Samples()
    found.add("host_answered", True)
    found.add_set("host_state", state, STATES)
    found.add_set("pairing_verdict", str(judged["verdict"]), VERDICTS)
    counts: dict[tuple[str, ...], int] = {}
    for nic in judged["nics"]:
        of_nic = {(str(reason["entry"]), str(reason["verdict"])) for reason in nic["reasons"]}
        of_nic |= {(str(reason["entry"]), "waived") for reason in nic["waived"]}
        for labels in of_nic:
            counts[labels] = counts.get(labels, 0) + 1
    _add_counts(found, "pairing", counts, PAIRINGS_LIMIT)
    return found.samples


def unanswered_samples(cause: str) -> list[Sample]:
    """Samples of VERDICT_FAMILIES for a host without facts; unknown is never good."""
    found = _Samples()
    found.add("host_answered", False)
    found.add("host_failure", True, cause)
    found.add_set("host_state", "unknown", STATES)
    return found.samples


# --- text ------------------------------------------------------------------------------------------------------------


def render_text(samples: t.Iterable[Sample], families: t.Iterable[Family] = HOST_FAMILIES) -> str:
    """Samples in Prometheus' text format 0.0.4, which node_exporter's textfile collector reads.

    Families without a sample are left out; a sample of no such family is too.
    """
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for family in families:
        found = by_name.get(family.name)
        if not found:
            continue
        lines.append("# HELP {0} {1}".format(family.name, family.help.replace("\\", "\\\\").replace("\n", "\\n")))
        lines.append("# TYPE {0} gauge".format(family.name))
        lines += ["{0}{1} {2}".format(s.name, _label_text(family, s), _value_text(s.value)) for s in found]
    return "\n".join(lines) + "\n" if lines else ""


def _label_text(family: Family, sample: Sample) -> str:
    pairs = ['{0}="{1}"'.format(name, _escaped(value)) for name, value in zip(family.labels, sample.labels)]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _value_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
