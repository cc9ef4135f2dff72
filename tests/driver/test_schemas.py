# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What `--json` prints is what the published schemas say."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import jsonschema
import pytest

from crashready import check, diff, report
from crashready.fanout import rack_facts
from crashready.fanout.outcome import CAUSES

ROOT = pathlib.Path(__file__).resolve().parents[2]
Run = t.Callable[..., subprocess.CompletedProcess[str]]

SCHEMAS = {
    "facts-rack": rack_facts.SCHEMA,
    "check": check.SCHEMA,
    "report": report.SCHEMA,
    "diff": diff.SCHEMA,
}


def schema(name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((ROOT / "docs" / (name + ".schema.json")).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_sound_and_of_the_codes_version(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["properties"]["schema"]["const"] == SCHEMAS[name]


def test_output(crashready: Run, tmp_path: pathlib.Path) -> None:
    rack = tmp_path / "rack"
    rack.write_text(
        "box ansible_connection=local ansible_python_interpreter={0}\n"
        "nobody ansible_host=127.0.0.1 ansible_port=1\n"
        "odd ansible_port='{{{{ missing }}}}'\n".format(sys.executable)
    )
    done = crashready("facts", "-i", str(rack), "--json", "--retries", "0")
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, schema("facts-rack"))
    assert answer["hosts"]["box"]["facts"]
    assert {each["failure"]["cause"] for each in answer["hosts"].values() if each["failure"]} == {
        "refused",
        "inventory",
    }
    assert json.dumps(answer) == json.dumps(answer, sort_keys=True), "keys are sorted"
    assert len(done.stdout.splitlines()) == len(answer["hosts"]) + 9, "a line a host"
    (tmp_path / "rack.json").write_text(done.stdout)
    for words in (("--from", str(tmp_path / "rack.json")), ()):
        jsonschema.validate(json.loads(crashready("check", "--json", *words).stdout), schema("check"))


def test_every_cause_is_documented() -> None:
    text = (ROOT / "docs/driver.md").read_text(encoding="utf-8")
    assert not [name for name in CAUSES if "`{0}`".format(name) not in text]
