# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The module crash_dump_info, run as Ansible runs it: arguments in, JSON out."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.common import arg_spec
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.modules import crash_dump_info
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import kdump

try:  # ansible-core 2.19 on
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    pytest.skip("ansible-core before 2.19", allow_module_level=True)


def run(capsys: pytest.CaptureFixture[str], **given: t.Any) -> dict[str, t.Any]:
    with patch_module_args(given), pytest.raises(SystemExit):
        crash_dump_info.main()
    out: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "either path or newest"),
        ({"newest": False}, "either path or newest"),
        ({"path": "/x", "newest": True}, "either path or newest"),
        ({"path": "dump"}, "not an absolute path"),
        ({"newest": True, "scratch": "x"}, "not an absolute path"),
        ({"newest": True, "expect": {"build_id": "newest"}}, "neither 'running' nor hex digits"),
        ({"newest": True, "expect": {"colour": "red"}}, "colour"),
        ({"newest": True, "expect": {"newer_than": "boot"}}, "newer_than"),
    ],
)
def test_wrong_usage_fails(capsys: pytest.CaptureFixture[str], given: dict[str, t.Any], told: str) -> None:
    result = run(capsys, **given)
    assert result["failed"] is True
    assert told in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_what_is_not_there_is_a_result(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, check: bool) -> None:
    result = run(capsys, newest=True, folder=str(tmp_path), _ansible_check_mode=check)
    assert "failed" not in result
    assert (result["changed"], result["opened"]) == (False, False)
    assert result["problems"] == ["no crash directory in {0}".format(tmp_path)]


def test_a_truncated_dump_is_a_result(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "dump").write_bytes(kdump()[:-16])
    result = run(capsys, path=str(tmp_path / "dump"), expect={"marker": "drill-1"})
    assert result["opened"] is False
    assert len(result["problems"]) == 2
    assert result["dump"]["release"] == "6.1.0-56-amd64"


def test_documentation_says_what_is_returned(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    documented = yaml.safe_load(crash_dump_info.RETURN)
    result = run(capsys, path=str(tmp_path / "nothing"))
    assert set(documented) == set(result) - {"changed", "invocation"}


def test_options_are_documented() -> None:
    options = yaml.safe_load(crash_dump_info.DOCUMENTATION)["options"]
    assert set(options) == set(crash_dump_info.ARGUMENTS)
    assert set(options["expect"]["suboptions"]) == set(crash_dump_info.ARGUMENTS["expect"]["options"])
    assert all(options[name].get("default") == spec.get("default") for name, spec in crash_dump_info.ARGUMENTS.items())


@pytest.mark.parametrize("task", yaml.safe_load(crash_dump_info.EXAMPLES), ids=lambda task: task["name"])
def test_examples_are_accepted(task: dict[str, t.Any]) -> None:
    given = task["rackops.crashready.crash_dump_info"]
    checked = arg_spec.ArgumentSpecValidator(crash_dump_info.ARGUMENTS).validate(given)
    assert checked.error_messages == []


def test_module_is_for_the_local_machine() -> None:
    assert crash_dump_info.LocalHost is LocalHost
    assert crash_dump_info.AnsibleModule is basic.AnsibleModule
