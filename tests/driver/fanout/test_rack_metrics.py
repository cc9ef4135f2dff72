# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready metrics -i`: one host that answers, one that does not, over SSH."""

from __future__ import annotations

import argparse

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crashready import metrics
from crashready.exits import UNKNOWN

from .conftest import Lab


def test_a_rack(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.add("well")
    lab.add("closed", "nologin")
    parser = argparse.ArgumentParser()
    metrics.add_arguments(parser)
    assert metrics.run(parser.parse_args(["-i", str(lab.inventory), "--retries", "0"])) == UNKNOWN
    shown = capsys.readouterr()
    found = {
        (
            family.name,
            *(sample.labels[name] for name in ("host", "cause", "state", "verdict") if name in sample.labels),
        ): (sample.value)
        for family in text_string_to_metric_families(shown.out)
        for sample in family.samples
    }
    assert found["crashready_host_answered", "well"] == 1
    assert found["crashready_host_answered", "closed"] == 0
    assert found["crashready_host_failure", "closed", "no-shell"] == 1
    assert found["crashready_host_state", "closed", "unknown"] == 1
    assert ("crashready_look_timestamp_seconds", "well") in found
    assert ("crashready_look_timestamp_seconds", "closed") not in found
    assert found[("crashready_rack_hosts",)] == 2
    assert sum(value for key, value in found.items() if key[:2] == ("crashready_pairing_verdict", "well")) == 1
    assert "the user has no shell (1): closed" in shown.err
