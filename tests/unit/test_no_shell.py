# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""No text of a host reaches a shell: nothing of ours starts one, but for the few constant scripts named here."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = sorted(path for place in ("plugins", "src", "tools") for path in (ROOT / place).rglob("*.py"))
TASKS = sorted(path for place in ("roles", "playbooks", "examples") for path in (ROOT / place).rglob("*.yml"))

#: Functions that hand a text to a shell, whatever is in it.
SHELLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn", "pexpect.run"),
    *("asyncio.create_subprocess_shell", "commands.getoutput"),
}
#: Modules that do so.
SHELL_MODULES = {"shell", "raw", "expect", "script"}
#: Where ssh starts a shell, so do we: a ProxyCommand is the user's own script. What is filled in there is checked
#: as OpenSSH does since 9.6; tests/driver/test_hostile_facts.py attacks it.
AS_SSH = {"src/crashready/fanout/connect.py": ["sh -c with a text that is made"]}
#: Words behind which a text is code.
CODE = re.compile(r"^(ba|da|z|k)?sh$|^python[0-9.]*$|^perl$|^eval$")
#: The administrator's own list of words (playbooks/tasks/rollout_hook.yml), behind timeout(1).
HOOK = "{{ ['timeout', "
#: Variables whose value is a command line of the administrator, run on the controller: a string is split into words by
#: Ansible, and no shell sees it. Each is documented as a command, and holds no fact.
COMMANDS = {
    *("crash_drill_before_command", "crash_drill_after_command", "crash_drill_nmi_command"),
    "crash_drill_console_command",
}


def name_of(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return "{0}.{1}".format(dotted(node.value), node.attr)
    return node.id if isinstance(node, ast.Name) else ""


def shells_in(text: str) -> list[str]:
    """What in a Python source starts a shell, or runs code that is not constant."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in SHELLS or name.endswith(".create_subprocess_shell"):
            found.append("{0}: {1}".format(node.lineno, name))
        started = name.startswith("subprocess.") or name.rpartition(".")[2] in ("Popen", "run", "check_output", "call")
        if started and any(word.arg == "shell" and not _is_false(word.value) for word in node.keywords):
            found.append("{0}: shell=".format(node.lineno))
        # run_command("a b") of Ansible splits, run_command(..., use_unsafe_shell=True) does not even that.
        if any(word.arg == "use_unsafe_shell" and not _is_false(word.value) for word in node.keywords):
            found.append("{0}: use_unsafe_shell=".format(node.lineno))
        found += ["{0}: sh -c with a text that is made".format(node.lineno) for each in node.args if _is_code(each)]
    return found


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_code(node: ast.expr) -> bool:
    """An argument list such as ["sh", "-c", text], where the text is no constant."""
    if not isinstance(node, (ast.List, ast.Tuple)) or not node.elts:
        return False
    words = [word.value if isinstance(word, ast.Constant) else None for word in node.elts]
    if not isinstance(words[0], str) or not CODE.match(words[0].rpartition("/")[2]):
        return False
    options = [place for place, word in enumerate(words) if isinstance(word, str) and re.match(r"-\w*c$", word)]
    return any(words[place + 1] is None for place in options if place + 1 < len(words))


def tasks_of(value: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Every mapping of a file: tasks, and what is in blocks and plays."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from tasks_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from tasks_of(each)


def shells_of(text: str) -> list[str]:
    """What in a file of tasks starts a shell, or runs a program that a template names."""
    found = []
    for task in tasks_of(yaml.safe_load(text)):
        for key, value in task.items():
            module = key.rpartition(".")[2] if isinstance(key, str) else ""
            if module in SHELL_MODULES and (key == module or key.startswith("ansible.")):
                found.append(key)
            if key in ("command", "ansible.builtin.command") and not _plain(value):
                found.append("{0}: {1}".format(key, value))
    return found


def _plain(value: t.Any) -> bool:
    """A list of words, a text without templates, or the whole of an administrator's own command."""
    if isinstance(value, dict):
        if isinstance(value.get("argv"), list):
            words = [str(word) for word in value["argv"]]
            return "{{" not in words[0] and not CODE.match(words[0].rpartition("/")[2])
        if "argv" in value:
            return str(value["argv"]).startswith(HOOK)
        return _plain(value.get("cmd"))
    if not isinstance(value, str):
        return False
    only = re.fullmatch(r"\{\{ (\w+) \}\}", value)
    return only.group(1) in COMMANDS if only else "{{" not in value and "{%" not in value


def test_there_is_something_to_look_at() -> None:
    assert len(PYTHON) > 100
    assert len(TASKS) > 20


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_starts_no_shell(path: pathlib.Path) -> None:
    found = [each.partition(": ")[2] for each in shells_in(path.read_text(encoding="utf-8"))]
    assert found == AS_SSH.get(name_of(path), [])


@pytest.mark.parametrize("path", TASKS, ids=name_of)
def test_tasks_start_no_shell(path: pathlib.Path) -> None:
    assert not shells_of(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "os.system('ls')",
        "subprocess.run('ls ' + nic, shell=True)",
        "subprocess.run(line, shell=wanted)",
        "host.run(['sh', '-c', 'ls ' + nic])",
        "host.run(('/bin/bash', '-ec', '{0}'.format(nic)))",
        "host.run(['python3', '-c', code])",
        "module.run_command(line, use_unsafe_shell=True)",
    ],
)
def test_a_shell_in_python_is_seen(text: str) -> None:
    assert shells_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "- ansible.builtin.shell: ls",
        "- shell: ls",
        "- ansible.builtin.raw: ls {{ ansible_facts.crashready.nics[0].name }}",
        "- block: [{ansible.builtin.command: 'ls {{ name }}'}]",
        "- ansible.builtin.command: '{{ a_fact }}'",
        "- ansible.builtin.command: {argv: ['{{ program }}', x]}",
        "- ansible.builtin.command: {argv: [sh, -c, 'ls {{ name }}']}",
        "- ansible.builtin.command: {argv: '{{ words }}'}",
        "- ansible.builtin.command: {cmd: 'ls {{ name }}'}",
    ],
)
def test_a_shell_in_tasks_is_seen(text: str) -> None:
    assert shells_of(text)


@pytest.mark.parametrize(
    "text", ["- ansible.builtin.command: {argv: [ls, '{{ x }}']}", "- ansible.builtin.command: ls -l"]
)
def test_words_are_no_shell(text: str) -> None:
    assert not shells_of(text)


def test_templates_are_no_commands_that_grow() -> None:
    """COMMANDS has no name that is used nowhere."""
    texts = "".join(path.read_text(encoding="utf-8") for path in TASKS)
    assert {name for name in COMMANDS if "{{ " + name + " }}" in texts} == COMMANDS
