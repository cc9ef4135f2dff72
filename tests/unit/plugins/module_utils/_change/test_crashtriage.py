# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The triage on a host: records, idempotence, check mode, thinning out."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import crashtriage
from ansible_collections.rackops.crashready.plugins.module_utils._change.crashtriage import Wanted, triage_host
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import Tables, tables_from
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import kdump

ROOT = pathlib.Path(__file__).resolve().parents[5]
CORPUS = ROOT / "tests" / "corpus"
LOG = (CORPUS / "05-i40e-xsk-memcpy.log").read_text(encoding="utf-8")
OTHER = (CORPUS / "15-iavf-xmit-null.log").read_text(encoding="utf-8")
HOST = LocalHost()
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="records belong to root")


@pytest.fixture(scope="module")
def tables() -> Tables:
    folder = ROOT / "data" / "triage"
    names = ("core", "drivers", "rules")
    return tables_from({name: json.loads((folder / (name + ".json")).read_text(encoding="utf-8")) for name in names})


@pytest.fixture
def wanted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Wanted:
    monkeypatch.setattr(crashtriage, "PSTORE", ())
    (tmp_path / "crash").mkdir()
    return Wanted(folder=str(tmp_path / "crash"), records=str(tmp_path / "records"))


def crash(wanted: Wanted, stamp: str, text: str = LOG) -> pathlib.Path:
    folder = pathlib.Path(wanted.folder, stamp)
    folder.mkdir()
    (folder / ("dmesg." + stamp)).write_text(text, encoding="utf-8")
    return folder


@AS_ROOT
def test_a_new_crash_gets_a_record_once(wanted: Wanted, tables: Tables) -> None:
    crash(wanted, "202611231305")
    (pathlib.Path(wanted.folder) / "202611231305" / "dump.202611231305").write_bytes(kdump())
    result = triage_host(HOST, wanted, tables)
    assert result["changed"] is True
    assert [(each["kind"], each["path"], each["driver"]) for each in result["records"]] == [
        ("page_fault", "nic_rx", "i40e")
    ]
    assert result["records"][0]["host"] == "db1", "the dump names its host"
    file = pathlib.Path(wanted.records, "202611231305.json")
    assert json.loads(file.read_text(encoding="ascii"))["driver"] == "i40e"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert sorted(each["kind"] for each in result["files"]) == ["dmesg", "dump", "record"]
    again = triage_host(HOST, wanted, tables)
    assert (again["changed"], again["records"], again["known"]) == (False, [], 1)


def test_check_mode_predicts_and_writes_nothing(wanted: Wanted, tables: Tables) -> None:
    for stamp in ("202611231301", "202611231302", "202611231303"):
        crash(wanted, stamp)
    predicted = triage_host(HOST, wanted._replace(thin_out=True), tables, check_mode=True)
    assert not os.path.exists(wanted.records)
    assert len(os.listdir(wanted.folder)) == 3
    assert predicted["removed"] == [wanted.folder + "/202611231302"]
    if os.geteuid() == 0:
        done = triage_host(HOST, wanted._replace(thin_out=True), tables)
        assert done["changes"] == predicted["changes"]
        assert done["diff"] == predicted["diff"]


@AS_ROOT
def test_thinning_out_keeps_first_and_last_and_every_record(wanted: Wanted, tables: Tables) -> None:
    for number in range(5):
        crash(wanted, "20261123130{0}".format(number))
    crash(wanted, "202611231309", OTHER)
    crash(wanted, "202611231310", "nothing happened\n")
    pathlib.Path(wanted.folder, "keep-me").mkdir()
    result = triage_host(HOST, wanted._replace(thin_out=True), tables)
    left = ["202611231300", "202611231304", "202611231309", "202611231310", "keep-me"]
    assert sorted(os.listdir(wanted.folder)) == left
    assert len(os.listdir(wanted.records)) == 7
    assert not any("202611231302" in each["path"] for each in result["files"] if each["kind"] != "record")
    assert triage_host(HOST, wanted._replace(thin_out=True), tables)["changed"] is False


def test_newest_is_one_and_can_stay_unwritten(wanted: Wanted, tables: Tables) -> None:
    crash(wanted, "202611231305", OTHER)
    crash(wanted, "202611231306")
    result = triage_host(HOST, wanted._replace(which="newest", keep_record=False), tables)
    assert [each["driver"] for each in result["records"]] == ["i40e"]
    assert result["changed"] is False
    assert not os.path.exists(wanted.records)


def test_an_empty_or_absent_folder_is_well(wanted: Wanted, tables: Tables) -> None:
    assert triage_host(HOST, wanted, tables)["unread"] == {}
    assert triage_host(HOST, wanted._replace(folder="/nonexistent/crash"), tables)["unread"] == {}


def test_a_path_that_is_not_there_is_said(wanted: Wanted, tables: Tables) -> None:
    assert triage_host(HOST, wanted._replace(path="/nonexistent/x"), tables)["unread"] == {
        "/nonexistent/x": "not found"
    }


def test_a_dump_that_cannot_be_opened_is_an_unknown_record(wanted: Wanted, tables: Tables) -> None:
    folder = pathlib.Path(wanted.folder, "202611231305")
    folder.mkdir()
    (folder / "dump.202611231305").write_bytes(kdump()[:-5000])
    (record,) = triage_host(HOST, wanted._replace(keep_record=False), tables)["records"]
    assert record["kind"] == "unknown"
    assert record["files_unread"]["dump"]


@AS_ROOT
def test_a_full_disk_stops_with_what_to_do(wanted: Wanted, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    crash(wanted, "202611231305")
    monkeypatch.setattr(crashtriage, "write_file", full)
    with pytest.raises(Stopped, match=r"writing .*No space left on device.*Next: "):
        triage_host(HOST, wanted, tables)
