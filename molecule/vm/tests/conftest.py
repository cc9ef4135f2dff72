# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Runs the playbook of the README against the scenario's rack, and shows the console where a test fails."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])


class Harden(t.NamedTuple):
    """The end of a run of harden-crash.yml."""

    rc: int
    out: str


@pytest.fixture(scope="session")
def harden() -> t.Callable[..., Harden]:
    def run(*arguments: str) -> Harden:
        command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "harden-crash.yml"]
        command += ["-i", str(FOLDER / "rack.yml"), *arguments]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
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
        return Harden(done.returncode, done.stdout + done.stderr)

    return run


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """A failure comes with the end of every guest's serial console."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        for console in sorted(FOLDER.glob("lab/guests/*/console*")):
            text = console.read_bytes()[-4000:].decode("utf-8", "replace")
            report.sections.append(("console of {0}".format(console.parent.name), text))
