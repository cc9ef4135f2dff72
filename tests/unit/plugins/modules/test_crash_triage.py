# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The modules of the triage, run as Ansible runs them."""

from __future__ import annotations

import base64
import json
import pathlib
import typing as t
import zlib

import pytest
import yaml
from ansible.module_utils.common import arg_spec
from ansible_collections.rackops.crashready.plugins.modules import crash_triage, crash_triage_unit

try:  # ansible-core 2.19 on
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    pytest.skip("ansible-core before 2.19", allow_module_level=True)

ROOT = pathlib.Path(__file__).resolve().parents[4]
LOG = ROOT / "tests" / "corpus" / "05-i40e-xsk-memcpy.log"
TABLES = {
    name: json.loads((ROOT / "data" / "triage" / (name + ".json")).read_text(encoding="utf-8"))
    for name in ("core", "drivers", "rules")
}


def run(module: t.Any, capsys: pytest.CaptureFixture[str], **given: t.Any) -> dict[str, t.Any]:
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    out: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return out


def test_a_log_is_read(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    given = {"path": str(LOG), "records": str(tmp_path / "r"), "tables": TABLES, "keep_record": False}
    result = run(crash_triage, capsys, **given)
    assert [(each["driver"], each["path"]) for each in result["records"]] == [("i40e", "nic_rx")]
    assert result["changed"] is False
    documented = yaml.safe_load(crash_triage.RETURN)
    assert set(documented) == set(result) - {"changed", "diff", "invocation"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "the action plugin"),
        ({"tables": {}}, "drivers.json"),
        ({"path": "log", "tables": TABLES}, "not an absolute path"),
        ({"which": "oldest", "tables": TABLES}, "which"),
    ],
)
def test_wrong_usage_fails(capsys: pytest.CaptureFixture[str], given: dict[str, t.Any], told: str) -> None:
    result = run(crash_triage, capsys, **given)
    assert result["failed"] is True
    assert told in result["msg"]


PROGRAM = base64.b64encode(zlib.compress(b"PK")).decode("ascii")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "the action plugin"),
        ({"program": "%%%"}, ""),
        ({"program": base64.b64encode(b"no zlib").decode("ascii")}, "incorrect header"),
        ({"program": PROGRAM, "webhook": "gopher://x"}, "no http or https"),
        ({"program": PROGRAM, "webhook_secret": "x"}, "no webhook"),
        ({"program": PROGRAM, "folder": "/a b"}, "crash folder"),
    ],
)
def test_wrong_usage_of_the_unit_fails(capsys: pytest.CaptureFixture[str], given: dict[str, t.Any], told: str) -> None:
    result = run(crash_triage_unit, capsys, _ansible_check_mode=True, **given)
    assert result["failed"] is True
    assert told in result["msg"]


def test_the_secret_is_in_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "program": PROGRAM,
        "webhook": "https://x.example/t0ken",
        "webhook_header": "A",
        "webhook_secret": "s3cret-1",
    }
    result = run(crash_triage_unit, capsys, _ansible_check_mode=True, _ansible_diff=True, **given)
    assert result["changed"] is True
    assert "s3cret-1" not in json.dumps(result)
    assert "t0ken" not in json.dumps([result["changes"], result["diff"]])


@pytest.mark.parametrize(
    "module", [crash_triage, crash_triage_unit], ids=lambda module: module.__name__.rpartition(".")[2]
)
def test_options_are_documented(module: t.Any) -> None:
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert set(options) == set(module.ARGUMENTS)
    assert all(options[name].get("default") == spec.get("default") for name, spec in module.ARGUMENTS.items())
    for task in yaml.safe_load(module.EXAMPLES):
        given = task["rackops.crashready." + module.__name__.rsplit(".", 1)[-1]] or {}
        assert arg_spec.ArgumentSpecValidator(module.ARGUMENTS).validate(given).error_messages == []
