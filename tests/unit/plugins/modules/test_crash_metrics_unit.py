# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The module of the metrics, run as Ansible runs it."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.modules import crash_metrics_unit
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

try:  # ansible-core 2.19 on
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    pytest.skip("ansible-core before 2.19", allow_module_level=True)

PROGRAM = host_program.pack("metrics")


def run(capsys: pytest.CaptureFixture[str], **given: t.Any) -> dict[str, t.Any]:
    with patch_module_args({"_ansible_check_mode": True, **given}), pytest.raises(SystemExit):
        crash_metrics_unit.main()
    out: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return out


def test_check_mode_names_every_change(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, program=PROGRAM, interval_s=600)
    names = [change["name"] for change in result["changes"]]
    assert [name.rpartition("/")[2] for name in names[:4]] == [
        *("metrics.pyz", "metrics.json", "crashready-metrics.service", "crashready-metrics.timer"),
    ]
    assert names[4:] == ["unit crashready-metrics.timer"]
    assert set(yaml.safe_load(crash_metrics_unit.RETURN)) == set(result) - {"changed", "diff", "invocation"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "the action plugin"),
        ({"program": "x"}, "program: "),
        ({"program": PROGRAM, "interval_s": 5}, "interval_s"),
        ({"program": PROGRAM, "folder": "/a b"}, "textfile folder"),
    ],
)
def test_wrong_usage_fails(capsys: pytest.CaptureFixture[str], given: dict[str, t.Any], told: str) -> None:
    result = run(capsys, **given)
    assert result["failed"] is True
    assert told in result["msg"]


def test_options_are_those_of_the_documentation() -> None:
    documented = yaml.safe_load(crash_metrics_unit.DOCUMENTATION)["options"]
    assert set(documented) == set(crash_metrics_unit.ARGUMENTS)
    for name, option in crash_metrics_unit.ARGUMENTS.items():
        assert documented[name].get("default") == option.get("default"), name
