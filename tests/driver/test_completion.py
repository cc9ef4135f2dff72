# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Completions and the man page have what --help has, and the programs they are for can read them."""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest

from crashready import cli
from crashready.completion import SHELLS, script
from crashready.manpage import man_page

Run = t.Callable[..., "subprocess.CompletedProcess[str]"]


def options(parser: argparse.ArgumentParser) -> set[str]:
    found = set()
    for action in parser._actions:
        found |= {word for word in action.option_strings if word.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                found |= options(each)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_have_every_command_and_option(shell: str) -> None:
    text = script(shell)
    assert all(name in text for name in cli.COMMANDS)
    missing = {word for word in options(cli.whole_parser()) if word[2:] not in text}
    assert not missing


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_them(shell: str, tmp_path: pathlib.Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip("{0} is not installed".format(shell))
    path = tmp_path / "completion"
    path.write_text(script(shell))
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes(tmp_path: pathlib.Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    path = tmp_path / "completion"
    path.write_text(script("bash"))
    asked = (
        "source {0}; COMP_WORDS=(crashready {1}); COMP_CWORD={2}; $(complete -p crashready | sed 's/.*-F \\([^ ]*\\).*/"
        "\\1/') crashready; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )

    def complete(words: str, at: int) -> set[str]:
        out = subprocess.run(["bash", "-c", asked.format(path, words, at)], capture_output=True, text=True, check=True)
        return set(out.stdout.split())

    assert complete("che", 1) == {"check"}
    assert {"--fail-on", "--from"} <= complete("check --f", 2)
    assert complete("check --fail-on s", 3) == {"suspect"}


def test_man_page(tmp_path: pathlib.Path) -> None:
    page = man_page()
    assert page.startswith(".TH CRASHREADY")
    plain = page.replace("\\-", "-")
    assert all(re.search(r"crashready {0}\b".format(name), plain) for name in cli.COMMANDS)
    missing = {word for word in options(cli.whole_parser()) - {"--help"} if word not in plain}
    assert not missing
    if shutil.which("man") is not None:
        path = tmp_path / "crashready.1"
        path.write_text(page)
        done = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "crashready" in done.stdout


def test_commands(crashready: Run) -> None:
    assert crashready("completion", "bash").returncode == 0
    assert crashready("completion", "ash").returncode == 3
    assert crashready("manpage").stdout == man_page()
