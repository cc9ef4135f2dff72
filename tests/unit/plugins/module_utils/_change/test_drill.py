# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The steps of a drill on a host in a folder: what they write, what they run, and that nothing stays."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import drill as steps
from ansible_collections.rackops.crashready.plugins.module_utils._change import files as files_module
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillchannels, drillrecord, drillrecorder
from ansible_collections.rackops.crashready.plugins.module_utils._core.drill import Asked
from ansible_collections.rackops.crashready.plugins.module_utils._host import drill as host_drill
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed, FileStatus, Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit import seen

MIB = 1024 * 1024
OLD, NEW = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
ASKED = Asked("store1", consent="store1")
NOISE = bytes(range(8))
ID = "0001020304050607"
NOW = 1795439100.0


class Box(LocalHost):
    """The local machine with a boot of its own, whose files are root's and whose commands are written down."""

    def __init__(self) -> None:
        super().__init__()
        self.boot = OLD
        self.ran: list[list[str]] = []
        self.answers: dict[str, Completed] = {}
        self.lines: dict[str, str] = {}

    @property
    def euid(self) -> int:
        return 0

    def lstat(self, path: str) -> FileStatus:
        return super().lstat(path)._replace(uid=0)

    def read_line(self, path: str) -> str:
        if path == "/proc/sys/kernel/random/boot_id":
            return self.boot
        return self.lines[path] if path in self.lines else super().read_line(path)

    def run(self, argv: t.Sequence[str], timeout_s: float = 60, env: t.Any = None, stdin: t.Any = None) -> Completed:
        self.ran.append(list(argv))
        return self.answers.get(argv[0], Completed(0, "", ""))


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Box:
    """Every path of a drill lies below tmp_path; the host is armed and well."""
    root = str(tmp_path)
    for name in ("FOLDER", "STATE_PATH", "CAPTURE_PATH", "PROOF_PATH"):
        monkeypatch.setattr(drillrecord, name, root + getattr(drillrecord, name))
    monkeypatch.setattr(drillchannels, "RECORD_PATH", root + drillchannels.RECORD_PATH)
    monkeypatch.setattr(host_drill, "_PSTORE", (root + "/sys/fs/pstore", root + "/var/lib/systemd/pstore"))
    moved = {path: root + path for path in drillrecorder.FILES}
    monkeypatch.setattr(steps, "FILES", tuple(moved.values()))
    monkeypatch.setattr(steps, "SCRIPT", moved[drillrecorder.SCRIPT])
    monkeypatch.setattr(steps, "DROP_IN", moved[drillrecorder.DROP_IN])
    written = drillrecorder.recorder_files
    monkeypatch.setattr(steps, "recorder_files", lambda id_: {moved[p]: text for p, text in written(id_).items()})
    monkeypatch.setattr(files_module.os, "fchown", lambda *_args: None)
    capture = seen.armed()
    capture["config"]["KDUMP_COREDIR"] = root + "/crash"
    capture["initrds"][seen.RELEASE]["bytes"] = 8 * MIB
    kernel = {"release": seen.RELEASE, "package_version": "6.12.95-1", "build_id": "c" * 40}
    monkeypatch.setattr(steps, "collect_kernel", lambda _host: kernel)
    monkeypatch.setattr(steps, "see_capture", lambda *_args: capture)
    monkeypatch.setattr(steps, "find_problems", lambda _capture: [])
    monkeypatch.setattr(steps, "see_needs", lambda *_args: steps.estimate.__globals__["Needs"](2048 * MIB))
    monkeypatch.setattr(steps, "dirty_bytes", lambda _host: 0)
    monkeypatch.setattr(host_drill, "dirty_bytes", lambda _host: 0)
    monkeypatch.setattr(host_drill, "_busy_packages", lambda _host: [])
    monkeypatch.setattr(host_drill, "_damaged", lambda _host: [])
    monkeypatch.setattr(host_drill, "_dpkg_interrupted", lambda _host: None)
    return Box()


def left(tmp_path: pathlib.Path) -> list[str]:
    return sorted("/" + str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())


def prepared(box: Box, **given: t.Any) -> dict[str, t.Any]:
    return steps.prepare(box, given.pop("asked", ASKED), NOISE, NOW, False)


