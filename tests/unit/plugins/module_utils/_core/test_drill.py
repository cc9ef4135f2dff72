# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Who may be drilled, and what proves a capture."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drill
from ansible_collections.rackops.crashready.plugins.module_utils._core.drillrecord import (
    Before,
    CaptureRecord,
    Identity,
    marker,
)

MIB = 1024 * 1024
OLD, NEW = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
IDENTITY = Identity("6.1.0-56-amd64", "6.1.192-2", "a" * 64, 256 * MIB, "b" * 64)
BEFORE = Before("0123456789abcdef", "sysrq", OLD, 1795439100.0, "c" * 40, "/var/crash", (), IDENTITY)
WELL: dict[str, t.Any] = {
    "euid": 0,
    "boot_id": OLD,
    "applicable": True,
    "applicable_reason": None,
    "armed": True,
    "problems": [],
    "state": None,
    "state_refused": None,
    "arrays": [],
    "damaged": [],
    "dirty_bytes": 4096,
    "sync_failed": None,
    "busy_packages": [],
    "dpkg_interrupted": None,
    "unknown_nmi_panic": True,
    "lkdtm": False,
    "unread": {},
}
ASKED = drill.Asked("store1", consent="store1")
NOW = BEFORE.began_s + 60
PROBLEM = {"id": "space", "severity": "error", "message": "not even a small dump fits", "remedy": "free", "gap": "G7"}


def blockers(seen: dict[str, t.Any], asked: drill.Asked = ASKED) -> list[str]:
    found = drill.find_blockers({**WELL, **seen}, asked, NOW)
    assert all(problem.message and problem.remedy for problem in found)
    return [problem.id for problem in found]


def test_a_host_that_is_well_may_go() -> None:
    assert blockers({}) == []
    assert blockers({}, ASKED._replace(group="pair", members={"store2": None})) == []


@pytest.mark.parametrize(
    ("seen", "asked", "expected"),
    [
        ({}, {"consent": None}, ["no_consent"]),
        ({}, {"consent": ""}, ["no_consent"]),
        ({}, {"consent": "store2"}, ["no_consent"]),
        ({}, {"consent": "all"}, ["no_consent"]),
        ({}, {"consent": "True"}, ["no_consent"]),
        ({"euid": 1000}, {}, ["root"]),
        ({"applicable": False, "applicable_reason": "a container", "armed": None}, {}, ["container"]),
        ({}, {"controller_boot_id": OLD}, ["controller"]),
        ({}, {"controller_boot_id": NEW}, []),
        ({"boot_id": None}, {"controller_boot_id": OLD}, ["boot_id"]),
        ({"armed": False}, {}, ["not_armed"]),
        ({"armed": None}, {}, ["not_armed"]),
        ({"problems": [PROBLEM]}, {}, ["space"]),
        ({"problems": [{**PROBLEM, "severity": "warning"}]}, {}, []),
        ({"armed": False, "problems": [{**PROBLEM, "id": "not_armed"}]}, {}, ["not_armed"]),
        ({"state": BEFORE}, {}, ["under_way"]),
        ({"state": BEFORE._replace(boot_id=NEW)}, {}, []),
        ({"state": BEFORE._replace(began_s=NOW - drill.STALE_S)}, {}, []),
        ({"state": BEFORE._replace(began_s=NOW + 5)}, {}, []),
        ({"state_refused": "not JSON"}, {}, ["state"]),
        ({}, {"group": "pair"}, ["alone"]),
        ({}, {"group": "pair", "members": {"a": "no answer", "b": None, "c": "x"}}, ["member_down", "member_down"]),
        ({}, {"members": {"a": "no answer"}}, []),
        ({"arrays": [("md0", "in recovery (12.6%)")]}, {}, ["raid"]),
        ({"damaged": ["sda1"]}, {}, ["filesystem"]),
        ({"dirty_bytes": drill.DIRTY_LIMIT + 1}, {}, ["dirty"]),
        ({"dirty_bytes": drill.DIRTY_LIMIT}, {}, []),
        ({"dirty_bytes": None}, {}, ["dirty"]),
        ({"sync_failed": "timed out after 300 s"}, {}, ["sync"]),
        ({"busy_packages": ["apt-get"]}, {}, ["dpkg_running"]),
        ({"dpkg_interrupted": "linux-image-amd64 (half-configured)"}, {}, ["dpkg_interrupted"]),
        ({}, {"kind": "nmi"}, ["nmi"]),
        ({}, {"kind": "nmi", "ready": True}, []),
        ({"unknown_nmi_panic": False}, {"kind": "nmi", "ready": True}, ["nmi"]),
        ({}, {"kind": "softirq"}, ["softirq"]),
        ({"lkdtm": True}, {"kind": "softirq"}, []),
        ({}, {"kind": "under_load"}, ["under_load"]),
        ({}, {"kind": "under_load", "ready": True}, []),
    ],
)
def test_reasons_against(seen: dict[str, t.Any], asked: dict[str, t.Any], expected: list[str]) -> None:
    assert blockers(seen, ASKED._replace(**asked)) == expected


