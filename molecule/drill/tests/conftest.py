# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The command `crashready drill` against the scenario's rack, a guest's console, and its reset from outside."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest
import testinfra

from crashready.lab import qmp
from crashready.lab.guest import Guest
from crashready.lab.rack import Rack

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
#: An emulated guest needs minutes for panic, capture and boot; a hang has to end within it as well.
LIMIT_S = 2400
#: What was measured; shown at the end, since a test that passes shows nothing.
FIGURES: list[str] = []


class Drilled(t.NamedTuple):
    """The end of one `crashready drill` of one host."""

    code: int
    outcome: dict[str, t.Any]
    text: str  #: all that it said

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return "; ".join(self.outcome["reasons"])


@dataclasses.dataclass
class Box:
    """One guest with what a test needs of it."""

    name: str
    host: t.Any  #: testinfra's
    console_from: int = 0

    @property
    def guest(self) -> Guest:
        return Rack(FOLDER / "lab").guest(self.name)

    @property
    def folder(self) -> pathlib.Path:
        return self.guest.folder

    def sh(self, script: str) -> str:
        """Run a shell script in the guest; no Python there is needed."""
        return self.guest.ssh(script, timeout_s=600).stdout

    def put(self, path: str, text: str) -> None:
        """Write an executable file of the guest."""
        self.guest.ssh("cat >{0}; chmod 0755 {0}; sync".format(path), stdin=text)

    def read(self, path: str) -> str:
        return self.sh("cat {0}".format(path)).strip()

    def console(self) -> str:
        """What the serial console said since the last drill began."""
        return self.guest.console_text(since=self.console_from)

    def figure(self, text: str) -> None:
        """Keep one measured line for the end of the run."""
        FIGURES.append("{0}: {1}".format(self.name, text))

    def mark(self) -> None:
        self.console_from = self.guest.console.stat().st_size

    def wait_for_console(self, text: str, limit_s: float = 900) -> None:
        limit = time.monotonic() + limit_s
        while text not in self.console():
            assert time.monotonic() < limit, "{0!r} was not on the console:\n{1}".format(text, self.console()[-3000:])
            time.sleep(0.2)

    def reset(self) -> None:
        """As the button of the machine does: nothing is written any more."""
        qmp.execute(self.folder, "system_reset")

    def wait_boot(self, limit_s: float = 900) -> None:
        self.guest.wait_boot(limit_s=limit_s)

    def facts(self) -> dict[str, t.Any]:
        result = self.host.ansible("rackops.crashready.crash_facts", "gather_subset=kernel,capture", check=False)
        return t.cast("dict[str, t.Any]", result["ansible_facts"]["crashready"]["capture"])

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin `crashready drill` in the background, with consent to this host."""
        self.mark()
        return _start(self.name, "--yes", self.name, *words)

    def drill(self, *words: str) -> Drilled:
        """`crashready drill` with consent to this host, to its end."""
        return self.end(self.start(*words))

    def drill_without_a_yes(self, *words: str) -> Drilled:
        self.mark()
        return self.end(_start(self.name, *words))

    def lose(self, process: subprocess.Popen[str]) -> None:
        """Kill the command with everything that it started, as if the controller had died."""
        rows = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
        parents = dict(zip(map(int, rows[::2]), map(int, rows[1::2]), strict=True))
        # By descent: ansible-runner gives Ansible a session of its own.
        doomed = {process.pid}
        while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
            doomed |= more
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(60)

    def end(self, process: subprocess.Popen[str]) -> Drilled:
        out, err = process.communicate(timeout=LIMIT_S + 900)
        text = out + err
        assert out.startswith("{"), text[-5000:]
        drilled = Drilled(process.returncode, json.loads(out)["hosts"][0], text)
        print(json.dumps(drilled.outcome, indent=1))
        return drilled


def _start(*words: str) -> subprocess.Popen[str]:
    command = [str(pathlib.Path(sys.executable).parent / "crashready"), "drill", "--json", "--timeout", str(LIMIT_S)]
    command += ["-i", str(FOLDER / "rack.yml"), "--records", str(FOLDER / "drills"), *words]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _box(name: str) -> Box:
    box = Box(name, testinfra.get_host("ansible://" + name, ansible_inventory=str(FOLDER / "rack.yml")))
    box.mark()
    return box


@pytest.fixture(scope="session")
def trixie() -> Box:
    return _box("drill-trixie")


@pytest.fixture(scope="session")
def bookworm() -> Box:
    return _box("drill-bookworm")


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    if FIGURES:
        terminalreporter.section("figures of the drills")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """A failure comes with what the guests' consoles said during the last drill."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Box):
                report.sections.append(("console of {0}".format(value.name), value.console()[-8000:]))
