# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Alert rules and dashboard speak of metrics that exist, with labels that they have; each rule has its tests.

Whether a rule fires is tested by promtool: `./crashready test --only alerts`.
"""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._core.metrics import FAMILIES

ROOT = pathlib.Path(__file__).resolve().parents[2]
LABELS = {family.name: set(family.labels) for family in FAMILIES}
#: Of Prometheus' configuration, and of `crashready metrics`.
ADDED = {"job", "instance", "host"}


def load(name: str) -> t.Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


RULES = [rule for group in load("monitoring/crashready.rules.yml")["groups"] for rule in group["rules"]]
TESTS = load("tests/monitoring/crashready.rules.test.yml")
DASHBOARD = json.loads((ROOT / "monitoring/crashready.dashboard.json").read_text(encoding="utf-8"))
PANELS = {panel["title"] + " " + str(panel["id"]): panel for panel in DASHBOARD["panels"]}

EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES}
EXPRESSIONS.update((name, target["expr"]) for name, panel in PANELS.items() for target in panel["targets"])
EXPRESSIONS.update((each["name"], each["definition"]) for each in DASHBOARD["templating"]["list"][1:])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_metrics_and_their_labels_exist(name: str) -> None:
    used = re.findall(r"\b(crashready_\w+)(?:\{([^}]*)\})?", EXPRESSIONS[name])
    assert used
    for metric, selector in used:
        assert metric in LABELS, metric
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= LABELS[metric] | ADDED


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_rules_say_what_to_do(rule: dict[str, t.Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description"}
    said = " ".join(rule["annotations"].values())
    metrics = re.findall(r"\bcrashready_\w+", rule["expr"] + said)
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= set().union(*(LABELS[name] for name in metrics)) | ADDED
    for command in re.findall(r"crashready (\w+)", said):
        assert (ROOT / "src" / "crashready" / (command + ".py")).exists(), command


@pytest.mark.parametrize("name", [rule["alert"] for rule in RULES])
def test_rules_are_tested_in_both_ways(name: str) -> None:
    """Some time at which the rule fires, and a series or a time for which it does not."""
    own = [each for test in TESTS["tests"] for each in test["alert_rule_test"] if each["alertname"] == name]
    series = [each["series"] for test in TESTS["tests"] if test["name"] == name for each in test["input_series"]]
    assert [each for each in own if each["exp_alerts"]]
    assert [each for each in own if not each["exp_alerts"]] or len(series) > 1


def test_series_of_the_tests_exist() -> None:
    series = [each["series"] for test in TESTS["tests"] for each in test["input_series"]]
    for metric, labels in re.findall(r"(\w+)\{([^}]*)\}", "\n".join(series)):
        assert metric == "up" or set(re.findall(r"(\w+)=", labels)) - ADDED == LABELS[metric], metric


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS.values():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_family_of_a_host_is_shown_or_watched() -> None:
    """But for what only explains another: a family that nobody looks at is not worth its series."""
    used = set(re.findall(r"crashready_\w+", " ".join([*EXPRESSIONS.values(), json.dumps(RULES)])))
    explains = {"crashready_capture_applicable", "crashready_capture_loaded", "crashready_drill_proven"}
    explains |= {"crashready_host_state", "crashready_rack_hosts", "crashready_rack_gather_seconds"}
    assert set(LABELS) - used <= explains | {"crashready_rack_gathered_timestamp_seconds"}


def test_the_document_has_every_family_and_every_rule() -> None:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        labels = ", ".join("`{0}`".format(label) for label in family.labels) or "-"
        assert "| `{0}` | {1} | {2} |".format(family.name, labels, family.help) in text
    rows = dict(re.findall(r"(?m)^\| `(Crashready\w+)` \| (\w+) \|", text))
    assert rows == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}
