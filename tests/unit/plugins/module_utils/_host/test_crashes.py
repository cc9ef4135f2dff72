# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What lies in the crash folder."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host import crashes
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import (
    elf_parts,
    kdump,
    note,
    plain,
)

BUILD_ID = "eb4fbcd037e7253717950bf2b93bd5566f47c56f"
LOG = (
    "[    2.8] drill-7f3a\n"
    "[    3.8] sysrq: Trigger a crash\n"
    "[    3.9] Kernel panic - not syncing: sysrq triggered crash\n"
)


def binary(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def tree(files: dict[str, t.Any], stat: dict[str, t.Any] | None = None, hostname: str = "db1\n") -> TreeHost:
    """A host with a crash folder; modes are as they should be unless told."""
    full = {"/var/crash/" + name: entry for name, entry in files.items()}
    modes: dict[str, t.Any] = {"/var/crash/" + name: {"mode": "0600"} for name in files}
    modes.update({"/var/crash/" + name.split("/")[0]: {"mode": "0700"} for name in files if "/" in name})
    for name, told in (stat or {}).items():
        modes.setdefault("/var/crash/" + name, {}).update(told)
    full["/proc/sys/kernel/hostname"] = hostname
    return TreeHost({"files": full, "directories": ["/var/crash"], "stat": modes})


def only(host: TreeHost, build_id: str | None = BUILD_ID) -> dict[str, t.Any]:
    found = crashes.collect_crashes(host, running_build_id=build_id)
    assert len(found) == 1
    assert json.loads(json.dumps(found)) == found
    return found[0]


S = "202611231305"
GOOD = {S + "/dump." + S: binary(kdump()), S + "/dmesg." + S: LOG}


def test_a_good_one() -> None:
    entry = only(tree(GOOD))
    assert (entry["valid"], entry["reason"], entry["exposed"], entry["unread"]) == (True, None, [], {})
    assert (entry["stamp"], entry["host"], entry["mode"], entry["uid"]) == (S, None, "0700", 0)
    assert (entry["of_running_kernel"], entry["foreign"]) == (True, False)
    assert entry["dump"]["path"] == "/var/crash/{0}/dump.{0}".format(S)
    assert entry["dump"]["build_id"] == BUILD_ID
    assert entry["dmesg"]["panic"] == "Kernel panic - not syncing: sysrq triggered crash"
    assert entry["dmesg"]["sysrq"] is True
    assert entry["files"][1] == {
        "name": "dump." + S,
        "kind": "dump",
        "size_bytes": len(kdump()),
        "mode": "0600",
        "uid": 0,
    }


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({S + "/dump." + S: ""}, "dump.{0} has 0 bytes: makedumpfile failed in the capture kernel (G1)".format(S)),
        ({S + "/dump." + S: binary(kdump()[:9000])}, "truncated"),
        ({S + "/dump." + S: binary(kdump()[:-16])}, "without the end flag"),
        ({S + "/dump." + S: binary(kdump(False, status=9))}, "makedumpfile marked it as incomplete"),
        ({S + "/dump." + S: binary(kdump(vmcoreinfo=None))}, "VMCOREINFO could not be read: the dump has none"),
        ({S + "/dump." + S: "no dump at all"}, "no known dump format"),
        ({S + "/dump.{0}.gz".format(S): binary(b"\x1f\x8b" + bytes(50))}, "compressed with gzip: not looked into"),
        ({S + "/dump-incomplete": binary(kdump())}, "dump-incomplete is what a failed capture left (G7)"),
        (
            {S + "/vmcore-incomplete": binary(plain(elf_parts()))},
            "vmcore-incomplete is what a failed capture left (G7)",
        ),
        ({S + "/dmesg." + S: LOG}, "no dump file"),
        ({S + "/README": "x"}, "no dump file"),
        ({S + "/dump." + S: {"link": "/etc/passwd"}}, "no dump file"),
    ],
)
def test_not_valid(files: dict[str, t.Any], reason: str) -> None:
    entry = only(tree(files))
    assert entry["valid"] is False
    assert reason in entry["reason"]


def test_dump_that_cannot_be_read() -> None:
    host = tree({S + "/dump." + S: {"error": "input/output error"}}, {S + "/dump." + S: {"size": 9000}})
    entry = only(host)
    assert (entry["valid"], entry["reason"]) == (False, "unreadable: input/output error")
    assert entry["unread"]["dump"] == "input/output error"


def test_a_plain_vmcore_is_valid_and_names_no_host() -> None:
    entry = only(tree({S + "/vmcore." + S: binary(plain(elf_parts()))}))
    assert entry["valid"] is True
    assert entry["foreign"] is None
    assert entry["unread"]["foreign"] == "the dump names no host"


def test_the_finished_dump_counts_beside_what_a_failure_left() -> None:
    files = {**GOOD, S + "/dump-incomplete": "x", S + "/vmcore-incomplete": "x"}
    assert only(tree(files))["valid"] is True


