# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The corpus of crash logs itself: pairs, fields, bounds, and that a record says nothing its log does not show."""

from __future__ import annotations

import collections
import json
import pathlib
import re
import typing as t

import pytest

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "corpus"
TRIAGE = pathlib.Path(__file__).resolve().parents[3] / "data" / "triage"
LOGS = sorted(CORPUS.glob("*.log"))
RECORDS = sorted(CORPUS.glob("*.json"))

KINDS = {
    *(
        "null_deref",
        "page_fault",
        "general_protection",
        "bug",
        "divide_error",
        "soft_lockup",
        "hard_lockup",
        "rcu_stall",
    ),
    *("hung_task", "netdev_watchdog", "oom_panic", "mce", "sysrq", "panic", "warning", "unknown"),
}
NIC = {"nic_rx", "nic_tx", "nic_other"}
CONTEXTS = {"hardirq", "softirq", "nmi", "task", None}
FIELDS = {
    *("kind", "function", "module", "path", "driver", "context", "context_path", "cpu", "task", "taint", "kernel"),
    *("frames_start", "hardware", "arch"),
}
SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
#: A frame of a trace with its offset; what stands before it on the line tells whether it is reliable.
FRAME = re.compile(r"(?:^|\s)([A-Za-z_][A-Za-z0-9_.]*)\+0x[0-9a-f]+/0x[0-9a-f]+", re.MULTILINE)
#: Taints that a log shows; "Tainted: G" alone was cut off before the letters that matter.
TAINT = re.compile(r"Not\s+tainted\b|Tainted:\s+(?:G\s+)?[A-FH-Z]|Tainted: \[")
#: The kinds whose function is known from the kind; the line that names it may be missing.
NAMED_BY_KIND = {"sysrq": "sysrq_handle_crash", "netdev_watchdog": "dev_watchdog"}


def _load(path: pathlib.Path) -> dict[str, t.Any]:
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def _cases() -> list[t.Any]:
    return [pytest.param(path.with_suffix(".log"), _load(path), id=path.stem) for path in RECORDS]


def _reliable(text: str) -> list[str]:
    """The functions of all frames without a question mark, in the order of the text."""
    found = []
    for line in text.splitlines():
        match = FRAME.search(line)
        if match and not line[: match.start(1)].rstrip().endswith("?"):
            found.append(match.group(1))
    return found


def _shows_driver(text: str, expected: dict[str, t.Any]) -> bool:
    """Whether the log names the driver; of one that is built in only its functions or a part of the name may stand."""
    driver = expected["driver"]
    listed = json.loads((TRIAGE / "drivers.json").read_text(encoding="utf-8"))["drivers"]
    words = [] if expected["module"] else [word for word in driver.split("_") if len(word) > 3]
    words += [] if expected["module"] else listed.get(driver, {}).get("prefixes", [])
    return any(word in text for word in (driver, *words))


def test_logs_and_records_are_pairs() -> None:
    assert [path.stem for path in LOGS] == [path.stem for path in RECORDS]
    assert [int(path.stem.split("-")[0]) for path in LOGS] == list(range(1, len(LOGS) + 1))


def test_nothing_else_lies_there() -> None:
    others = [path.name for path in CORPUS.iterdir() if path.suffix not in (".log", ".json", ".py")]
    assert others == ["README.md"]


def test_spread() -> None:
    """Enough of each sort, so that a rule that fits one driver or one format does not pass."""
    records = [_load(path) for path in RECORDS]
    expected = [record["expected"] for record in records]
    paths = collections.Counter(record["path"] for record in expected)
    assert len(records) >= 48
    assert len({record["subsystem"] for record in records}) >= 15
    assert len({record["driver"] for record in expected if record["driver"]}) >= 15
    assert paths["nic_rx"] >= 12
    assert paths["nic_tx"] >= 5
    assert paths["nic_other"] >= 4
    assert paths["none"] >= 18
    assert {record["kind"] for record in expected} == KINDS
    assert sum(record["arch"] == "arm64" for record in expected) >= 6
    assert sum(record["context_path"] == "nic_rx" for record in expected) >= 3


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_log_is_bounded_text(path: pathlib.Path) -> None:
    raw = path.read_bytes()
    text = raw.decode("utf-8")
    assert 0 < len(raw) <= 64 * 1024
    assert len(text.splitlines()) <= 400
    assert text.endswith("\n")
    assert not re.search(r"[^\n\t\x20-\x7e]", text)