def test_check_changes_nothing(box: Box, tmp_path: pathlib.Path) -> None:
    result = steps.check(box, ASKED, NOW)
    assert (result["resume"], result["boot_id"], result["changed"]) == (False, OLD, False)
    assert result["estimate"]["bytes"] > 0
    assert result["estimate"]["parts"]
    assert result["limit_s"] == 2700 + 900
    assert left(tmp_path) == []


def test_check_refuses_with_every_reason(box: Box) -> None:
    box.answers["sync"] = Completed(1, "", "sync: error syncing '/': Input/output error")
    with pytest.raises(steps.Refused) as refused:
        steps.check(box, ASKED._replace(consent=None), NOW)
    assert [blocker.id for blocker in refused.value.blockers] == ["no_consent", "sync"]
    assert "Next: " in str(refused.value)


def test_prepare_writes_what_is_and_the_recorder(box: Box, tmp_path: pathlib.Path) -> None:
    result = prepared(box)
    assert result == {"changed": True, "drill_id": ID, "boot_id": OLD}
    assert left(tmp_path) == sorted([*drillrecorder.FILES, "/var/lib/crashready/drill.json"])
    state = tmp_path / "var/lib/crashready/drill.json"
    assert state.stat().st_mode & 0o777 == 0o600
    assert state.parent.stat().st_mode & 0o777 == 0o700
    before = host_drill.read_before(box)
    assert before is not None
    assert (before.drill_id, before.build_id, before.identity.release) == (ID, "c" * 40, seen.RELEASE)


def test_prepare_in_check_mode_writes_nothing(box: Box, tmp_path: pathlib.Path) -> None:
    assert steps.prepare(box, ASKED, NOISE, NOW, True)["changed"] is True
    assert left(tmp_path) == []


