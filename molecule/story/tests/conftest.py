# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The commands of the story as a user types them, the two guests, and what one step leaves to the next."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest
import testinfra

from crashready.lab.guest import Guest
from crashready.lab.rack import Rack

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
#: Emulated: a kernel unpacked and two initrds built on each host, and two boots of each.
LIMIT_S = 7200
#: The log of the story with its times; shown at the end, since a test that passes shows nothing.
LOG: list[str] = []
_BEGUN = time.monotonic()


class Ran(t.NamedTuple):
    """The end of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> t.Any:
        """Its result as JSON: nothing else goes to standard output."""
        assert self.out.startswith("{"), self.out[-3000:] + self.err[-5000:]
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """Everything, for the message of an assertion."""
        return (self.out + self.err)[-8000:]


@dataclasses.dataclass
class Box:
    """One host of the story."""

    name: str
    host: t.Any  #: testinfra's
    console_from: int = 0

    @property
    def guest(self) -> Guest:
        return Rack(FOLDER / "lab").guest(self.name)

    def sh(self, script: str) -> str:
        return self.guest.ssh(script, timeout_s=1800).stdout.strip()

    def mark(self) -> None:
        """What the console says from here on is this step's."""
        self.console_from = self.guest.console.stat().st_size

    def console(self) -> str:
        return self.guest.console_text(since=self.console_from)

    def nic(self) -> str:
        """Name of the card under test."""
        return self.sh("basename $(dirname $(readlink -f /sys/bus/pci/drivers/e1000e/*/net/*/address))")

    def fault(self, name: str) -> str:
        """A parameter of the module that makes this rack a bad pairing."""
        return self.sh("cat /sys/module/ringfault/parameters/{0}".format(name))

    def wait_armed(self, limit_s: float = 900) -> None:
        """The service that loads the capture kernel builds its initrd at the first boot of a kernel."""
        limit = time.monotonic() + limit_s
        while self.sh("cat /sys/kernel/kexec_crash_loaded") != "1":
            assert time.monotonic() < limit, self.console()[-3000:]
            time.sleep(5)


@dataclasses.dataclass
class Story:
    """What all steps share. `kept` is what one leaves to the next."""

    one: Box
    two: Box
    plan: dict[str, t.Any]
    kept: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def database(self) -> pathlib.Path:
        """Pairing entries of this rack's own: the reviewed draft will lie here."""
        return FOLDER / "pairings"

    def command(self, *words: str, store: bool = True) -> Ran:
        """`crashready WORDS -i RACK`, with the history of this story."""
        argv = [str(pathlib.Path(sys.executable).parent / "crashready"), *words, "-i", str(FOLDER / "rack.yml")]
        argv += ["--store", str(FOLDER / "history.db")] if store else []
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "XDG_STATE_HOME": str(FOLDER / "state"),
            "COLUMNS": "240",
        }
        self.say("$ crashready " + " ".join(words))
        done = subprocess.run(
            argv,
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        self.say("  ended with {0}".format(done.returncode))
        print(done.stdout[-6000:], done.stderr[-6000:])
        return Ran(done.returncode, done.stdout, done.stderr)

    def soak(self, phase: str, seconds: int) -> dict[str, t.Any]:
        """The one experiment of this story: traffic from the second host to the first; its JSON."""
        self.one.mark()
        wire = "{0}:{1}={2}:{3}".format(self.one.name, self.one.nic(), self.two.name, self.two.nic())
        words = ["--pair", wire, "--profile", "bulk", "--duration", "{0}s".format(seconds), "--name", "story"]
        words += ["--phase", phase, "--yes-soak", "{0},{1}".format(self.one.name, self.two.name), "--json"]
        done = self.command("soak", *words)
        found = done.json["experiment"]
        assert found is not None, done.text
        self.say("  verdict: {0}; {1}".format(found["verdict"], "; ".join(found["says"])))
        return t.cast("dict[str, t.Any]", found)

    def run_of(self, experiment: t.Mapping[str, t.Any], box: Box) -> dict[str, t.Any]:
        """The newest run of a host in an experiment."""
        return t.cast("dict[str, t.Any]", [run for run in experiment["runs"] if run["host"] == box.name][-1])

    def review(self, draft: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The draft of an entry with what a reviewer of this rack knows."""
        spec = importlib.util.spec_from_file_location("story_review", PROJECT / "tests" / "story" / "review.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return t.cast("dict[str, t.Any]", module.review(draft, self.plan["first"], self.plan["before"]))

    def say(self, text: str) -> None:
        """One line of the story's log."""
        LOG.append("{0:7.1f} s  {1}".format(time.monotonic() - _BEGUN, text))


def _box(name: str) -> Box:
    return Box(name, testinfra.get_host("ansible://" + name, ansible_inventory=str(FOLDER / "rack.yml")))


@pytest.fixture(scope="session")
def story() -> Story:
    plan = json.loads((FOLDER / "story.json").read_text("utf-8"))
    return Story(_box("story-one"), _box("story-two"), plan)


_failed: list[str] = []


@pytest.fixture(autouse=True)
def _in_order(request: pytest.FixtureRequest) -> None:
    """A step stands on those before it: after one that failed, the rest would only say the same again."""
    if _failed:
        pytest.fail("{0} failed, and this step goes on from there".format(_failed[0]), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """A failure comes with what the guests' consoles said during that step."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        _failed.append(item.name)
    found = getattr(item, "funcargs", {}).get("story")
    if report.when == "call" and report.failed and found is not None:
        for box in (found.one, found.two):
            report.sections.append(("console of {0}".format(box.name), box.console()[-8000:]))


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    if LOG:
        terminalreporter.section("the story")
        for line in LOG:
            terminalreporter.write_line(line)
