# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The one program that sudo may start for facts (tools/facts-program), and the line of sudoers that allows it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAKER = ROOT / "tools" / "facts-program"
SUDOERS = ROOT / "examples" / "sudoers.d" / "crashready-facts"

Run = t.Callable[..., subprocess.CompletedProcess[str]]


def run(*argv: str | pathlib.Path, **more: t.Any) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("program") / "facts"
    done = run(sys.executable, MAKER, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return path


def test_same_sources_give_the_same_bytes(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(sys.executable, MAKER, tmp_path / "again").returncode == 0
    assert (tmp_path / "again").read_bytes() == program.read_bytes()
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.read_bytes().startswith(b"#!/usr/bin/python3 -IS\n")


def test_nothing_of_the_caller_is_imported(program: pathlib.Path, crashready: Run, tmp_path: pathlib.Path) -> None:
    """A json.py where it is called, a PYTHONPATH and a PYTHONSTARTUP would each be code of the caller, run as root."""
    for name in ("json", "signal", "sitecustomize", "usercustomize", "crashready_host"):
        (tmp_path / (name + ".py")).write_text("raise SystemExit('taken over')\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "json.py"), "HOME": str(tmp_path)}
    done = run(sys.executable, "-IS", program, cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    facts, ours = json.loads(done.stdout), json.loads(crashready("facts", "--json").stdout)
    assert (facts["schema"], set(facts)) == (1, set(ours))
    assert facts["kernel"] == ours["kernel"]
    assert not [path for path in tmp_path.rglob("*") if path.name == "__pycache__"]


def test_its_facts_are_judged_like_others(program: pathlib.Path, crashready: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "store1.json").write_text(run(sys.executable, "-IS", program).stdout)
    told = json.loads(crashready("check", "--json", "--from", str(tmp_path)).stdout)
    assert list(told["hosts"]) == ["store1"]
    assert told["hosts"]["store1"]["failure"] is None


def test_arguments_are_refused(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = run(sys.executable, "-IS", program, "--save", tmp_path / "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "takes no arguments" in done.stderr


@pytest.mark.parametrize("words", [[], ["--help"], ["one", "two"]])
def test_wrong_usage(words: list[str]) -> None:
    assert run(sys.executable, MAKER, *words).returncode == 3


def test_a_place_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    done = run(sys.executable, MAKER, tmp_path / "gone" / "facts")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)


# --- sudo ------------------------------------------------------------------------------------------------------------


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_one_user_one_program_without_arguments() -> None:
    alias, defaults, rule = lines(SUDOERS.read_text(encoding="utf-8"))
    command = re.fullmatch(r'Cmnd_Alias CRASHREADY_FACTS = (/\S+) ""', alias)
    assert command, 'without "" sudo allows any arguments'
    assert rule == "crashready-facts ALL = (root:root) NOPASSWD: CRASHREADY_FACTS"
    assert {"env_reset", "!setenv", "use_pty"} <= set(defaults.split(None, 1)[1].split(", "))
    assert re.search(r'secure_path="(/\w+)+(:(/\w+)+)*"$', defaults)
    assert "/home" not in defaults
    # A shell, an interpreter or a pattern there is root for whoever has the account.
    assert not re.search(r"[*?\[\]!]|/(ba|da|z)?sh\b|python|perl|/env\b|ALL$", alias + rule.replace("ALL = ", ""))
    told = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert command.group(1) in told


def test_visudo_takes_it() -> None:
    visudo = shutil.which("visudo", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if not visudo:
        pytest.skip("visudo is not here: it comes with the package sudo")
    done = run(visudo, "--check", "--file={0}".format(SUDOERS))
    assert done.returncode == 0, done.stdout + done.stderr
