# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A rack of 10,000 hosts through check, report and the plan of a rollout: `python tests/bench/bench_fleet.py`.

The hosts are the recorded machines of tests/unit/cases/trees, read by the collectors, each with a kernel, a firmware
and addresses of its own, kept as one HOST.json each. Every stage is a process of its own over that folder, as a user
starts it; its CPU time and the most memory that it had are what the kernel says of it when it has ended. CPU time and
not the clock, so that neighbours on the machine count less. Prints, asserts nothing.

    python tests/bench/bench_fleet.py --hosts 1000,3000,10000
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from crashready._core import rollout  # noqa: E402
from crashready._host.facts import collect_facts  # noqa: E402
from crashready._host.tree import TreeHost  # noqa: E402

TREES = ("82599-x520", "bcm57416", "connectx-5", "guest-bookworm-e1000e", "guest-trixie-e1000e", "x710-da4")
#: Package versions of Debian 12 and 13; the release is made of them as Debian does it.
KERNELS = [("6.1.{0}-1", 12, range(80, 193, 38)), ("6.12.{0}-1", 13, range(30, 96, 22))]
#: Hosts of a rack, and members of a redundancy group.
RACK, GROUP = 40, 2


class Used(t.NamedTuple):
    """What a process took."""

    cpu_s: float
    memory_bytes: int
    wrote_bytes: int  #: of its result


def recorded() -> list[dict[str, t.Any]]:
    """Facts of the recorded machines."""
    found = []
    for name in TREES:
        manifest = json.loads((ROOT / "tests/unit/cases/trees" / (name + ".json")).read_text(encoding="utf-8"))
        found.append(collect_facts(TreeHost(manifest)))
    return found


def vary(facts: dict[str, t.Any], chance: random.Random) -> dict[str, t.Any]:
    """The same machine with another kernel, other addresses, and in one of five the firmware a step away."""
    facts = copy.deepcopy(facts)
    text, debian, numbers = chance.choice(KERNELS)
    version = text.format(chance.choice(numbers))
    release = "{0}+deb{1}-amd64".format(version.partition("-")[0], debian)
    if isinstance(facts.get("kernel"), dict):
        facts["kernel"].update(release=release, package_version=version)
    for nic in facts.get("nics") or ():
        nic["mac"] = "02:00:" + ":".join("{0:02x}".format(chance.randrange(256)) for _each in range(4))
        raw = (nic.get("firmware") or {}).get("raw")
        if raw and chance.random() < 0.2:
            digits = [place for place, letter in enumerate(raw) if letter.isdigit()]
            place = digits[-1]
            nic["firmware"] = {**nic["firmware"], "raw": raw[:place] + str(chance.randrange(10)) + raw[place + 1 :]}
    return facts


def write_rack(folder: pathlib.Path, count: int, seed: int = 1) -> int:
    """One file a host; bytes of all of them."""
    chance = random.Random(seed)
    machines = recorded()
    written = 0
    for number in range(count):
        text = json.dumps(vary(chance.choice(machines), chance))
        written += (folder / "store{0:05}.json".format(number)).write_text(text, encoding="utf-8")
    return written


def plan(folder: pathlib.Path) -> None:
    """The stage of the rollout: candidates of all hosts, in racks and in groups of two, planned and printed."""
    candidates = []
    for number, path in enumerate(sorted(folder.iterdir())):
        candidates.append(
            rollout.Candidate(
                path.stem,
                rollout.pairing_of(json.loads(path.read_text(encoding="utf-8"))),
                rack="r{0}".format(number // RACK),
                groups=("g{0}".format(number // GROUP),),
            )
        )
    started = time.process_time()
    planned = rollout.plan_waves(candidates, rollout.parse_batches("1,2,4,5%"))
    print(json.dumps({"waves": len(planned.waves), "plan_s": time.process_time() - started}))


def measure(argv: t.Sequence[str], out: pathlib.Path) -> Used:
    """Run it with its output in a file; what it took. Raises SystemExit for one that did not do it."""
    with out.open("wb") as stream:
        child = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE)
    assert child.stderr is not None
    says = child.stderr.read()
    _pid, status, usage = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    child.returncode = code
    if code not in (0, 1, 2):
        raise SystemExit(
            "{0} ended with {1}: {2}".format(" ".join(argv), code, says.decode("utf-8", "replace")[-2000:])
        )
    # ru_maxrss is in KiB on Linux, getrusage(2).
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, out.stat().st_size)


def stages(count: int) -> dict[str, Used]:
    """Every stage over a new rack of that many hosts."""
    with tempfile.TemporaryDirectory(prefix="crashready-fleet-") as scratch:
        folder, page, out = (pathlib.Path(scratch, name) for name in ("rack", "page.html", "out"))
        folder.mkdir()
        started = time.process_time()
        size = write_rack(folder, count)
        print(
            "{0} hosts, {1:.0f} MB of facts, made in {2:.1f} s".format(count, size / 1e6, time.process_time() - started)
        )
        command = (sys.executable, "-m", "crashready")
        words = ("--no-store", "--from", str(folder))
        found = {"check": measure([*command, "check", "--json", *words], out)}
        told = json.loads(out.read_text(encoding="utf-8"))
        assert len(told["hosts"]) == count
        used = measure([*command, "report", "--html", str(page), *words], out)
        found["report page"] = used._replace(wrote_bytes=page.stat().st_size)
        found["rollout"] = measure([sys.executable, __file__, "--plan", str(folder)], out)
        told = json.loads(out.read_text(encoding="utf-8"))
        print("  {0} waves, of which plan_waves took {1:.2f} s".format(told["waves"], told["plan_s"]))
    return found


def main() -> int:
    """All sizes, then how each stage grew from the first to the last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="1000,3000,10000", help="numbers of hosts, with commas between them")
    parser.add_argument("--plan", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plan is not None:
        plan(arguments.plan)
        return 0
    sizes = [int(each) for each in arguments.hosts.split(",")]
    results = {}
    for count in sizes:
        results[count] = stages(count)
        for name, used in results[count].items():
            print(
                "  {0:12} {1:7.2f} s  {2:6.0f} MB memory  {3:6.2f} MB written  {4:6.2f} ms a host".format(
                    name, used.cpu_s, used.memory_bytes / 1e6, used.wrote_bytes / 1e6, 1000 * used.cpu_s / count
                ),
                flush=True,
            )
    few, many = sizes[0], sizes[-1]
    for name, first in results[few].items():
        last = results[many][name]
        each = 1000 * (last.cpu_s - first.cpu_s) / max(1, many - few)
        kept = (last.memory_bytes - first.memory_bytes) / max(1, many - few) / 1000
        print(
            "{0}: {1:.1f} times the hosts take {2:.1f} times the time and {3:.1f} times the memory; "
            "a host more: {4:.2f} ms, {5:.1f} kB".format(
                name, many / few, last.cpu_s / first.cpu_s, last.memory_bytes / first.memory_bytes, each, kept
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
