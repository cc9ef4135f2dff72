# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings import` and `changelog`: what they read, what they refuse, what they print."""

from __future__ import annotations

import gzip
import json
import pathlib
import typing as t

import pytest

from crashready import pairings_import
from crashready._core import cve_index
from crashready.cli import main
from crashready.exits import FAILED, UNKNOWN, USAGE, WELL

ROW = {
    "cve": "CVE-2026-53009",
    "title": "ice: fix double-free of tx_buf skb",
    "files": ["drivers/net/ethernet/intel/ice/ice_txrx.c"],
    "ranges": [["4.17", "d76a60ba7afb", "7.0.10", "4c08fc2119ef"], ["4.17", "d76a60ba7afb", "7.1", "1a303baa715e"]],
}
OTHER = {**ROW, "cve": "CVE-2024-50040", "title": "net: x", "files": ["net/core/dev.c"]}


def _record(cve: str, files: list[str], state: str = "PUBLISHED") -> dict[str, t.Any]:
    cpe = [{"vulnerable": True, "versionStartIncluding": "6.5", "versionEndExcluding": "6.12"}]
    cna = {
        "title": "igb: x",
        "affected": [{"programFiles": files}],
        "cpeApplicability": [{"nodes": [{"cpeMatch": cpe}]}],
    }
    return {"cveMetadata": {"cveId": cve, "state": state}, "containers": {"cna": cna}}


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """A small checkout of vulns: two records of NIC drivers, one with a dyad, one of other code, one rejected."""
    year = tmp_path / "vulns" / "cve" / "published" / "2026"
    year.mkdir(parents=True)
    igb, igc = ["drivers/net/ethernet/intel/igb/igb_main.c"], ["drivers/net/ethernet/intel/igc/igc_main.c"]
    (year / "CVE-2026-10001.json").write_text(json.dumps(_record("CVE-2026-10001", igb)), encoding="utf-8")
    (year / "CVE-2026-10002.json").write_text(json.dumps(_record("CVE-2026-10002", igc)), encoding="utf-8")
    (year / "CVE-2026-10002.dyad").write_text("# x\n6.1.42:{0}:6.1.113:{0}\n".format("a" * 40), encoding="utf-8")
    (year / "CVE-2026-10003.json").write_text(json.dumps(_record("CVE-2026-10003", ["mm/mmap.c"])), encoding="utf-8")
    rejected = tmp_path / "vulns" / "cve" / "rejected" / "2026"
    rejected.mkdir(parents=True)
    (rejected / "CVE-2026-10004.json").write_text(json.dumps(_record("CVE-2026-10004", igb)), encoding="utf-8")
    return tmp_path / "vulns"