@pytest.mark.parametrize(
    ("hostname", "nodename", "foreign"),
    [
        ("db1\n", "db1", False),
        ("db1\n", "db1.example.org", False),
        ("DB1.example.org\n", "db1", False),
        ("db2\n", "db1", True),
    ],
)
def test_foreign(hostname: str, nodename: str, foreign: bool) -> None:
    names = ("Linux", nodename, "6.1.0-56-amd64", "#1", "x86_64", "")
    entry = only(tree({S + "/dump." + S: binary(kdump(names=names))}, hostname=hostname))
    assert entry["foreign"] is foreign
    assert entry["valid"] is not foreign
    assert entry["reason"] == ("foreign: it is the memory of 'db1'" if foreign else None)


@pytest.mark.parametrize("name", ["", "/dump." + S])
def test_a_dump_that_is_not_roots_is_not_believed(name: str) -> None:
    entry = only(tree(GOOD, {S + name: {"uid": 1000}}))
    assert entry["valid"] is False
    assert "belongs to uid 1000, not to root" in entry["reason"]


def test_what_others_may_read_is_told() -> None:
    # As kdump-tools leaves it (G5).
    entry = only(tree(GOOD, {S: {"mode": "0755"}, S + "/dump." + S: {"mode": "0644"}}))
    assert entry["valid"] is True
    assert entry["exposed"] == [
        "/var/crash/{0} (mode 0755, wider than 0700)".format(S),
        "/var/crash/{0}/dump.{0} (mode 0644, wider than 0600)".format(S),
    ]


@pytest.mark.parametrize(
    ("build_id", "same"), [(BUILD_ID, True), (BUILD_ID.upper(), True), ("ab" * 20, False), (None, None)]
)
def test_build_id_of_the_running_kernel(build_id: str | None, same: bool | None) -> None:
    entry = only(tree(GOOD), build_id)
    assert entry["of_running_kernel"] is same
    assert entry["valid"] is True
    assert ("of_running_kernel" in entry["unread"]) is (same is None)


def test_newest_first_within_the_limit_and_nothing_else() -> None:
    files: dict[str, t.Any] = {
        "202611231305/dmesg.202611231305": LOG,
        "10.0.0.7-202611231306/dmesg.202611231306": LOG,
        "db1-202611231307/dmesg.202611231307": LOG,
        "202611231304/dmesg.202611231304": LOG,
        "kexec_cmd": "x",
        "202611231308": "a file",
        "202611231309": {"link": "/etc"},
        "20261123130/x": "x",
        "202611231310\n/dmesg.202611231310": LOG,
        "\x1b[2J-202611231311/dmesg.202611231311": LOG,
        ".crashready-open-abc/core": "x",
    }
    found = crashes.collect_crashes(tree(files), limit=3)
    assert [(entry["host"], entry["stamp"]) for entry in found] == [
        ("db1", "202611231307"),
        ("10.0.0.7", "202611231306"),
        (None, "202611231305"),
    ]


def test_no_folder_is_no_crash() -> None:
    assert crashes.collect_crashes(TreeHost({})) == []


def test_folder_that_cannot_be_listed() -> None:
    host = TreeHost({"euid": 1000, "files": {"/var/crash": {"error": "permission denied (not root)"}}})
    with pytest.raises(Unreadable) as caught:
        crashes.collect_crashes(host)
    assert caught.value.reason == "permission denied (not root)"


def test_directory_that_cannot_be_listed() -> None:
    host = TreeHost(
        {
            "files": {"/var/crash/" + S: {"error": "permission denied (not root)"}},
            "stat": {"/var/crash/" + S: {"kind": "directory"}},
        }
    )
    entry = only(host)
    assert (entry["valid"], entry["reason"]) == (False, "unreadable: permission denied (not root)")
    assert entry["unread"]["files"] == "permission denied (not root)"


def test_folder_behind_a_link_is_followed_once() -> None:
    files = {"/srv/crash/{0}/dmesg.{0}".format(S): LOG, "/var/crash": {"link": "/srv/crash"}}
    assert [entry["path"] for entry in crashes.collect_crashes(TreeHost({"files": files}))] == ["/srv/crash/" + S]


def test_a_full_directory_cannot_hide_the_dump() -> None:
    files = {S + "/a{0:03d}".format(number): "x" for number in range(100)}
    entry = only(tree({**files, **GOOD}))
    assert entry["valid"] is True
    assert len(entry["files"]) == 64
    assert entry["unread"]["files"] == "64 of 102 files are listed"


def test_dmesg_without_panic() -> None:
    entry = only(tree({**GOOD, S + "/dmesg." + S: "[ 1.0] hello\n"}))
    assert entry["dmesg"]["panic"] is None
    assert entry["dmesg"]["unread"]["panic"] == "no panic line in it"


def test_running_build_id() -> None:
    notes = note(b"Xen", 6, b"linux") + note(b"GNU", 3, bytes.fromhex(BUILD_ID))
    assert crashes.running_build_id(TreeHost({"files": {"/sys/kernel/notes": binary(notes)}})) == BUILD_ID
    assert crashes.running_build_id(TreeHost({"files": {"/sys/kernel/notes": "garbage"}})) is None
    assert crashes.running_build_id(TreeHost({})) is None


def test_names_are_made_fit_to_show() -> None:
    entry = only(tree({**GOOD, S + "/a\x1b[2J\nb": "x", S + "/dump." + S + "\n": "x"}))
    assert [item["name"] for item in entry["files"] if item["kind"] == "other"] == ["a [2J b", "dump." + S]
    assert entry["valid"] is True
