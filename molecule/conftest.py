# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""For the tests of every scenario: the commands of the README, run against the scenario's rack."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])


class Ran(t.NamedTuple):
    """The end of a command."""

    rc: int
    out: str


def _run(program: str, *arguments: str, inventory: str = "rack.yml") -> Ran:
    command = [str(pathlib.Path(sys.executable).parent / program), *arguments, "-i", str(FOLDER / inventory)]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "COLUMNS": "240",
    }
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    return Ran(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def harden() -> t.Callable[..., Ran]:
    """`ansible-playbook harden-crash.yml -i RACK`, with further arguments."""
    return lambda *arguments, **more: _run("ansible-playbook", "harden-crash.yml", *arguments, **more)


@pytest.fixture(scope="session")
def ad_hoc() -> t.Callable[..., Ran]:
    """`ansible -i RACK`, with further arguments."""
    return lambda *arguments: _run("ansible", *arguments)


@pytest.fixture(scope="session")
def play() -> t.Callable[..., Ran]:
    """`ansible-playbook PLAYBOOK -i RACK`, with further arguments."""
    return lambda playbook, *arguments: _run("ansible-playbook", playbook, *arguments)
