# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is given to other engines names things that exist: AWX, Event-Driven Ansible, execution environments."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._host.crashrecords import brief

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(name: str) -> t.Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


TEMPLATES: list[dict[str, t.Any]] = load("examples/awx/templates.yml")["crashready_templates"]
OBJECTS: list[dict[str, t.Any]] = load("examples/awx/objects.yml")
QUESTIONS = [(template, question) for template in TEMPLATES for question in template["survey"]]

#: What takes a variable that is no word of the playbook itself.
SPECS = {
    name: option
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    for spec in load(path.relative_to(ROOT).as_posix())["argument_specs"].values()
    for name, option in spec["options"].items()
}


def texts(playbook: pathlib.Path) -> str:
    """The playbook with what it imports and includes, as text."""
    text = playbook.read_text(encoding="utf-8")
    found = re.findall(r"(?:import_playbook|import_tasks|include_tasks): (\S+\.yml)", text)
    return "\n".join([text, *(texts(playbook.parent / name) for name in found)])


def roles(text: str) -> set[str]:
    return set(re.findall(r"rackops\.crashready\.(\w+)", text)) & {path.name for path in ROOT.glob("roles/*")}


def question_id(value: t.Any) -> str | None:
    return value["variable"] if isinstance(value, dict) and "variable" in value else None


# --- AWX -------------------------------------------------------------------------------------------------------------


def test_the_job_templates_are_there() -> None:
    wanted = {"facts", "harden", "rollout", "drill", "soak", "metrics"}
    assert {template["name"].removeprefix("Crashready: ") for template in TEMPLATES} == wanted
    used = {key for template in TEMPLATES for key in template}
    (task,) = [each for each in OBJECTS if "awx.awx.job_template" in each]
    assert used == set(re.findall(r"item\.(\w+)", yaml.safe_dump(task)))
    for template in TEMPLATES:
        assert {"name", "description", "playbook", "slices", "survey"} <= set(template)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])
def test_playbook_exists_and_takes_what_is_given(template: dict[str, t.Any]) -> None:
    playbook = ROOT / template["playbook"]
    assert playbook.parent == ROOT / "playbooks"
    text = texts(playbook)
    given = [question["variable"] for question in template["survey"]] + list(template.get("extra_vars", ()))
    assert len(given) == len(set(given))
    for name in given:
        if name in SPECS:
            assert any(name.startswith(role + "_") for role in roles(text)), name
        else:
            assert name.startswith("crashready_"), name
            assert re.search(r"(?<![\w.]){0}\b".format(name), re.sub(r"(?m)^\s*#.*$", "", text)), name


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])
def test_slices_are_for_plays_whose_hosts_know_nothing_of_each_other(template: dict[str, t.Any]) -> None:
    together = re.search(
        r"(?m)^\s+(serial|strategy|run_once|any_errors_fatal):|ansible_play_hosts|hostvars\[",
        texts(ROOT / template["playbook"]),
    )
    assert (template["slices"] == 1) == bool(together)


@pytest.mark.parametrize(("template", "question"), QUESTIONS, ids=question_id)
def test_question_is_one_that_awx_takes(template: dict[str, t.Any], question: dict[str, t.Any]) -> None:
    keys = {"variable", "question_name", "question_description", "type", "required", "default", "choices", "min", "max"}
    assert {"variable", "question_name", "type", "required"} <= set(question) <= keys
    assert question["type"] in ("text", "integer", "multiplechoice")
    assert ("choices" in question) == (question["type"] == "multiplechoice")
    if question["type"] == "multiplechoice":
        assert all(isinstance(choice, str) for choice in question["choices"])
        assert question["default"] in question["choices"]
    if question["type"] == "integer":
        assert question["min"] <= question["default"] <= question["max"]
    told = SPECS.get(question["variable"], {}).get("choices")
    if told:
        assert set(question["choices"]) <= set(told)
    # A yes is never there before somebody typed it.
    if question["variable"].startswith("crashready_yes"):
        assert not question.get("default")


def test_objects_are_those_of_awx_and_name_each_other() -> None:
    modules = [next(key for key in task if key != "name" and "." in key) for task in OBJECTS]
    assert all(module.startswith("awx.awx.") for module in modules)
    assert len(modules) == len(OBJECTS)
    made = {(module, str(task[module]["name"])) for module, task in zip(modules, OBJECTS)}
    for module, task in zip(modules, OBJECTS):
        for key, kind in (
            ("project", "project"),
            ("source_project", "project"),
            ("inventory", "inventory"),
            ("execution_environment", "execution_environment"),
        ):
            if key in task[module]:
                assert ("awx.awx." + kind, task[module][key]) in made
    (play,) = load("examples/awx/controller.yml")
    text = (ROOT / "examples/awx/objects.yml").read_text() + (ROOT / "examples/awx/templates.yml").read_text()
    used = set(re.findall(r"\{\{ (crashready_\w+)", text))
    assert used == {*play["vars"], "crashready_templates"}


