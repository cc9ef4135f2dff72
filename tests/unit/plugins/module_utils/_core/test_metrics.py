# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Facts as metrics: what is seen, what is unread, bounds; and the text, as prometheus_client reads it."""

from __future__ import annotations

import copy
import re
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import metrics
from ansible_collections.rackops.crashready.plugins.module_utils._core.metrics import (
    FACTS,
    FAMILIES,
    HOST_FAMILIES,
    STAGES,
    Family,
    Sample,
    host_samples,
    render_text,
    unanswered_samples,
    verdict_samples,
)
from hypothesis import given, settings
from hypothesis import strategies as st

CAPTURE: dict[str, t.Any] = {
    "applicable": True,
    "armed": True,
    "reserved_bytes": 268435456,
    "suggested_bytes": 201326592,
    "space": {"free_bytes": 8 << 30, "needed_bytes": 2 << 30, "minimum_bytes": 1 << 20},
    "problems": [
        {"id": "boot_entry", "severity": "warning", "message": "m", "remedy": "r"},
        {"id": "boot_entry", "severity": "warning", "message": "n", "remedy": "r"},
    ],
    "drill": {"when_s": 1790000000.5, "kind": "sysrq", "proven": True},
    "proven": True,
    "unread": {},
}
RECORD = {"kind": "null_deref", "driver": "i40e", "signature": {"exact": "cr1:x:0a"}}
CRASHES: list[dict[str, t.Any]] = [
    {"stamp": "202611231305", "valid": True, "dump": {"crash_time": 1795439100}, "record": RECORD},
    {"stamp": "202611221305", "valid": False, "dump": None, "record": None},
    {"stamp": None, "valid": False, "dump": None, "record": {**RECORD, "crashed_at": "2026-11-20T10:00:00+00:00"}},
]
FACTS_: dict[str, t.Any] = {
    "schema": 1,
    "capture": CAPTURE,
    "crashes": CRASHES,
    "kernel": {"release": "6.12.95+deb13-amd64", "stream": "stable", "pin": None, "unread": {}},
}


def values(samples: t.Iterable[Sample]) -> dict[str, float]:
    """As the text names them, less the prefix."""
    return {
        sample.name[len("crashready_") :]
        + ("[{0}]".format(",".join(sample.labels)) if sample.labels else ""): sample.value
        for sample in samples
    }


def changed(path: str, value: t.Any) -> dict[str, t.Any]:
    facts = copy.deepcopy(FACTS_)
    at: t.Any = facts
    *folders, name = path.split(".")
    for folder in folders:
        at = at[folder]
    at[name] = value
    return facts


def test_a_host_that_is_well() -> None:
    found = values(host_samples(FACTS_, 1795500000.25))
    assert found["look_timestamp_seconds"] == 1795500000.25
    assert (found["armed"], found["capture_loaded"], found["proven"]) == (1, 1, 1)
    assert (found["reserved_bytes"], found["dump_needed_bytes"]) == (268435456, 2 << 30)
    assert found["problems[boot_entry,warning]"] == 2
    assert found["drill_timestamp_seconds"] == 1790000000.5
    assert found["drill_proven[sysrq]"] == 1
    assert found["crashes[cr1:x:0a,null_deref,i40e]"] == 2
    assert found["crashes[unread,unread,unread]"] == 1
    assert (found["dumps[true]"], found["dumps[false]"]) == (1, 1), "a record alone is no dump"
    assert found["newest_crash_timestamp_seconds"] == 1795439100
    assert {stage: found["kernel_pin[{0}]".format(stage)] for stage in STAGES} == {
        s: float(s == "none") for s in STAGES
    }
    assert found["kernel_info[6.12.95+deb13-amd64,stable]"] == 1
    assert {fact: found["fact_unread[{0}]".format(fact)] for fact in FACTS} == dict.fromkeys(FACTS, 0)


LOST = {"id": "not_armed", "severity": "error", "message": "m", "remedy": "r"}