def test_a_second_drill_is_refused_and_the_first_one_stays(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(box)
    with pytest.raises(steps.Refused, match="another drill"):
        steps.prepare(box, ASKED, bytes(8), NOW + 5, False)
    # Both looked before either wrote: the file itself decides.
    monkeypatch.setattr(steps.drill, "find_blockers", lambda *_args: [])
    monkeypatch.setattr(steps, "see_drill", lambda *_args: {"state": None, "state_refused": None, "boot_id": OLD})
    with pytest.raises(steps.Refused, match="at the same moment"):
        steps.prepare(box, ASKED, bytes(8), NOW + 5, False)
    before = host_drill.read_before(box)
    assert before is not None
    assert before.drill_id == ID


def test_prepare_without_room_takes_back_what_it_wrote(
    box: Box, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write_file", full)
    with pytest.raises(Stopped, match="No space left on device"):
        prepared(box)
    assert left(tmp_path) == []


def test_panic_is_a_unit_of_its_own(box: Box) -> None:
    prepared(box)
    steps.panic(box, ID, ASKED, None, False)
    argv = box.ran[-1]
    assert argv[:3] == ["systemd-run", "--quiet", "--unit=crashready-drill-" + ID]
    words = "echo '<2>crashready-drill-{0}' >/dev/kmsg; timeout 10 journalctl --sync; sync; echo c >/proc/sysrq-trigger"
    assert argv[-1] == words.format(ID)


@pytest.mark.parametrize("consent", [None, "", "store2", "all", "yes"])
def test_panic_wants_the_name(box: Box, consent: str | None) -> None:
    prepared(box)
    with pytest.raises(steps.Refused, match="nobody said yes"):
        steps.panic(box, ID, ASKED._replace(consent=consent), None, False)
    assert not [argv for argv in box.ran if argv[0] == "systemd-run"]


def test_panic_wants_its_own_preparation(box: Box) -> None:
    with pytest.raises(Stopped, match="was not prepared"):
        steps.panic(box, ID, ASKED, None, False)
    prepared(box)
    with pytest.raises(Stopped, match="was not prepared"):
        steps.panic(box, "f" * 16, ASKED, None, False)
    box.boot = NEW
    with pytest.raises(steps.Refused, match="has booted since"):
        steps.panic(box, ID, ASKED, None, False)
    assert not [argv for argv in box.ran if argv[0] == "systemd-run"]


def test_panic_in_check_mode_runs_nothing(box: Box) -> None:
    prepared(box)
    assert steps.panic(box, ID, ASKED, None, True)["changed"] is True
    assert not [argv for argv in box.ran if argv[0] == "systemd-run"]


@pytest.mark.parametrize(("counts", "refused"), [([0, 4 * MIB], False), ([0, MIB], True), ([5, 5], True)])
def test_a_load_that_is_none(box: Box, monkeypatch: pytest.MonkeyPatch, counts: list[int], refused: bool) -> None:
    asked = ASKED._replace(kind="under_load", ready=True)
    prepared(box, asked=asked)
    monkeypatch.setattr(steps.time, "sleep", lambda _s: None)
    left_counts = list(counts)
    monkeypatch.setattr(steps, "traffic", lambda *_args: left_counts.pop(0))
    if not refused:
        assert steps.panic(box, ID, asked, None, False)["changed"] is True
        return
    with pytest.raises(steps.Refused, match="a second, and at least 1 MiB is wanted"):
        steps.panic(box, ID, asked, None, False)


# --- reading ----------------------------------------------------------------------------------------------------------

PROVED: dict[str, t.Any] = {
    "file": "/x/dump",
    "opened": True,
    "problems": [],
    "dump": {"size_bytes": 34 * MIB, "crash_time": int(NOW) + 9},
    "dmesg": {"panic": "Kernel panic - not syncing: sysrq triggered crash", "sysrq": True},
    "crash": {"exposed": []},
}
CAPTURED = {
    "schema": 1,
    "drill_id": ID,
    "seconds": 21,
    "total_bytes": 220 * MIB,
    "lowest_available_bytes": 90 * MIB,
    "lowest_at_s": 14,
    "oom_kills": 0,
}


@pytest.fixture
def panicked(box: Box, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """After a drill: another boot, a new crash directory, a record of the capture kernel."""
    prepared(box)
    box.boot = NEW
    (tmp_path / "crash/202611231305").mkdir(parents=True)
    (tmp_path / "var/lib/crashready/capture.json").write_text(json.dumps(CAPTURED))
    monkeypatch.setattr(steps, "prove_dump", lambda *_args: dict(PROVED))
    return box


def test_read_records_a_proof_and_leaves_nothing_else(panicked: Box, tmp_path: pathlib.Path) -> None:
    result = steps.read(panicked, None, False)
    assert (result["proven"], result["reasons"]) == (True, [])
    assert result["record"]["lowest_available_bytes"] == 90 * MIB
    assert result["proposal"]["bytes"] > 0
    assert left(tmp_path) == ["/var/lib/crashready/drill-channels.json", "/var/lib/crashready/proof.json"]
    assert (tmp_path / "var/lib/crashready/proof.json").stat().st_mode & 0o777 == 0o600
    proof, _reason = host_drill.read_proof(panicked)
    assert proof is not None
    assert proof.proven is True
    assert json.dumps(result)


PANIC = "crashready-drill-{0}\n[   98.1] Kernel panic - not syncing: sysrq triggered crash\n".format(ID)


def test_each_channel_is_looked_into(panicked: Box, tmp_path: pathlib.Path) -> None:
    record = tmp_path / "var/lib/systemd/pstore/179543910/dmesg.txt"
    record.parent.mkdir(parents=True)
    record.write_text(PANIC)
    panicked.answers["journalctl"] = Completed(0, PANIC.splitlines()[0], "")
    receiver = {"arrived": True, "panic": True, "where": "192.0.2.7.log"}
    result = steps.read(panicked, None, False, receiver, PANIC)
    found = {each["name"]: each["state"] for each in result["channels"]}
    assert found == dict.fromkeys(("kdump", "pstore", "netconsole", "serial", "journal"), "proven")
    kept = (tmp_path / "var/lib/crashready/drill-channels.json").read_text()
    assert drillchannels.parse_record(kept) == found
    (of_boot,) = [argv for argv in panicked.ran if argv[0] == "journalctl"]
    assert "--boot=" + OLD.replace("-", "") in of_boot


@pytest.mark.parametrize(
    "receiver", [None, {"unreachable": True, "msg": "no route"}, {"failed": True, "arrived": "yes"}, {"arrived": None}]
)
def test_no_channel_makes_a_proven_capture_unproven(panicked: Box, receiver: dict[str, t.Any] | None) -> None:
    panicked.answers["journalctl"] = Completed(1, "", "No journal files were found.")
    result = steps.read(panicked, None, False, receiver, "nothing of a drill")
    assert (result["proven"], result["reasons"]) == (True, [])
    assert {each["state"] for each in result["channels"][1:]} <= {"not proven", "not seen", "not armed"}


def test_an_older_record_of_pstore_is_not_this_drills(panicked: Box, tmp_path: pathlib.Path) -> None:
    record = tmp_path / "sys/fs/pstore/dmesg-efi-1"
    record.parent.mkdir(parents=True)
    record.write_text(PANIC)
    os.utime(record, (NOW - 86400, NOW - 86400))
    found = {each["name"]: each["state"] for each in steps.read(panicked, None, False)["channels"]}
    assert found["pstore"] == "not proven"


def test_the_receiver_is_asked_where_it_runs(box: Box, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "logs"
    assert steps.heard(box, ID, str(folder))["arrived"] is None
    folder.mkdir()
    assert steps.heard(box, ID, str(folder))["arrived"] is False
    (folder / "192.0.2.8.log").write_text(PANIC.replace(ID, "f" * 16))
    (folder / "192.0.2.7.log").write_text("noise\n" * 1000 + PANIC)
    (folder / "link.log").symlink_to(folder / "192.0.2.7.log")
    found = steps.heard(box, ID, str(folder))
    assert (found["arrived"], found["panic"], found["changed"]) == (True, True, False)
    assert "192.0.2.7.log" in found["where"]
    # The panic of an earlier drill in the same file is not this one's.
    (folder / "192.0.2.7.log").write_text(PANIC.replace(ID, "e" * 16) + PANIC.splitlines()[0])
    assert steps.heard(box, ID, str(folder))["panic"] is False


def test_a_drill_of_an_earlier_version_is_read(panicked: Box, tmp_path: pathlib.Path) -> None:
    state = tmp_path / "var/lib/crashready/drill.json"
    before = json.loads(state.read_text())
    del before["channels"]
    state.write_text(json.dumps(before))
    assert steps.read(panicked, None, False)["proven"] is True


def test_read_in_check_mode_leaves_all(panicked: Box, tmp_path: pathlib.Path) -> None:
    before = left(tmp_path)
    assert steps.read(panicked, None, True)["proven"] is True
    assert left(tmp_path) == before


def test_read_says_why_not_and_records_that(panicked: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "dump.202611231305 has 0 bytes: makedumpfile failed in the capture kernel (G1)"
    result = {**PROVED, "opened": False, "problems": [told], "dump": None, "dmesg": None, "file": None}
    monkeypatch.setattr(steps, "prove_dump", lambda *_args: result)
    read = steps.read(panicked, None, False)
    assert read["proven"] is False
    assert told in read["reasons"]
    assert read["proposal"] is None
    proof, _reason = host_drill.read_proof(panicked)
    assert proof is not None
    assert proof.proven is False


def test_no_new_crash_directory(panicked: Box, tmp_path: pathlib.Path) -> None:
    os.rmdir(tmp_path / "crash/202611231305")
    result = steps.read(panicked, None, False)
    assert result["reasons"][0].startswith("no dump: nothing new lies in ")


def test_an_old_crash_directory_is_not_this_drills(box: Box, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "crash/202611200000"
    folder.mkdir(parents=True)
    (folder / "dump.202611200000").write_text("x")
    os.utime(folder / "dump.202611200000", (NOW - 60, NOW - 60))
    prepared(box)
    box.boot = NEW
    assert steps.read(box, None, False)["proven"] is False
    # Of the same minute as the drill (G6): kdump-tools writes into the directory that is there.
    prepared(box)
    box.boot = OLD
    before = host_drill.read_before(box)
    assert before is not None
    assert steps._new_crashes(box, before) == []
    os.utime(folder / "dump.202611200000", (NOW + 60, NOW + 60))
    assert steps._new_crashes(box, before) == [str(folder)]


def test_a_panic_that_never_was_leaves_an_older_proof(panicked: Box, tmp_path: pathlib.Path) -> None:
    steps.read(panicked, None, False)
    panicked.boot = OLD
    prepared(panicked)
    result = steps.read(panicked, None, False)
    assert result["proven"] is False
    assert "did not panic" in result["reasons"][0]
    proof, _reason = host_drill.read_proof(panicked)
    assert proof is not None
    assert proof.proven is True
    kept = tmp_path / "var/lib/crashready/drill-channels.json"
    assert drillchannels.parse_record(kept.read_text())["kdump"] == "proven"
    assert left(tmp_path) == [str(kept)[len(str(tmp_path)) :], "/var/lib/crashready/proof.json"]


def test_a_verdict_that_cannot_be_written_removes_the_older_one(
    panicked: Box, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var/lib/crashready/proof.json").write_text("older")

    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write_file", full)
    result = steps.read(panicked, None, False)
    assert result["proven"] is False
    assert "could not be recorded on the host" in result["reasons"][-1]
    assert left(tmp_path) == []


def test_read_without_a_drill(box: Box) -> None:
    with pytest.raises(Stopped, match="none was begun"):
        steps.read(box, None, False)


def test_a_record_of_another_drill_counts_for_nothing(panicked: Box, tmp_path: pathlib.Path) -> None:
    other = {**CAPTURED, "drill_id": "f" * 16}
    (tmp_path / "var/lib/crashready/capture.json").write_text(json.dumps(other))
    assert steps.read(panicked, None, False)["record"]["lowest_available_bytes"] is None


def test_a_lost_drill_is_resumed(panicked: Box) -> None:
    result = steps.check(panicked, ASKED._replace(consent=None), NOW + 7200)
    assert (result["resume"], result["drill_id"], result["boot_id_before"]) == (True, ID, OLD)


def test_clear(box: Box, tmp_path: pathlib.Path) -> None:
    assert steps.clear(box, False) == {"changed": False, "removed": []}
    prepared(box)
    assert steps.clear(box, True)["changed"] is True
    assert len(left(tmp_path)) == 4
    assert len(steps.clear(box, False)["removed"]) == 4
    assert left(tmp_path) == []
    assert not (tmp_path / "etc/crashready").exists()


def test_peer(box: Box) -> None:
    assert steps.peer(box, NOW) == {"changed": False, "boot_id": OLD, "in_capture": False, "under_way": None}
    prepared(box)
    assert "is under way on it" in steps.peer(box, NOW + 1)["under_way"]
    assert steps.peer(box, NOW + 7200)["under_way"] is None
    box.boot = NEW
    assert steps.peer(box, NOW + 1)["under_way"] is None


# --- a smaller reservation --------------------------------------------------------------------------------------------


@pytest.fixture
def reserved(box: Box, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    size, loaded = tmp_path / "size", tmp_path / "loaded"
    size.write_text("268435456\n")
    loaded.write_text("1\n")
    monkeypatch.setattr(steps, "_CRASH_SIZE", str(size))
    monkeypatch.setattr(steps, "_CRASH_LOADED", str(loaded))
    return size


def test_shrink(box: Box, reserved: pathlib.Path) -> None:
    result = steps.shrink(box, 128 * MIB, False)
    assert result == {"changed": True, "reserved_bytes": 128 * MIB, "before_bytes": 256 * MIB}
    assert [argv for argv in box.ran if argv[0] == "kdump-config"] == [
        ["kdump-config", "unload"],
        ["kdump-config", "load"],
    ]
    assert steps.shrink(box, 128 * MIB, False)["changed"] is False


def test_shrink_in_check_mode(box: Box, reserved: pathlib.Path) -> None:
    assert steps.shrink(box, 128 * MIB, True)["changed"] is True
    assert box.ran == []
    assert reserved.read_text() == "268435456\n"


@pytest.mark.parametrize("size", [0, MIB, 257 * MIB, 1024 * MIB])
def test_a_reservation_only_shrinks(box: Box, reserved: pathlib.Path, size: int) -> None:
    with pytest.raises(Stopped, match="only shrinks"):
        steps.shrink(box, size, False)
    assert box.ran == []


def test_what_does_not_load_is_said(box: Box, reserved: pathlib.Path) -> None:
    (reserved.parent / "loaded").write_text("0\n")
    with pytest.raises(Stopped, match="does not load into that little"):
        steps.shrink(box, 64 * MIB, False)


def test_nothing_is_reserved(box: Box, reserved: pathlib.Path) -> None:
    reserved.write_text("0\n")
    with pytest.raises(Stopped, match="the reservation"):
        steps.shrink(box, 64 * MIB, False)


def test_unreadable_is_told_as_such(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_path: str) -> str:
        raise Unreadable(_path, "not found")

    monkeypatch.setattr(box, "read_line", gone)
    with pytest.raises(Stopped, match="boot id"):
        steps.peer(box, NOW)
