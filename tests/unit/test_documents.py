# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What roles and modules say of themselves holds: defaults, argument specs, README tables, examples."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
MODULES = sorted(ROOT.glob("plugins/modules/*.py"))


def load(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def document(module: pathlib.Path, name: str) -> str:
    """A string constant of a module, without importing it."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return str(ast.literal_eval(node.value))
    raise AssertionError("{0} has no {1}".format(module.name, name))


@pytest.fixture(params=ROLES, ids=lambda path: path.name)
def role(request: pytest.FixtureRequest) -> pathlib.Path:
    return request.param


def test_there_are_roles_and_modules() -> None:
    assert ROLES
    assert MODULES


def test_every_entry_point_has_a_spec_and_a_task_file(role: pathlib.Path) -> None:
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    assert set(specs) == {path.stem for path in (role / "tasks").glob("*.yml")}


def test_defaults_are_those_of_the_spec(role: pathlib.Path) -> None:
    defaults = load(role / "defaults/main.yml")
    for entry_point, spec in load(role / "meta/argument_specs.yml")["argument_specs"].items():
        told = {name: option["default"] for name, option in spec["options"].items() if "default" in option}
        assert told == defaults, entry_point
        assert all(name.startswith(role.name + "_") for name in spec["options"])


def test_readme_has_every_variable_with_type_and_default(role: pathlib.Path) -> None:
    rows = {}
    for line in (role / "README.md").read_text(encoding="utf-8").splitlines():
        match = re.match(r"\| `({0}_\w+)` \| ([^|]+) \| (`[^|]*`|-) \|".format(role.name), line)
        if match:
            rows[match.group(1)] = (match.group(2).strip(), match.group(3).strip())
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    expected = {}
    for name, option in options.items():
        kind = "list of {0}".format(option["elements"]) if option["type"] == "list" else option["type"]
        default = option.get("default")
        if isinstance(default, bool):
            default = str(default).lower()
        expected[name] = (kind, "`{0}`".format(default) if "default" in option else "-")
    assert rows == expected


KINDS: dict[str, type] = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict}


def tasks_of(text: str) -> list[dict[str, t.Any]]:
    tasks = yaml.safe_load(text)
    assert isinstance(tasks, list)
    return tasks


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_examples_use_options_that_exist(module: pathlib.Path) -> None:
    options = yaml.safe_load(document(module, "DOCUMENTATION"))["options"]
    name = "rackops.crashready." + module.stem
    used = [task for task in tasks_of(document(module, "EXAMPLES")) if name in task]
    assert used, "an example of the module itself"
    for task in used:
        given = task[name] or {}
        assert set(given) <= set(options)
        for key, value in given.items():
            template = isinstance(value, str) and "{{" in value
            assert template or isinstance(value, KINDS[options[key].get("type", "str")]), key


@pytest.mark.parametrize("plugin", sorted(ROOT.glob("plugins/filter/*.yml")), ids=lambda path: path.stem)
def test_filters_are_documented_and_exist(plugin: pathlib.Path) -> None:
    told = load(plugin)
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("plugins/filter/*.py"))
    assert '"{0}":'.format(told["DOCUMENTATION"]["name"]) in code
    assert "rackops.crashready." + told["DOCUMENTATION"]["name"] in told["EXAMPLES"]
