# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A coverage-guided run over the parser of kernel logs, for as long as one likes.

    python tests/fuzz/fuzz_oops.py [FOLDER] [libFuzzer options, such as -max_total_time=600]

It needs atheris (`pip install atheris`), which is no part of the locked tools because it has no build for every Python
that the driver runs on. Without it this script says so and ends with 2; the property tests of tests/unit, which use
hypothesis, run everywhere. The logs of tests/corpus are the seeds. New inputs are kept in FOLDER, which is made.

What counts as a failure: an exception, a record that is no JSON, a control character in it, or an input that takes more
than a second.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e]")


def check(data: bytes) -> None:
    """One input; raises where a promise of the parser is broken."""
    start = time.perf_counter()
    record = json.dumps(_read_log(data, _TABLES).to_dict(), ensure_ascii=False)
    taken = time.perf_counter() - start
    if taken > 1:
        raise AssertionError("{0} bytes took {1:.1f} s".format(len(data), taken))
    found = _CONTROLS.search(record)
    if found:
        raise AssertionError("a control character in the record: {0!r}".format(found.group(0)))


def main() -> int:
    """Hand over to libFuzzer, which ends the process itself."""
    if atheris is None:
        print(
            "fuzz_oops: atheris is missing, so there is no coverage-guided run. Install it with: pip install atheris\n"
            "The property tests run without it: pytest tests/unit/plugins/module_utils/_core/oops",
            file=sys.stderr,
        )
        return 2
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        pathlib.Path(arguments[0]).mkdir(parents=True, exist_ok=True)
        arguments.insert(1, str(ROOT / "tests" / "corpus"))
    else:
        arguments.insert(0, str(ROOT / "tests" / "corpus"))
        arguments.append("-runs=100000") if len(arguments) == 1 else None
    atheris.Setup([sys.argv[0], "-max_len=16384", *arguments], check)
    atheris.Fuzz()
    return 0


try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None:
    with atheris.instrument_imports(include=["crashready._core"]):
        from crashready._core.oops import read_log as _read_log
        from crashready.triage_tables import read_tables
else:
    from crashready._core.oops import read_log as _read_log
    from crashready.triage_tables import read_tables

_TABLES = read_tables()

if __name__ == "__main__":
    sys.exit(main())
