# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How long judging a rack takes, and that twice the hosts take twice the time: `python tests/bench/bench_judge.py`.

Every host has its own kernel version out of some hundred, two to four NICs and
firmware texts of its own, so that few questions repeat; what is kept between
hosts is measured too, since a rack is much alike. Prints, asserts nothing.
"""

from __future__ import annotations

import argparse
import pathlib
import random
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from crashready import pairings  # noqa: E402
from crashready._core import judge, remedy  # noqa: E402

#: Texts as the drivers write them, with a number to fill in.
FIRMWARE = {
    "mlx5_core": "20.{0}.1000 (MT_0000000224)",
    "bnxt_en": "2{0}.0.151.0/pkg 233.1.135.7",
    "i40e": "9.{0} 0x8000d95e 1.3353.0",
    "ice": "4.{0} 0x8001c967 1.3534.0",
    "qede": "mbi 15.20.16 [mfw 8.{0}.3.0]",
    "igc": "10{0}:8770",
    "atlantic": "3.1.{0}",
}
KERNELS = [("6.1.{0}-1", range(80, 193)), ("6.12.{0}-1", range(30, 118)), ("6.12.{0}-1~bpo12+1", range(30, 96))]


def make_hosts(count: int, database: judge.Database, seed: int = 1) -> list[dict[str, t.Any]]:
    """Facts of that many hosts, with cards that the entries are about."""
    chance = random.Random(seed)
    cards = [
        (entry.raw["driver"], each.vendor, sorted(each.devices))
        for entry in database.entries.values()
        for each in entry.cards
    ]
    kernels = [text.format(number) for text, numbers in KERNELS for number in numbers]
    hosts = []
    for _each in range(count):
        nics = [_nic(chance, index, *chance.choice(cards)) for index in range(chance.randint(2, 4))]
        version = chance.choice(kernels)
        kernel = {
            "release": "6.1.0-1-amd64",
            "machine": "x86_64",
            "package_version": version,
            "stream": "stable",
            "taint": {"value": 0},
            "candidates": {
                "stable": [{"package": "linux-image-amd64", "version": "6.1.192-2"}],
                "backports": [{"package": "linux-image-amd64", "version": "6.12.95-1~bpo12+1"}],
            },
        }
        hosts.append({"schema": 1, "nics": nics, "kernel": kernel})
    return hosts


def _nic(chance: random.Random, index: int, driver: str, vendor: str, devices: list[str]) -> dict[str, t.Any]:
    pci = {"vendor": vendor, "device": chance.choice(devices or ["4001"]), "subsystem_vendor": vendor}
    raw = FIRMWARE.get(driver, "").format(chance.randint(10, 99))
    return {
        "name": "eth{0}".format(index),
        "driver": driver,
        "module": driver,
        "driver_version": "6.1.0-1-amd64",
        "firmware": {"raw": raw},
        "pci": {**pci, "subsystem_device": "{0:04x}".format(chance.randrange(1 << 16))},
        "virtual": False,
    }


def main() -> int:
    """Judge 1/4, 1/2 and all of the hosts, each with a fresh database; then choose remedies for a part of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=10_000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    pairings.load_database()
    print("reading the database: {0:.2f} s".format(time.perf_counter() - started))
    points = []
    for part in (arguments.hosts // 4, arguments.hosts // 2, arguments.hosts):
        database = pairings.load_database()
        hosts = make_hosts(part, database)
        started = time.process_time()
        verdicts = [judge.judge_host(facts, database)["verdict"] for facts in hosts]
        seconds = time.process_time() - started
        points.append((part, seconds))
        counts = {name: verdicts.count(name) for name in judge.ORDER}
        print(
            "{0:6} hosts, {1} entries: {2:.2f} s, {3:.3f} ms a host, {4}".format(
                part, len(database.entries), seconds, 1000 * seconds / part, counts
            )
        )
    (few, first), (many, last) = points[0], points[-1]
    print(
        "slope: {0:.3f} ms a host more; {1} times the hosts take {2:.2f} times the time".format(
            1000 * (last - first) / (many - few), many // few, last / first
        )
    )
    database = pairings.load_database()
    part = arguments.hosts // 10
    hosts = make_hosts(part, database)
    started = time.process_time()
    needed = sum(remedy.choose_remedy(facts, database)["needed"] for facts in hosts)
    seconds = time.process_time() - started
    print("remedies for {0} hosts ({1} bad): {2:.2f} s".format(part, needed, seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