@pytest.mark.parametrize(("log", "record"), _cases())
def test_source_is_named(log: pathlib.Path, record: dict[str, t.Any]) -> None:
    assert set(record) == {"source", "subsystem", "notes", "expected"}
    source = record["source"]
    assert set(source) == {"url", "title", "kernel", "date", "seen"}
    assert re.fullmatch(r"(https://\S+|mid:[^\s<>@]+@[^\s<>@]+)", source["url"])
    assert source["title"]
    assert record["subsystem"]
    assert len(record["notes"]) > 20
    assert source["kernel"] == record["expected"]["kernel"]
    assert source["date"] is None or re.fullmatch(r"\d{4}-\d\d-\d\d", source["date"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", source["seen"])


def test_sources_are_unique_or_explained() -> None:
    users = collections.defaultdict(list)
    for path in RECORDS:
        users[_load(path)["source"]["url"]].append(path)
    for url, paths in users.items():
        for path in paths if len(paths) > 1 else []:
            others = [other.stem.split("-")[0] for other in paths if other != path]
            assert all(other in _load(path)["notes"] for other in others), url
            assert len({other.with_suffix(".log").read_bytes() for other in paths}) == len(paths)


@pytest.mark.parametrize(("log", "record"), _cases())
def test_fields_are_valid(log: pathlib.Path, record: dict[str, t.Any]) -> None:
    expected = record["expected"]
    assert set(expected) == FIELDS
    assert expected["kind"] in KINDS
    assert expected["path"] in NIC | {"none"}
    assert expected["context"] in CONTEXTS
    assert expected["arch"] in {"x86_64", "arm64", None}
    assert expected["cpu"] is None or (isinstance(expected["cpu"], int) and expected["cpu"] >= 0)
    assert expected["taint"] is None or all(re.fullmatch(r"[A-FH-Z]", letter) for letter in expected["taint"])
    assert expected["function"] is None or SYMBOL.fullmatch(expected["function"])
    assert all(SYMBOL.fullmatch(name) for name in expected["frames_start"])


@pytest.mark.parametrize(("log", "record"), _cases())
def test_path_and_driver_agree(log: pathlib.Path, record: dict[str, t.Any]) -> None:
    expected = record["expected"]
    assert (expected["driver"] is not None) == (expected["path"] in NIC)
    if expected["context_path"] is not None:
        assert expected["path"] == "none"
        assert expected["context_path"] in NIC
    if expected["kind"] == "netdev_watchdog":
        assert expected["path"] == "nic_tx"


@pytest.mark.parametrize(("log", "record"), _cases())
def test_record_says_what_the_log_shows(log: pathlib.Path, record: dict[str, t.Any]) -> None:
    text = log.read_text(encoding="utf-8")
    expected = record["expected"]
    for name in ("kernel", "task", "hardware"):
        assert expected[name] is None or expected[name] in text, name
    assert expected["driver"] is None or _shows_driver(text, expected), "driver"
    if expected["module"] is not None:
        assert re.search(r"{0}\+0x\S+ \[{1}\]".format(re.escape(expected["function"]), expected["module"]), text)
    if expected["kind"] in NAMED_BY_KIND:
        assert expected["function"] == NAMED_BY_KIND[expected["kind"]]
    elif expected["function"] is not None:
        assert re.search(r"(?<!\w){0}\+0x".format(re.escape(expected["function"])), text)
    if expected["cpu"] is not None:
        assert re.search(r"CPU[:# ]\s?{0}\b".format(expected["cpu"]), text)
    assert (expected["taint"] is None) == (not TAINT.search(text))


@pytest.mark.parametrize(("log", "record"), _cases())
def test_frames_stand_in_the_log_in_this_order(log: pathlib.Path, record: dict[str, t.Any]) -> None:
    reliable = iter(_reliable(log.read_text(encoding="utf-8")))
    missing = [name for name in record["expected"]["frames_start"] if name not in reliable]
    assert not missing


def test_readme_has_a_row_for_each() -> None:
    text = (CORPUS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"(?m)^\| \[(\S+)\]\((\S+)\.log\) \| ([^|]+) \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text
    )
    assert [row[0] for row in rows] == [row[1] for row in rows] == [path.stem for path in RECORDS]
    for path, row in zip(RECORDS, rows):
        record = _load(path)
        expected = record["expected"]
        assert row[2] == record["subsystem"]
        assert row[3] == expected["kind"]
        assert row[4].split()[0] == expected["path"]
        assert row[5] in ("`{0}`".format(expected["kernel"]), "not in the log")
        assert record["source"]["url"] in row[7]
