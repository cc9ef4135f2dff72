# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The recorded machine answers as a live one would."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed, Space, Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

MANIFEST = {
    "source": "made by hand",
    "euid": 1000,
    "files": {
        "/etc/hostname": "box\n",
        "/etc/alias": {"link": "hostname"},
        "/etc/up": {"link": "../../../../etc/alias"},
        "/etc/loop": {"link": "loop2"},
        "/etc/loop2": {"link": "/etc/loop"},
        "/etc/dangling": {"link": "nothing"},
        "/data/raw": {"base64": base64.b64encode(bytes(range(256))).decode()},
        "/data/secret": {"error": "permission denied (not root)"},
        "/closed": {"error": "permission denied (not root)"},
        "/closed/inside": "seen by its own path\n",
        "/sys/class/net/eth0": {"link": "../../devices/eth0"},
        "/sys/devices/eth0/speed": {"error": "invalid argument"},
    },
    "directories": ["/var/crash"],
    "stat": {"/etc/hostname": {"mode": "0600", "uid": 5, "mtime": 1.5}, "/var/crash": {"mode": 448}},
    "commands": {
        "uname -r": {"out": "6.1.0-56-amd64\n"},
        "false": {"rc": 1, "err": "no\n"},
        "slow": {"error": "timed out"},
    },
    "ethtool": {"eth0": {"driver": "ixgbe", "firmware": "0x61c10001"}, "eth1": {"error": "not found"}},
    "channels": {"eth0": {"combined": 4}},
    "space": {"/": [100, 10], "/var": [200, 20]},
}


@pytest.fixture
def host():
    return TreeHost(MANIFEST)


@pytest.mark.parametrize("path", ["/etc/hostname", "/etc/alias", "/etc/up", "/etc/../etc//./alias", "etc/hostname"])
def test_links_and_odd_paths_lead_to_the_file(host, path):
    assert host.read(path) == "box\n"
    assert host.realpath(path) == "/etc/hostname"
    assert host.exists(path)


def test_reads_are_bounded(host):
    assert host.read_bytes("/data/raw", limit=3, offset=2) == b"\x02\x03\x04"
    assert host.read_bytes("/data/raw", offset=300) == b""


UNREADABLE = [
    ("read_bytes", "/nothing", "not found"),
    ("read_bytes", "/etc", "is a directory"),
    ("read_bytes", "/etc/hostname/x", "not a directory"),
    ("read_bytes", "/etc/loop", "too many symbolic links"),
    ("read_bytes", "/etc/loop/x", "too many symbolic links"),
    ("lstat", "/etc/loop/x", "too many symbolic links"),
    ("read_bytes", "/etc/dangling", "not found"),
    ("read_bytes", "/data/secret", "permission denied (not root)"),
    ("read_bytes", "/closed/unknown", "permission denied (not root)"),
    ("read_bytes", "/sys/class/net/eth0/speed", "invalid argument"),
    ("listdir", "/closed", "permission denied (not root)"),
    ("listdir", "/etc/hostname", "not a directory"),
    ("listdir", "/nothing", "not found"),
    ("readlink", "/etc/hostname", "not a symbolic link"),
    ("readlink", "/nothing", "not found"),
    ("lstat", "/nothing", "not found"),
    ("driver_info", "eth1", "not found"),
    ("driver_info", "eth9", "not found"),
    ("channels", "eth1", "not found"),
]


@pytest.mark.parametrize(("method", "path", "reason"), UNREADABLE)
def test_reasons(host, method, path, reason):
    with pytest.raises(Unreadable) as caught:
        getattr(host, method)(path)
    assert (caught.value.path, caught.value.reason) == (path, reason)


def test_directories_are_implied_and_sorted(host):
    assert host.listdir("/") == ["closed", "data", "etc", "sys", "var"]
    assert host.listdir("/var") == ["crash"]
    assert host.listdir("/var/crash") == []
    assert host.listdir("/sys/class/net/eth0") == ["speed"]


def test_status(host):
    told = host.lstat("/etc/hostname")
    assert (told.kind, told.mode, told.uid, told.size, told.mtime) == ("file", 0o600, 5, 4, 1.5)
    assert host.lstat("/var/crash")[:2] == ("directory", 0o700)
    assert host.lstat("/etc/alias")[:2] == ("link", 0o777)
    assert host.lstat("/etc/alias").size == len("hostname")
    assert host.lstat("/sys/class/net/eth0/speed").kind == "file"


def test_a_link_that_leads_nowhere_is_there_and_does_not_exist(host):
    assert host.lstat("/etc/dangling").kind == "link"
    assert not host.exists("/etc/dangling")
    assert not host.exists("/etc/loop")


def test_commands(host):
    assert host.run(["uname", "-r"]) == Completed(0, "6.1.0-56-amd64\n", "")
    assert host.run(["false"]) == Completed(1, "", "no\n")
    for argv, reason in ((["slow"], "timed out"), (["other"], "not found")):
        with pytest.raises(Unreadable) as caught:
            host.run(argv)
        assert (caught.value.path, caught.value.reason) == (argv[0], reason)


def test_ethtool(host):
    assert host.driver_info("eth0") == ("ixgbe", "", "0x61c10001", "")
    assert host.channels("eth0") == {"rx": 0, "tx": 0, "other": 0, "combined": 4}


def test_a_present_interface_without_a_recorded_answer_has_a_driver_that_gives_none():
    host = TreeHost({"files": {"/sys/class/net/eth0/speed": "1\n"}})
    with pytest.raises(Unreadable, match="not supported by the driver"):
        host.channels("eth0")


@pytest.mark.parametrize(
    ("path", "space"),
    [("/", (100, 10)), ("/etc/x", (100, 10)), ("/var/crash/not/yet", (200, 20)), ("/varnish", (100, 10))],
)
def test_space_is_that_of_the_nearest_parent(host, path, space):
    assert host.space(path) == Space(*space)


def test_space_that_was_not_recorded():
    with pytest.raises(Unreadable):
        TreeHost({}).space("/var")


@pytest.mark.parametrize(
    "manifest",
    [
        {"fils": {}},
        {"files": {"relative": "x"}},
        {"files": {"/a/../b": "x"}},
        {"files": {"//a": "x"}},
        {"files": {"/a/": "x"}},
        {"files": {"/a": 5}},
        {"files": {"/a": {"link": "b", "error": "c"}}},
        {"files": {"/a": {"lnk": "b"}}},
        {"files": {"/a": {"base64": "%%%"}}},
        {"files": {"/a": {"base64": 5}}},
        {"files": {"/a": "x", "/a/b": "y"}},
        {"files": {"/a": {"link": "b"}, "/a/b": "y"}},
        {"files": {"/a": "x"}, "directories": ["/a"]},
        {"space": {"var": [1, 2]}},
    ],
)
def test_a_malformed_manifest_is_refused(manifest):
    with pytest.raises(ParseError):
        TreeHost(manifest)


def test_euid(host):
    assert host.euid == 1000
    assert TreeHost({}).euid == 0
