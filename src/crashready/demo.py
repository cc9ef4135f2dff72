# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready demo`: a rack of real Debian machines is hardened, one host panics, its dump is opened."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing as t

from rich.console import Console
from rich.table import Table

from .lab.errors import LabError
from .lab.progress import Progress
from .lab.rack import Rack
from .lab.spec import GuestSpec, parse_guest

__all__ = ["add_arguments", "main", "run"]

DESCRIPTION = """\
Boots virtual machines with real Debian kernels, hardens them with harden-crash.yml, lets one panic and opens its dump.
Needs root (the disk images are built with mmdebstrap). Uses KVM where a guest really starts with it, else emulation,
which takes some fifteen minutes."""

PANIC_LIMIT_S = 1200


class DemoError(Exception):
    """A step did not end as it should; the text says how."""


class _Steps:
    """Announces each step, and keeps how long it took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.times: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def step(self, title: str) -> t.Iterator[None]:
        self.console.rule("[bold]{0}. {1}".format(len(self.times) + 1, title), align="left")
        started = time.monotonic()
        yield
        self.times.append((title, time.monotonic() - started))
        self.console.print("[dim]{0:.0f} s[/dim]".format(self.times[-1][1]))

    def table(self) -> Table:
        """How long each step took."""
        table = Table("step", "wall time", title="The demo")
        for title, seconds in self.times:
            table.add_row(title, "{0:.0f} s".format(seconds))
        table.add_row("together", "{0:.0f} s".format(sum(seconds for _title, seconds in self.times)), style="bold")
        return table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `crashready demo` takes."""
    parser.description = DESCRIPTION
    parser.add_argument("--guest", action="append", metavar="SPEC", help="as `crashready lab up` takes it (repeatable)")
    parser.add_argument("--keep", action="store_true", help="leave the guests running and say how to reach them")
    parser.add_argument(
        "--folder", type=pathlib.Path, help="run folder (default: a new one below the temporary folder)"
    )


def run(options: argparse.Namespace) -> int:
    """Play the demo; returns the exit code."""
    specs = [parse_guest(text) for text in options.guest or _default_guests()]
    specs = [spec if spec.variables else _with_consent(spec) for spec in specs]
    folder = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="crashready-demo-"))
    console = Console(stderr=True, highlight=False)
    rack = Rack(folder, Progress())
    try:
        _play(_Steps(console), console, rack, specs)
    except (DemoError, LabError) as exc:
        console.print("[red]demo: {0}".format(exc), soft_wrap=True)
        return 4
    finally:
        if options.keep:
            console.print(
                "The guests run on. Inventory: {0}. End them with: crashready lab down {1}".format(
                    rack.inventory_file, folder
                )
            )
        else:
            rack.down([])
    return 0


def _default_guests() -> list[str]:
    return ["store1=trixie,nic=e1000e", "virt1=bookworm,nic=vmxnet3"]


def _with_consent(spec: GuestSpec) -> GuestSpec:
    return dataclasses.replace(spec, variables={"kdump_reboot_ok": True})


def _play(steps: _Steps, console: Console, rack: Rack, specs: list[GuestSpec]) -> None:
    first = specs[0].name
    with steps.step("A small rack of Debian machines boots"):
        rack.up(specs)
    with steps.step("Look: no host would keep a panic (crash_facts)"):
        for name, facts in _facts(rack).items():
            capture = facts["capture"]
            console.print("{0}: armed {1}, {2} problems".format(name, capture["armed"], len(capture["problems"])))
            for problem in capture["problems"]:
                console.print("  [{0}] {1}".format(problem["gap"] or "-", problem["message"]), markup=False)
    with steps.step("Harden: ansible-playbook harden-crash.yml"):
        _ansible(rack, "ansible-playbook", "rackops.crashready.harden_crash")
    with steps.step("Harden again: nothing is left to change"):
        _ansible(rack, "ansible-playbook", "rackops.crashready.harden_crash")
    with steps.step("{0} panics (sysrq c), is captured and comes back".format(first)):
        _panic(rack, first)
    with steps.step("The dump is opened"):
        _open_dump(console, rack, first)
    console.print(steps.table())


def _environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0"}


def _program(name: str) -> str:
    return str(pathlib.Path(sys.executable).parent / name)


def _ansible(rack: Rack, program: str, *arguments: str) -> None:
    command = [_program(program), *arguments, "-i", str(rack.inventory_file)]
    done = subprocess.run(command, env=_environment(), stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise DemoError("{0} ended with {1}; its output is above".format(" ".join(command), done.returncode))


def _module(rack: Rack, hosts: str, module: str, arguments: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Results of one ad-hoc module, by host (the callback `tree` is gone, `json` is in ansible-core)."""
    with tempfile.TemporaryDirectory(prefix="crashready-demo-") as folder:
        command = [_program("ansible"), hosts, "-i", str(rack.inventory_file), "-b", "-m", module]
        # An empty object would be taken for free-form text.
        command += ["-a", json.dumps(dict(arguments))] if arguments else []
        command += ["--tree", folder]
        done = subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        results = {path.name: json.loads(path.read_text()) for path in pathlib.Path(folder).iterdir()}
    if done.returncode != 0:
        raise DemoError("{0} on {1}: {2}".format(module, hosts, (done.stderr or done.stdout)[-2000:]))
    return results


def _facts(rack: Rack) -> dict[str, dict[str, t.Any]]:
    results = _module(rack, "all", "rackops.crashready.crash_facts", {})
    return {name: result["ansible_facts"]["crashready"] for name, result in sorted(results.items())}


def _panic(rack: Rack, name: str) -> None:
    guest = rack.guest(name)
    before = guest.wait_boot(limit_s=60)
    guest.ssh("echo 'crashready-demo panic of {0}' > /dev/kmsg; sync".format(name))
    guest.ssh("nohup sh -c 'sleep 2; echo c > /proc/sysrq-trigger' >/dev/null 2>&1 &")
    guest.wait_boot(limit_s=PANIC_LIMIT_S, other_than=before)


def _open_dump(console: Console, rack: Rack, name: str) -> None:
    expect = {"build_id": "running", "marker": "crashready-demo panic of {0}".format(name)}
    arguments = {"newest": True, "expect": expect}
    result = _module(rack, name, "rackops.crashready.crash_dump_info", arguments)[name]
    print(json.dumps(result, indent=2, sort_keys=True))
    if not result["opened"]:
        raise DemoError("the dump of {0} was not opened: {1}".format(name, result["problems"]))
    console.print("[green]{0} kept its panic.".format(name))


def main(argv: t.Sequence[str] | None = None) -> int:
    """Entry for `python -m crashready.demo`."""
    parser = argparse.ArgumentParser(prog="crashready demo", formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
