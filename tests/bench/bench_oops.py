# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How long the triage of a log takes, and that memory does not grow: 10,000 logs, then one of many megabytes.

    python tests/bench/bench_oops.py [--logs 10000] [--padding 1500] [--megabytes 200]

The logs are those of tests/corpus in turn, each behind `--padding` lines of ordinary boot messages, which is what a
dmesg file holds. The exit code is 1 where a log takes more than 50 ms in the mean or memory grows by more than 8 MiB
after the first tenth.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import statistics
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from crashready._core.oops import Tables, read_chunks, read_log  # noqa: E402
from crashready.triage_tables import read_tables  # noqa: E402

_BOOT = "[{0:12.6f}] pci 0000:{1:02x}:00.0: BAR 0: assigned [mem 0x{2:08x}-0x{2:08x} 64bit pref]\n"
LIMIT_MS = 50.0
GROWTH_KIB = 8 * 1024


def padding(lines: int) -> bytes:
    """Boot messages of an ordinary length."""
    return "".join(_BOOT.format(n / 1000, n % 256, n * 4096) for n in range(lines)).encode()


def peak_kib() -> int:
    """The most memory that this process has had, in KiB (getrusage(2) on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def many(tables: Tables, count: int, lines: int) -> bool:
    """Many logs one after the other."""
    before = padding(lines)
    logs = [before + path.read_bytes() for path in sorted((ROOT / "tests" / "corpus").glob("*.log"))]
    times: list[float] = []
    early = 0
    start, used = time.perf_counter(), time.process_time()
    for number in range(count):
        begun = time.perf_counter()
        read_log(logs[number % len(logs)], tables).to_dict()
        times.append((time.perf_counter() - begun) * 1e3)
        if number == count // 10:
            early = peak_kib()
    used = time.process_time() - used
    wall, growth, mean = time.perf_counter() - start, peak_kib() - early, statistics.fmean(times)
    times.sort()
    size = statistics.fmean(len(log) for log in logs) / 1024
    print("{0} logs of {1:.0f} KiB in the mean: {2:.1f} s, {3:.1f} s of a processor".format(count, size, wall, used))
    print("a log: mean {0:.2f} ms, median {1:.2f} ms, ".format(mean, times[count // 2]), end="")
    print("99 % below {0:.2f} ms, worst {1:.2f} ms".format(times[count * 99 // 100], times[-1]))
    print("memory: {0:.1f} MiB after a tenth, {1:.1f} MiB more at the end".format(early / 1024, growth / 1024))
    return mean < LIMIT_MS and growth < GROWTH_KIB


def long_one(tables: Tables, megabytes: int) -> bool:
    """One log that is read in pieces and never held."""
    piece = padding(12_000)
    crash = (ROOT / "tests" / "corpus" / "09-bnxt-tpa-eth-type-trans.log").read_bytes()

    def pieces() -> t.Iterator[bytes]:
        for _number in range(megabytes * 1024 * 1024 // len(piece)):
            yield piece
        yield crash

    early, start = peak_kib(), time.perf_counter()
    record = read_chunks(pieces(), tables)
    wall, growth = time.perf_counter() - start, peak_kib() - early
    print("one log of {0} MiB: {1:.1f} s, {2:.1f} MiB a second, ".format(megabytes, wall, megabytes / wall), end="")
    print("{0:.1f} MiB more memory, kind {1}".format(growth / 1024, record.kind))
    return growth < GROWTH_KIB and record.kind == "bug"


def main() -> int:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--padding", type=int, default=1500)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    tables = read_tables()
    well = many(tables, max(arguments.logs, 10), arguments.padding)
    return 0 if long_one(tables, arguments.megabytes) and well else 1


if __name__ == "__main__":
    sys.exit(main())