def test_every_reason_is_told_at_once() -> None:
    found = blockers({"armed": False, "damaged": ["sda1"], "busy_packages": ["dpkg"]}, ASKED._replace(consent=None))
    assert found == ["no_consent", "not_armed", "filesystem", "dpkg_running"]


def test_names_that_are_no_hosts() -> None:
    found = drill.strangers(["store1", "all", "st*", "\x1b[31m"], {"store1", "store2"})
    assert [problem.id for problem in found] == ["not_in_inventory"] * 3
    assert "\x1b" not in found[2].message


# md_seq_show of drivers/md/md.c; the figures are of a real rebuild and a real scrub.
MDSTAT = """Personalities : [raid1] [raid6] [raid5] [raid4]
md1 : active raid1 sdb2[1] sda2[0]
      976630464 blocks super 1.2 [2/2] [UU]
      bitmap: 2/8 pages [8KB], 65536KB chunk

{0}
unused devices: <none>
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("md0 : active raid1 sdb1[1] sda1[0]\n      523264 blocks super 1.2 [2/2] [UU]\n", []),
        ("md0 : active raid1 sda1[0]\n      523264 blocks super 1.2 [2/1] [U_]\n", [("md0", "degraded [U_]")]),
        (
            "md0 : active raid5 sdd1[3] sdc1[1]\n      1 blocks level 5, 64k chunk, algorithm 2 [3/2] [UU_]\n"
            "      [==>..................]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec\n",
            [("md0", "degraded [UU_]"), ("md0", "in recovery (12.6%)")],
        ),
        (
            "md127 : active raid1 sdb1[1] sda1[0]\n      1 blocks [2/2] [UU]\n"
            "      [>....................]  check =  0.9% (9/976) finish=80min speed=200K/sec\n",
            [("md127", "in check (0.9%)")],
        ),
        (
            "md2 : active raid1 sdb1[1] sda1[0]\n      1 blocks [2/2] [UU]\n      \tresync=DELAYED\n",
            [("md2", "in resync (DELAYED)")],
        ),
    ],
)
def test_raid_at_work(text: str, expected: list[tuple[str, str]]) -> None:
    assert drill.busy_arrays(MDSTAT.format(text)) == expected


# --- the verdict ------------------------------------------------------------------------------------------------------

SYSRQ = {"panic": "Kernel panic - not syncing: sysrq triggered crash", "sysrq": True}
OPENED: dict[str, t.Any] = {
    "file": "/var/crash/202611231305/dump.202611231305",
    "opened": True,
    "problems": [],
    "dump": {"size_bytes": 34 * MIB, "crash_time": 1795439109, "build_id": "c" * 40},
    "dmesg": {**SYSRQ, "markers": {marker(BEFORE.drill_id): True}},
    "crash": {"exposed": ["dump.202611231305 (mode 0644, wider than 0600)"]},
}
RECORD = CaptureRecord(BEFORE.drill_id, 21, 220 * MIB, 90 * MIB, 14, 0)
FOUND = drill.Found(NEW, OPENED, True, 0, RECORD, None, 1795439131.0, 1800)


def test_a_good_drill_is_proven() -> None:
    assert drill.judge(BEFORE, FOUND) == []
    proof = drill.make_proof(BEFORE, FOUND, [])
    assert (proof.proven, proof.reasons, proof.identity) == (True, (), IDENTITY)
    assert (proof.dump_bytes, proof.seconds, proof.lowest_available_bytes) == (34 * MIB, 21, 90 * MIB)
    assert proof.when_s == 1795439109


def test_without_the_recorder_it_is_proven_and_measured_by_clocks() -> None:
    found = FOUND._replace(capture=None, capture_unread="it wrote none")
    assert drill.judge(BEFORE, found) == []
    proof = drill.make_proof(BEFORE, found, [])
    assert (proof.seconds, proof.lowest_available_bytes) == (22, None)
    # A clock that was set in between measures nothing.
    assert drill.make_proof(BEFORE, found._replace(dump_mtime_s=5.0), []).seconds is None


def opened(**changed: t.Any) -> dict[str, t.Any]:
    return {**OPENED, **changed}


@pytest.mark.parametrize(
    ("before", "found", "told"),
    [
        ({}, {"boot_id": OLD}, "the host did not panic"),
        ({}, {"opened": None}, "no dump: nothing new lies in /var/crash. the capture kernel was last seen 21 s"),
        ({}, {"opened": None, "capture": None, "capture_unread": "it wrote none"}, "left no word of itself"),
        (
            {},
            {"opened": opened(opened=False, problems=["dump.1 has 0 bytes: makedumpfile failed (G1)"])},
            "0 bytes: makedumpfile failed (G1)",
        ),
        ({}, {"opened": opened(opened=False, problems=[])}, "the dump was not opened"),
        ({"kind": "nmi"}, {}, "another panic than the drill's (nmi)"),
        ({"kind": "softirq"}, {}, "another panic than the drill's (softirq)"),
        ({}, {"opened": opened(dmesg={**SYSRQ, "sysrq": False})}, "another panic than the drill's (sysrq)"),
        ({}, {"folder_closed": False}, "others than root can read it"),
        ({}, {"dump_uid": 33}, "belongs to uid 33"),
        (
            {},
            {"opened": None, "capture": RECORD._replace(seconds=1799)},
            "did not end within its time limit of 1800 s and was reset (G26)",
        ),
        (
            {},
            {"opened": None, "capture": RECORD._replace(oom_kills=3)},
            "killed 3 processes for want of memory: the reservation is too small (G15)",
        ),
        (
            {},
            {"opened": None, "capture": RECORD._replace(lowest_available_bytes=2 * MIB)},
            "2 MiB left at its fullest (14 s after its start): the reservation is too small (G15)",
        ),
    ],
)
def test_not_proven(before: dict[str, t.Any], found: dict[str, t.Any], told: str) -> None:
    reasons = drill.judge(BEFORE._replace(**before), FOUND._replace(**found))
    assert told in "; ".join(reasons)
    assert drill.make_proof(BEFORE, FOUND._replace(**found), reasons).proven is False


@pytest.mark.parametrize(
    ("kind", "dmesg"),
    [
        ("under_load", SYSRQ),
        ("nmi", {"panic": "Kernel panic - not syncing: NMI: Not continuing", "sysrq": False}),
        ("softirq", {"panic": "Kernel panic - not syncing: dumptest", "sysrq": False}),
    ],
)
def test_each_kind_has_its_own_panic(kind: str, dmesg: dict[str, t.Any]) -> None:
    assert drill.judge(BEFORE._replace(kind=kind), FOUND._replace(opened=opened(dmesg=dmesg))) == []


def test_a_closed_folder_covers_what_a_dump_would_give_away() -> None:
    """kdump-tools makes dumps 0644 (G5); the crash folder of the role is 0700."""
    assert drill.judge(BEFORE, FOUND) == []
    assert drill.judge(BEFORE, FOUND._replace(folder_closed=False)) != []
    assert drill.judge(BEFORE, FOUND._replace(folder_closed=False, opened=opened(crash={"exposed": []}))) == []
