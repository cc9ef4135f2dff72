# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Both artefacts, installed where no checkout is near: the wheel, and the collection from ansible-galaxy."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv

import pytest

pytestmark = pytest.mark.slow


def _run(*argv: str | pathlib.Path, cwd: pathlib.Path, **env: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, "{0}\n{1}\n{2}".format(argv, done.stdout, done.stderr)
    return done.stdout


def _bin(name: str) -> pathlib.Path:
    return pathlib.Path(sys.executable).parent / name


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of what git tracks or would track: a build must not write into the tree, nor see what lies about."""
    root = pathlib.Path(__file__).resolve().parents[2]
    copy = tmp_path_factory.mktemp("source")
    asked = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(asked, cwd=root, capture_output=True, check=True, text=True).stdout.split("\0"):
        if name and (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel_python(source: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A clean environment with the wheel in it; what it depends on is borrowed from this one, by a path file."""
    built = tmp_path_factory.mktemp("wheel")
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", built, source),
        cwd=built,
    )
    (wheel,) = built.glob("crashready-*.whl")
    place = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    _run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=built,
    )
    (site,) = (place / "lib").glob("python3*/site-packages")
    borrowed = next(pathlib.Path(path) for path in sys.path if (pathlib.Path(path) / "ansible").is_dir())
    (site / "borrowed.pth").write_text("{0}\n".format(borrowed), encoding="utf-8")
    return python


def test_wheel_runs_away_from_the_checkout(wheel_python: pathlib.Path, tmp_path: pathlib.Path) -> None:
    place = _run(wheel_python, "-c", "import crashready; print(crashready.__file__)", cwd=tmp_path).strip()
    assert pathlib.Path(place).is_relative_to(wheel_python.parents[1])
    program = wheel_python.parent / "crashready"
    assert json.loads(_run(program, "facts", "--json", cwd=tmp_path))["schema"] == 1
    assert _run(program, "--version", cwd=tmp_path).startswith("crashready ")


def test_wheel_has_core_once_and_no_tests(wheel_python: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (site,) = (wheel_python.parents[1] / "lib").glob("python3*/site-packages")
    inside = site / "ansible_collections" / "rackops" / "crashready"
    assert list(site.rglob("_core/errors.py")) == [inside / "plugins/module_utils/_core/errors.py"]
    assert {path.name for path in inside.iterdir()} <= {
        *("LICENSE", "README.md", "data", "docs", "galaxy.yml", "meta", "monitoring", "playbooks", "plugins", "roles"),
    }


def test_fqcn_works_from_the_wheel_alone(wheel_python: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Ansible of that environment finds the collection on sys.path: no Galaxy, no ansible.cfg."""
    code = "from ansible.cli.adhoc import main; main()"
    out = _run(
        *(wheel_python, "-c", code, "localhost", "-m", "rackops.crashready.crash_facts"),
        *("-a", "gather_subset=kernel", "-e", "ansible_python_interpreter={0}".format(wheel_python)),
        cwd=tmp_path,
        HOME=str(tmp_path),
    )
    assert "localhost | SUCCESS" in out
    assert '"crashready": {' in out


def test_collection_builds_and_installs_into_a_clean_path(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _run(_bin("ansible-galaxy"), "collection", "build", "--output-path", tmp_path, source, cwd=tmp_path)
    (archive,) = tmp_path.glob("rackops-crashready-*.tar.gz")
    place = tmp_path / "collections"
    home = {"HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(place)}
    _run(_bin("ansible-galaxy"), "collection", "install", "--offline", "-p", place, archive, cwd=tmp_path, **home)
    installed = place / "ansible_collections" / "rackops" / "crashready"
    top = {path.name for path in installed.iterdir()}
    assert {"MANIFEST.json", "LICENSE", "README.md", "meta", "monitoring", "plugins"} <= top
    assert not top & {
        "src",
        "tests",
        "molecule",
        "tools",
        "pyproject.toml",
        ".venv",
        ".ci",
        "ansible.cfg",
        "crashready",
    }
    assert not [path for path in installed.rglob("*") if path.is_symlink()]
    out = _run(_bin("ansible-doc"), "--json", "-t", "module", "rackops.crashready.crash_facts", cwd=tmp_path, **home)
    assert json.loads(out)["rackops.crashready.crash_facts"]["doc"]["module"] == "crash_facts"
