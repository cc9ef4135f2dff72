# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Every real log of tests/corpus gives the record that a reader wrote down before the parser was run on it."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import time
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import oops

ROOT = pathlib.Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus"


def _load() -> t.Any:
    spec = importlib.util.spec_from_file_location("crashready_confusion", CORPUS / "confusion.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONFUSION = _load()
CASES = CONFUSION.cases()


@pytest.fixture(scope="module")
def tables() -> oops.Tables:
    folder = ROOT / "data" / "triage"
    return oops.tables_from(
        {name: json.loads((folder / (name + ".json")).read_text("utf-8")) for name in ("core", "drivers", "rules")}
    )


def test_every_log_has_an_expectation() -> None:
    names = {path.stem for path in CORPUS.glob("*.log")}
    assert names == {path.stem for path in CORPUS.glob("*.json")}
    assert len(names) >= 40


@pytest.mark.parametrize(("log", "case"), CASES, ids=[log.stem for log, case in CASES])
def test_record(log: pathlib.Path, case: dict[str, t.Any], tables: oops.Tables) -> None:
    record = oops.read_log(log.read_bytes(), tables).to_dict()
    assert CONFUSION.differences(case["expected"], record) == []


def test_bugs_have_signatures_of_their_own(tables: oops.Tables) -> None:
    """Two logs of the corpus share an exact signature only where they are of the same kind and function."""
    seen: dict[str, tuple[str, str, str | None]] = {}
    for log, _case in CASES:
        record = oops.read_log(log.read_bytes(), tables)
        exact = record.signature["exact"]
        if exact is None or record.kind in ("mce", "sysrq", "oom_panic"):
            continue  # no fault of the code that ran: one signature a kind
        here = (log.stem, record.kind, record.function)
        assert seen.setdefault(exact, here)[1:] == here[1:]


def test_time(tables: oops.Tables) -> None:
    """Parse and verdict take less than 50 ms a log; the mean of all, so that a busy machine does not fail it."""
    texts = [log.read_bytes() for log, _case in CASES]
    start = time.perf_counter()
    for text in texts:
        oops.read_log(text, tables)
    assert (time.perf_counter() - start) / len(texts) < 0.05
