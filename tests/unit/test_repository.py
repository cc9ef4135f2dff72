# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Rules of the repository that no linter knows."""

from __future__ import annotations

import ast
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE_UTILS = ROOT / "plugins" / "module_utils"
HEADER = (
    "# Copyright: (c) 2026, The Crashready authors\n"
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
    "# SPDX-FileCopyrightText: 2026, The Crashready authors\n"
)

#: sys.stdlib_module_names is new in Python 3.10; on 3.9 the test of purity is left to the other versions.
STANDARD_LIBRARY = getattr(sys, "stdlib_module_names", None)
#: Of the standard library, what reaches outside the process. `_core` gets texts and values, so it needs none of it.
OUTSIDE = {
    *("asyncio", "fcntl", "glob", "http", "importlib", "io", "multiprocessing", "os", "pathlib", "platform", "random"),
    *("secrets", "select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time"),
    *("urllib", "uuid"),
}


def _tracked() -> list[pathlib.Path]:
    """What git tracks or would track, that is there; in a copy without git (ansible-test), every file."""
    asked = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        paths = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if ".git" not in path.parts and "output" not in path.parts]
    return sorted(path for path in paths if path.is_symlink() or path.is_file())


TRACKED = _tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]


def _name(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: pathlib.Path) -> list[tuple[int, str]]:
    """(level, module) of every import: level 0 is absolute, 1 is `from .`, and so on."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
    return found


def _depth(path: pathlib.Path) -> int:
    """How many dots lead to the package directly below module_utils."""
    return len(path.relative_to(MODULE_UTILS).parts) - 1


@pytest.mark.skipif(STANDARD_LIBRARY is None, reason="needs Python 3.10")
@pytest.mark.parametrize("path", sorted((MODULE_UTILS / "_core").rglob("*.py")), ids=_name)
def test_core_is_pure(path: pathlib.Path) -> None:
    """`_core` imports the standard library and itself, touches no files and asks no clock."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "input", "print", "exec", "eval", "__import__"}
    for level, module in _imports(path):
        if level == 0:
            top = module.split(".")[0]
            assert top in STANDARD_LIBRARY, module
            assert top not in OUTSIDE, module
        else:
            assert level <= _depth(path), "a relative import leaves _core: {0}".format(module)


@pytest.mark.skipif(STANDARD_LIBRARY is None, reason="needs Python 3.10")
@pytest.mark.parametrize("path", sorted(MODULE_UTILS.rglob("*.py")), ids=_name)
def test_module_utils_need_nothing_but_themselves(path: pathlib.Path) -> None:
    """The same files run on hosts, in Ansible's controller and as `crashready._core`: no absolute name of ours."""
    for level, module in _imports(path):
        if level == 0:
            assert module.split(".")[0] in STANDARD_LIBRARY, module
        else:
            assert level <= _depth(path) + 1, "a relative import leaves module_utils: {0}".format(module)


#: The files of _host that are the machine itself, not a collector.
MACHINE = {"local.py"}


@pytest.mark.parametrize(
    "path", sorted(path for path in (MODULE_UTILS / "_host").rglob("*.py") if path.name not in MACHINE), ids=_name
)
def test_collectors_read_through_host_alone(path: pathlib.Path) -> None:
    forbidden = {"subprocess", "socket", "pathlib", "os", "glob", "shutil", "fcntl"}
    assert not {module.split(".")[0] for level, module in _imports(path) if level == 0} & forbidden
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "open" not in calls


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_header(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.startswith("#!"):
        text = text.split("\n", 1)[1]
    text = re.sub(r"\A# -\*- coding: utf-8 -\*-\n", "", text)
    assert text.startswith(HEADER) or not text


@pytest.mark.parametrize("path", [path for path in PYTHON if "tests" not in path.parts], ids=_name)
def test_functions_are_short(path: pathlib.Path) -> None:
    """At most 40 lines without the docstring."""
    long = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > 40:
                long.append("{0}: {1} lines".format(node.name, lines))
    assert not long


def test_module_names_say_what_is_inside() -> None:
    assert not [_name(path) for path in PYTHON if path.stem in ("utils", "util", "helpers", "helper", "common", "misc")]


def test_no_symlink_is_committed() -> None:
    assert not [_name(path) for path in TRACKED if path.is_symlink()]


def test_version_is_in_one_place() -> None:
    """galaxy.yml has it; pyproject.toml takes it from there, and no Python file of ours repeats it."""
    (version,) = re.findall(r"(?m)^version: (\S+)$", (ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'path = "galaxy.yml"' in project
    assert not re.search(r"(?m)^version\s*=", project)
    wanted = re.compile(r"^(__version__|VERSION)\b.*{0}".format(re.escape(version)), re.MULTILINE)
    assert not [_name(path) for path in PYTHON if wanted.search(path.read_text(encoding="utf-8"))]


def test_ansible_versions_agree() -> None:
    """What meta/runtime.yml allows, what pyproject.toml asks for and what the lock installs are the same range."""
    runtime = (ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8")
    (low, high) = re.findall(r'requires_ansible: ">=([\d.]+),<([\d.]+)"', runtime)[0]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"ansible-core>=([\d.]+),<([\d.]+)"', project) == [(low.rsplit(".0", 1)[0], high)]
    locked = re.findall(r"(?m)^ansible-core==(\d+\.\d+)\.", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert locked[0] == low.rsplit(".0", 1)[0]
    assert int(locked[-1].split(".")[1]) + 1 == int(high.split(".")[1])


def _pins(name: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9._-]+==\S+)", (ROOT / name).read_text(encoding="utf-8")))


def test_locks_agree_and_name_no_place() -> None:
    """The tools' lock has all of the users' lock at the same versions, and neither names an index or a file."""
    assert _pins("requirements.lock") <= _pins("requirements-dev.lock")
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"(?m)^\s*(-i|-f|--\w*index\w*|--find-links|--trusted-host)\b", text)
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text.strip()))


#: Names that would tie the tree to the machine that it is written on; spelled so that this file does not match itself.
ELSEWHERE = re.compile("|".join((r"/work/" + r"(main|shared)", r"\.\./" + "shared", "/root/" + r"\.pyenv")))


def test_tree_reads_nothing_outside_itself() -> None:
    found = []
    for path in TRACKED:
        if path.is_symlink():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        if path.is_relative_to(ROOT / "molecule"):
            text = re.sub(r"\.\./shared\b", "", text)  # molecule/shared, seen from a scenario
        if ELSEWHERE.search(text):
            found.append(_name(path))
    assert not found


def test_recorded_cases_are_json() -> None:
    for path in TRACKED:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