def _rows(path: pathlib.Path, rows: t.Iterable[t.Any]) -> pathlib.Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_checkout(checkout: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "index.json"
    code = main(["pairings", "import", str(checkout), "-o", str(out), "--json", "--date", "2026-08-21"])
    assert code == WELL
    summary = json.loads(capsys.readouterr().out)
    assert (summary["read"], summary["used"], summary["drivers"]) == (3, 2, 2)
    assert summary["skipped"] == [
        {"reason": "touches no NIC driver of the table", "count": 1, "examples": ["CVE-2026-10003"]}
    ]
    index = cve_index.load_index(out.read_text(encoding="utf-8"))
    assert [bug.cve for bug in index.bugs] == ["CVE-2026-10001", "CVE-2026-10002"]
    assert index.bugs[1].ranges == (cve_index.Range("6.1.42", "a" * 12, "6.1.113", "a" * 12),)
    assert index.date == "2026-08-21"


def test_same_input_same_bytes_in_any_order(
    checkout: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _rows(tmp_path / "rows.jsonl", [ROW, OTHER])
    outputs = []
    for paths in ([str(checkout), str(rows)], [str(rows), str(checkout)]):
        assert main(["pairings", "import", *paths]) == WELL
        captured = capsys.readouterr()
        outputs.append(captured.out)
        assert "3 used" in captured.err
    assert outputs[0] == outputs[1]
    assert cve_index.load_index(outputs[0]).by_driver.keys() == {"ice", "igb", "igc"}


def test_hostile_input(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever lies among the records is counted with its reason, and the rest is used."""
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.json").write_bytes(b"\x00\xff\xfe" * 100)
    (folder / "b.json").write_text("[" * 200_000, encoding="utf-8")
    (folder / "c.json").write_text("{}", encoding="utf-8")
    (folder / "d.json").write_text(" " * (pairings_import.RECORD_LIMIT + 10), encoding="utf-8")
    (folder / "e.json").write_text('{"cve": ' + "9" * 10_000 + "}", encoding="utf-8")
    (folder / "f.json").symlink_to(tmp_path / "nowhere")
    with open(folder / "g.jsonl", "w", encoding="utf-8") as stream:
        stream.write("x" * (pairings_import.LINE_LIMIT * 2 + 5) + "\n" + json.dumps(ROW) + "\n")
    assert main(["pairings", "import", str(folder), "-o", str(tmp_path / "index.json"), "--json"]) == UNKNOWN
    summary = json.loads(capsys.readouterr().out)
    assert summary["used"] == 1
    assert {row["reason"]: row["count"] for row in summary["skipped"]} == {
        "not JSON": 3,
        "no CVE id": 1,
        "longer than 8388608 characters": 1,
        "longer than 1048576 characters": 1,
    }


def test_a_bad_dyad_is_not_passed_over(checkout: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "cve" / "published" / "2026" / "CVE-2026-10002.dyad").write_text("6.1.42:6.1.113\n", encoding="utf-8")
    assert main(["pairings", "import", str(checkout)]) == UNKNOWN
    captured = capsys.readouterr()
    assert "the dyad cannot be read" in captured.err
    assert "CVE-2026-10002" not in captured.out


def test_nothing_to_use_leaves_the_old_index(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "index.json"
    out.write_text("old", encoding="utf-8")
    assert main(["pairings", "import", str(_rows(tmp_path / "rows.jsonl", [OTHER])), "-o", str(out)]) == FAILED
    assert "no record of a NIC driver" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "old"


def test_unwritable_output_leaves_nothing_behind(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _rows(tmp_path / "rows.jsonl", [ROW])
    (tmp_path / "index.json").mkdir()
    assert main(["pairings", "import", str(rows), "-o", str(tmp_path / "index.json")]) == FAILED
    assert "was not written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "rows.jsonl"]


def test_missing_path(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pairings", "import", str(tmp_path / "nowhere")]) == FAILED
    assert "no such file or folder" in capsys.readouterr().err


def test_wrong_date(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pairings", "import", str(tmp_path), "--date", "yesterday"])
    assert ended.value.code == USAGE


# --- changelog -------------------------------------------------------------------------------------------------------

CHANGELOG = """\
linux (6.12.115-1) trixie-security; urgency=high

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.114
    - ice: fix double-free of tx_buf skb (CVE-2026-53009)

 -- A Maintainer <a@example.org>  Mon, 02 Nov 2026 10:30:20 +0100

linux (6.12.113-1) trixie-security; urgency=medium

  * bnxt_en: fix DMA mapping length for padded small packets (Closes: #1149564)

 -- A Maintainer <a@example.org>  Mon, 26 Oct 2026 10:30:20 +0100
"""


def _changelog(path: pathlib.Path, low: str, *more: str) -> int:
    return main(["pairings", "changelog", str(path), "--driver", "ice", "--from", low, "--to", "6.12.115-1", *more])


@pytest.mark.parametrize("packed", [False, True])
def test_changelog(packed: bool, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "changelog"
    data = CHANGELOG.encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    assert _changelog(file, "6.12.113-1") == WELL
    assert capsys.readouterr().out.splitlines() == [
        "Came in (1)",
        "  6.12.115-1       corruption ice: fix double-free of tx_buf skb (CVE-2026-53009)",
        "complete: every upload from 6.12.113-1 to 6.12.115-1 is listed",
    ]
    assert _changelog(file, "6.1.192-2", "--json") == UNKNOWN
    found = json.loads(capsys.readouterr().out)
    assert found["complete"] is False
    assert [row["class"] for row in found["items"]] == ["corruption"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no changelog", "not a changelog"),
        (b"\x1f\x8bnot gzip", "gzip"),
        (gzip.compress(CHANGELOG.encode())[:-20], "end-of-stream"),
    ],
)
def test_changelog_that_is_none(
    data: bytes, reason: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "changelog"
    file.write_bytes(data)
    assert _changelog(file, "6.12.113-1") == FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert reason in captured.err or "{0}:".format(file) in captured.err


def test_changelog_of_a_wrong_version(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "changelog"
    file.write_text(CHANGELOG, encoding="utf-8")
    assert _changelog(file, "not a version") == FAILED
    assert "not a version" in capsys.readouterr().err