@pytest.mark.parametrize(
    ("path", "value", "absent", "unread"),
    [
        ("capture.armed", None, "armed", "armed"),
        ("capture.armed", 1, "armed", "armed"),
        ("capture.reserved_bytes", None, "reserved_bytes", "reserved_bytes"),
        ("capture.reserved_bytes", -1, "reserved_bytes", "reserved_bytes"),
        ("capture.suggested_bytes", "x", "suggested_bytes", "suggested_bytes"),
        ("capture.space", None, "dump_free_bytes", "space"),
        ("capture.space.free_bytes", float("nan"), "dump_free_bytes", "space"),
        ("capture.drill", {}, "drill_timestamp_seconds", "drill"),
        ("capture.drill.when_s", float("inf"), "drill_timestamp_seconds", "drill"),
        ("capture.proven", None, "proven", "proven"),
        ("crashes", None, "dumps[true]", "crashes"),
        ("kernel.release", None, "kernel_info[6.12.95+deb13-amd64,stable]", "kernel"),
        ("kernel.pin", {"stage": "else"}, "kernel_pin[none]", "kernel_pin"),
        ("kernel.unread", {"pin": "permission denied"}, "kernel_pin[none]", "kernel_pin"),
    ],
)
def test_what_was_not_seen_has_no_sample_and_is_told(path: str, value: t.Any, absent: str, unread: str) -> None:
    found = values(host_samples(changed(path, value), 0))
    assert absent not in found
    assert found["fact_unread[{0}]".format(unread)] == 1


@pytest.mark.parametrize("facts", [None, {}, [], 5, {"capture": 5, "kernel": "x", "crashes": {}}])
def test_no_facts_are_never_good(facts: t.Any) -> None:
    found = values(host_samples(facts, 0))
    assert "armed" not in found
    assert all(found["fact_unread[{0}]".format(fact)] for fact in ("armed", "crashes", "kernel", "kernel_pin", "drill"))


def test_a_loaded_capture_with_an_error_is_not_armed() -> None:
    found = values(host_samples(changed("capture.problems", [LOST]), 0))
    assert (found["armed"], found["capture_loaded"]) == (0, 1)


def test_without_a_drill_nothing_is_proven_and_nothing_is_unread() -> None:
    facts = changed("capture.drill", None)
    facts["capture"].update(proven=None, unread={"proven": "no drill is recorded on this host"})
    found = values(host_samples(facts, 0))
    assert not [name for name in found if name.startswith(("proven", "drill"))]
    assert (found["fact_unread[drill]"], found["fact_unread[proven]"]) == (0, 0)


def test_a_container_has_no_capture_and_nothing_of_it_is_unread() -> None:
    facts = changed("capture.applicable", False)
    facts["capture"]["armed"] = None
    found = values(host_samples(facts, 0))
    assert found["capture_applicable"] == 0
    assert "armed" not in found
    assert found["fact_unread[armed]"] == 0


@pytest.mark.parametrize("stage", STAGES[1:])
def test_stages_of_a_transaction(stage: str) -> None:
    found = values(host_samples(changed("kernel.pin", {"stage": stage}), 0))
    assert [name for name in found if name.startswith("kernel_pin") and found[name]] == [
        "kernel_pin[{0}]".format(stage)
    ]


def test_label_values_are_bounded() -> None:
    crashes = [
        {"stamp": "x", "record": {"kind": "k\x1b" * 50, "signature": {"exact": str(number) * 99}}}
        for number in range(999)
    ]
    facts = {
        **changed("capture.problems", [{"id": "p{0}".format(number)} for number in range(500)]),
        "crashes": crashes,
    }
    found = host_samples(facts, 0)
    assert len([s for s in found if s.name == "crashready_crashes"]) <= metrics.SIGNATURES_LIMIT + 1
    assert len([s for s in found if s.name == "crashready_problems"]) <= metrics.PROBLEMS_LIMIT + 1
    assert sum(s.value for s in found if s.name == "crashready_crashes") == 999
    assert max(len(label) for s in found for label in s.labels) <= 128


