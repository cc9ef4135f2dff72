# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The start-up script and the set-up, in a copy of the tree that is small enough to be quick."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from crashready import setup
from crashready.exits import ToolError

START_UP_FILES = ("crashready", "galaxy.yml", "pyproject.toml", "requirements.lock", "requirements-dev.lock")


@pytest.fixture
def checkout(root: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy without .venv."""
    copy = tmp_path / "a checkout"
    copy.mkdir()
    for name in START_UP_FILES:
        shutil.copy(root / name, copy / name)
    for name in ("src", "plugins"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return copy


def _programs(folder: pathlib.Path, **scripts: str) -> str:
    """A PATH with the tools of a minimal Debian and the given scripts, and no Python but those."""
    folder.mkdir(exist_ok=True)
    for name in ("cat", "cut", "dash", "dirname", "env", "grep", "head", "sed", "sh", "sha256sum", "uname"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, text in scripts.items():
        path = folder / name.replace("_", ".")
        path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        path.chmod(0o755)
    return str(folder)


def _start(checkout: pathlib.Path, path: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    dash = shutil.which("dash") or "sh"
    return subprocess.run(
        [dash, str(checkout / "crashready"), *words],
        cwd="/",
        env={"PATH": path, "HOME": str(checkout), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_facts_run_before_any_set_up(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = _programs(tmp_path / "bin", python3='exec {0} "$@"\n'.format(sys.executable))
    done = _start(checkout, path, "facts", "--json", "--subset", "kernel")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert not (checkout / ".venv").exists()


def test_everything_else_calls_set_up_first_and_says_so_on_stderr(
    checkout: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    log = tmp_path / "log"
    venv = (
        'case $1 in -c) exec {0} "$@" ;; esac\n'
        'echo "$*" >>{1}\n'
        "mkdir -p {2}/.venv/bin && printf '#!/bin/sh\\necho ran \"$@\"\\n' >{2}/.venv/bin/crashready "
        "&& chmod +x {2}/.venv/bin/crashready\n"
    ).format(sys.executable, log, str(checkout).replace(" ", "\\ "))
    path = _programs(tmp_path / "bin", python3_13=venv)
    for name in ("mkdir", "chmod"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    done = _start(checkout, path, "check", "a b")
    assert (done.returncode, done.stdout) == (0, "ran check a b\n"), done.stderr
    assert log.read_text(encoding="utf-8") == "-m crashready setup\n"


def test_set_up_is_not_called_when_its_stamp_fits(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The hash that the script makes is the one that the set-up writes; one byte in a lock file changes it."""
    program = checkout / ".venv" / "bin" / "crashready"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho ready\n", encoding="utf-8")
    program.chmod(0o755)
    stamp = checkout / ".venv" / ".crashready-setup"
    stamp.write_text(setup.digest(str(checkout)) + "\n", encoding="ascii")
    path = _programs(tmp_path / "bin", python3="echo asked for set-up >&2; exit 9\n")
    done = _start(checkout, path, "harden")
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    with (checkout / "requirements.lock").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    done = _start(checkout, path, "harden", CRASHREADY_PYTHON="python3")
    assert done.returncode == 4, "the set-up was not asked for"


def _version(text: str) -> str:
    """A stand-in for a Python of another version: answers the script's question, runs nothing."""
    return (
        'case $1 in --version) echo "Python {0}" ;; '
        '-c) exec {1} -c "import sys; sys.version_info = ({2}, 0); exec(sys.argv[1])" "$2" ;; esac\n'
    ).format(text, sys.executable, ", ".join(text.split(".")[:2]))


@pytest.mark.parametrize("number", ["3.10.12", "3.8.20", "3.14.0"])
def test_other_pythons_get_a_clear_message(checkout: pathlib.Path, tmp_path: pathlib.Path, number: str) -> None:
    path = _programs(tmp_path / "bin", python3=_version(number))
    done = _start(checkout, path, "setup", CRASHREADY_PYTHON="python3")
    assert done.returncode == 4
    assert "no Python 3.11, 3.12 or 3.13" in done.stderr
    assert done.stdout == ""
    assert number in done.stderr


def test_digest_tells_places_and_files_apart(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    before = setup.digest(str(checkout))
    assert before != setup.digest(str(other))
    assert before != setup.digest(str(checkout), dev=True)
    (checkout / "requirements-dev.lock").write_text("\n", encoding="utf-8")
    assert before == setup.digest(str(checkout))


def test_is_ready_wants_a_finished_set_up(checkout: pathlib.Path) -> None:
    assert not setup.is_ready(str(checkout))
    (checkout / ".venv").mkdir()
    stamp = checkout / ".venv" / ".crashready-setup"
    stamp.write_bytes(b"\xff\xfe")
    assert not setup.is_ready(str(checkout))
    stamp.write_text(setup.digest(str(checkout)), encoding="ascii")
    assert setup.is_ready(str(checkout))
    assert not setup.is_ready(str(checkout), dev=True)


def test_typing_tree_has_every_part_once(checkout: pathlib.Path) -> None:
    tree = pathlib.Path(setup.link_typing_tree(str(checkout)))
    setup.link_typing_tree(str(checkout))
    for name in ("cli.py", "_core/errors.py", "_host/base.py"):
        assert (tree / "crashready" / name).is_file()


def test_packages_are_installed_only_when_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(setup, "_checked", lambda argv, what, env=None: ran.append(argv))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(setup, "_missing", lambda packages: [])
    setup.ensure_packages("virtual environment")
    assert ran == []
    monkeypatch.setattr(setup, "_missing", lambda packages: ["python3-venv"])
    setup.ensure_packages("virtual environment")
    assert ran[-1][-2:] == ["--no-install-recommends", "python3-venv"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "installing for virtual environment: python3-venv" in said.err


def test_without_root_and_sudo_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sudo" else "/usr/bin/" + name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup, "_missing", lambda packages: ["podman"])
    with pytest.raises(ToolError, match=r"As root run: apt-get install --yes .* podman$"):
        setup.ensure_packages("test containers")