# --- Event-Driven Ansible --------------------------------------------------------------------------------------------

(RULESET,) = load("examples/eda/rulebook.yml")
RULES = {next(iter(rule["action"])): rule for rule in RULESET["rules"]}


def test_what_a_record_starts_is_a_template_that_changes_nothing() -> None:
    started = RULES["run_job_template"]["action"]["run_job_template"]
    (template,) = [each for each in TEMPLATES if each["name"] == started["name"]]
    assert template["playbook"] == "playbooks/facts.yml"
    tasks = [task for play in load(template["playbook"]) for task in play["tasks"]]
    assert [key for task in tasks for key in task if "." in key] == ["rackops.crashready.crash_facts"]
    (source,) = RULESET["sources"]
    assert source["ansible.eda.webhook"]["token"]


def test_rules_ask_for_what_the_host_posts() -> None:
    text = (ROOT / "examples/eda/rulebook.yml").read_text(encoding="utf-8")
    posted = {"schema": 1, "event": "crash", "record": brief({})}
    asked = set(re.findall(r"event\.payload\.([a-z_.]+)", text))
    assert {"event", "schema", "record.host"} <= asked
    for path in asked:
        value: t.Any = posted
        for name in path.split("."):
            assert name in value, path
            value = value[name]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("store1", True),
        ("Store-1.example.org", True),
        ("", False),
        ("*", False),
        ("store1,store2", False),
        ("store1:store2", False),
        ("!store1", False),
        ("~store.*", False),
        ("@/etc/passwd", False),
        ("-all", False),
        ("store1 --flag", False),
        ("{{ x }}", False),
    ],
)
def test_a_pattern_is_no_name_of_a_host(name: str, taken: bool) -> None:
    (pattern,) = re.findall(r'record\.host is match\("([^"]+)"\)', RULES["run_job_template"]["condition"])
    assert bool(re.match(pattern, name)) == taken


def test_role_sends_the_header_that_the_source_checks() -> None:
    """ansible.eda.webhook takes the token from Authorization: Bearer; the three variables are those of the role."""
    text = (ROOT / "examples/eda/rulebook.yml").read_text(encoding="utf-8")
    told = dict(re.findall(r"(crash_triage_\w+): (.+)", text))
    assert set(told) - set(SPECS) == set()
    assert told["crash_triage_webhook_header"] == "Authorization"
    assert told["crash_triage_webhook_secret"].startswith('"Bearer ')


# --- execution environment -------------------------------------------------------------------------------------------

ENVIRONMENT = load("execution-environment.yml")


def test_image_has_what_pyproject_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert ENVIRONMENT["version"] == 3
    assert set(ENVIRONMENT) <= {
        *("version", "images", "dependencies", "options", "build_arg_defaults"),
        *("additional_build_files", "additional_build_steps"),
    }
    dependencies = ENVIRONMENT["dependencies"]
    for key in ("ansible_core", "ansible_runner"):
        assert '"{0}"'.format(dependencies[key]["package_pip"]) in project
    assert '["{0}"]'.format(next(each for each in dependencies["python"] if "psycopg" in each)) in project
    (low, high) = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project)[0]
    python = re.fullmatch(r"python3\.(\d+)", dependencies["python_interpreter"]["package_system"])
    assert python
    assert int(low) <= int(python.group(1)) < int(high)
    assert dependencies["python_interpreter"]["python_path"] == "/usr/bin/" + python.group(0)


def test_image_takes_the_lock_and_the_wheel_of_a_release() -> None:
    files = {each["src"]: each["dest"] for each in ENVIRONMENT["additional_build_files"]}
    assert set(files) == {"requirements.lock", "dist/release/*.whl"}
    (place,) = set(files.values())
    steps = "\n".join(ENVIRONMENT["additional_build_steps"]["append_final"])
    assert "COPY _build/{0} /tmp/{0}".format(place) in steps
    assert "--require-hashes --requirement /tmp/{0}/requirements.lock".format(place) in steps
    assert "--no-deps --no-index /tmp/{0}/*.whl".format(place) in steps
    # As the file itself and docs/scale.md say how it is built.
    for name in ("execution-environment.yml", "docs/scale.md"):
        assert "tools/release dist/release" in (ROOT / name).read_text(encoding="utf-8")
