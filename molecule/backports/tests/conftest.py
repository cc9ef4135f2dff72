# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""harden-crash.yml with a declared bad pairing against the scenario's rack, and the consoles of its guests."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import testinfra

from crashready.lab.guest import Guest
from crashready.lab.rack import Rack

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
#: An emulated guest unpacks a kernel, builds two initrds and boots three times in one run.
LIMIT_S = 5400
#: What was measured; shown at the end, since a test that passes shows nothing.
FIGURES: list[str] = []


#: Runs in kernels from 7 on alone, so in trials and never in the kernel to come back to.
UNIT = """[Unit]
DefaultDependencies=no
ConditionKernelVersion=>=7
After={after}
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/sabotage
[Install]
WantedBy={wanted}
"""
SABOTAGE = "/etc/systemd/system/sabotage.service"


class Ran(t.NamedTuple):
    """The end of a run of the playbook."""

    rc: int
    out: str


@dataclasses.dataclass
class Box:
    """One guest with what a test needs of it."""

    name: str
    suite: str
    host: t.Any  #: testinfra's
    console_from: int = 0

    @property
    def guest(self) -> Guest:
        return Rack(FOLDER / "lab").guest(self.name)

    def sh(self, script: str) -> str:
        return self.guest.ssh(script, timeout_s=1800).stdout.strip()

    def put(self, path: str, text: str) -> None:
        """Write an executable file of the guest."""
        self.guest.ssh("mkdir -p $(dirname {0}); cat >{0}; chmod 0755 {0}; sync".format(path), stdin=text)

    def sabotage(self, command: str, wanted: str, after: str = "") -> None:
        """Let the boots of a newer kernel run a command as soon as the target `wanted` is started."""
        self.put("/usr/local/sbin/sabotage", "#!/bin/sh\n" + command + "\n")
        self.put(SABOTAGE, UNIT.format(wanted=wanted, after=after))
        self.sh("chmod 0644 {0}; systemctl daemon-reload; systemctl enable sabotage.service".format(SABOTAGE))

    def mend(self) -> None:
        """Take the sabotage away."""
        self.sh("systemctl disable sabotage.service; rm -f {0}; systemctl daemon-reload".format(SABOTAGE))

    def console(self) -> str:
        """What the serial console said since the last run began."""
        return self.guest.console_text(since=self.console_from)

    def harden(self, *arguments: str, **variables: t.Any) -> Ran:
        """harden-crash.yml for this guest, with the pairing that its release has declared bad."""
        self.console_from = self.guest.console.stat().st_size
        own = {"crashready_pairings_dirs": [str(PROJECT / "molecule/backports/pairings" / self.suite)]}
        command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "harden-crash.yml"]
        command += ["-i", str(FOLDER / "rack.yml"), "--limit", self.name, "-e", json.dumps({**own, **variables})]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "COLUMNS": "240",
        }
        done = subprocess.run(
            [*command, *arguments],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        print(done.stdout[-12000:], done.stderr[-2000:])
        return Ran(done.returncode, done.stdout + done.stderr)

    def pin(self, arguments: str, check: bool = False) -> dict[str, t.Any]:
        """The module kernel_pin by itself."""
        return t.cast("dict[str, t.Any]", self.host.ansible("rackops.crashready.kernel_pin", arguments, check=check))

    def figure(self, text: str) -> None:
        """Keep one line for the end of the run."""
        FIGURES.append("{0}: {1}".format(self.name, text))


def _box(name: str, suite: str) -> Box:
    return Box(name, suite, testinfra.get_host("ansible://" + name, ansible_inventory=str(FOLDER / "rack.yml")))


@pytest.fixture(scope="session")
def trixie() -> Box:
    return _box("pin-trixie", "trixie")


@pytest.fixture(scope="session")
def bookworm() -> Box:
    return _box("pin-bookworm", "bookworm")


@pytest.fixture(scope="session")
def without_grub() -> Box:
    """Debian 13 that systemd-boot starts."""
    return _box("pin-systemd", "trixie")


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    if FIGURES:
        terminalreporter.section("what the trials showed")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """A failure comes with what the guests' consoles said during the last run."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Box):
                report.sections.append(("console of {0}".format(value.name), value.console()[-8000:]))