JUDGED: dict[str, t.Any] = {
    "verdict": "bad",
    "nics": [
        {"reasons": [{"entry": "i40e-x", "verdict": "bad"}, {"entry": "i40e-x", "verdict": "bad"}], "waived": []},
        {"reasons": [{"entry": "i40e-x", "verdict": "bad"}], "waived": [{"entry": "ice-y", "verdict": "bad"}]},
    ],
}


def test_verdicts() -> None:
    found = values(verdict_samples("bad", JUDGED))
    assert (found["host_answered"], found["host_state[bad]"], found["host_state[well]"]) == (1, 1, 0)
    assert (found["pairing_verdict[bad]"], found["pairing_verdict[clear]"]) == (1, 0)
    assert (found["pairing[i40e-x,bad]"], found["pairing[ice-y,waived]"]) == (2, 1)


def test_a_host_without_facts_is_unknown() -> None:
    found = values(unanswered_samples("refused"))
    assert (found["host_answered"], found["host_state[unknown]"], found["host_failure[refused]"]) == (0, 1, 1)


# --- families and text -----------------------------------------------------------------------------------------------


def test_families_are_named_by_the_rules() -> None:
    """https://prometheus.io/docs/practices/naming/: base units at the end, no unit or suffix of another type."""
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"crashready_[a-z_]+[a-z]", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
        assert family.help
        assert "host" not in family.labels, "the exporter of a rack adds it"


def parsed(text: str) -> dict[str, t.Any]:
    parser = pytest.importorskip("prometheus_client.parser")
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def assert_read_back(samples: t.Sequence[Sample], families: t.Sequence[Family]) -> None:
    found = parsed(render_text(samples, families))
    names = {family.name: family for family in families}
    assert set(found) == {sample.name for sample in samples}
    for name, family in found.items():
        assert (family.type, family.documentation) == ("gauge", names[name].help)
        told = [(dict(zip(names[name].labels, s.labels)), s.value) for s in samples if s.name == name]
        assert [(s.labels, s.value) for s in family.samples] == told
        assert all(s.timestamp is None for s in family.samples), "node_exporter refuses files with time stamps"


def test_prometheus_client_reads_the_text_as_it_was_meant() -> None:
    assert_read_back(host_samples(FACTS_, 1795500000.25), HOST_FAMILIES)
    assert_read_back([*verdict_samples("bad", JUDGED), *host_samples(FACTS_, 1)], FAMILIES)


def test_openmetrics_reads_the_same_text() -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    text = render_text(host_samples(FACTS_, 5), HOST_FAMILIES) + "# EOF\n"
    found = {family.name: family.type for family in parser.text_string_to_metric_families(text)}
    assert set(found.values()) == {"gauge"}


ODD = Family("crashready_odd", 'back\\slash and "quotes"', ("a", "b"))


@pytest.mark.parametrize("value", ['"', "\\", "\\n", "a\nb", "\u00e9\u4e16", "}", ",", " ", "", '\\"'])
def test_labels_are_quoted(value: str) -> None:
    assert_read_back([Sample("crashready_odd", (value, "x"), 1.5)], [ODD])


def test_nothing_gives_nothing() -> None:
    assert render_text([]) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_FIELDS = [
    *("capture", "kernel", "crashes", "capture.armed", "capture.problems", "capture.space", "capture.drill"),
    *("capture.unread", "capture.proven", "kernel.pin", "kernel.unread", "kernel.release"),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_FIELDS), JSON)
def test_any_word_of_a_host_is_taken(path: str, value: t.Any) -> None:
    samples = host_samples(changed(path, value), 0)
    assert_read_back(samples, HOST_FAMILIES)
    assert {s.labels[0] for s in samples if s.name == "crashready_fact_unread"} == set(FACTS)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=4), st.dictionaries(st.sampled_from(["record", "stamp", "dump", "valid"]), JSON))
def test_any_crash_is_taken(crashes: list[t.Any], crash: dict[str, t.Any]) -> None:
    assert_read_back(host_samples({**FACTS_, "crashes": [*crashes, crash]}, 0), HOST_FAMILIES)
