# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which NIC drivers the capture kernel needs for its disks (G25)."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host.storage import (
    collect_storage,
    parse_mountinfo,
    parse_routes,
    route_to,
)
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

PCI = "/sys/devices/pci0000:00"
SDA = PCI + "/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
ISCSI = "/sys/devices/platform/host7/session1/target7:0:0/7:0:0:0/block/sdb"
# 10.0.0.0/24 over eth1, the rest over eth0; numbers as a little-endian machine prints them.
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
bond0.7\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def root(device: str, source: str, filesystem: str = "ext4", options: str = "rw") -> str:
    return "22 1 {0} / / rw - {1} {2} {3}\n".format(device, filesystem, source, options)


def disk(number: str, path: str, **more: t.Any) -> dict[str, t.Any]:
    name = path.rsplit("/", 1)[-1]
    return {
        path + "/size": "1\n",
        "/sys/dev/block/" + number: {"link": path},
        "/sys/class/block/" + name: {"link": path},
        **more,
    }


NICS = {
    "/sys/class/net/eth0/device/driver/module": {"link": "/sys/module/e1000e"},
    "/sys/class/net/eth1/device/driver/module": {"link": "/sys/module/ixgbe"},
    "/sys/class/net/eth2/device/driver/module": {"link": "/sys/module/ixgbe"},
    "/sys/class/net/bond0/lower_eth1": {"link": "../eth1"},
    "/sys/class/net/bond0/lower_eth2": {"link": "../eth2"},
    "/sys/class/net/bond0.7/lower_bond0": {"link": "../bond0"},
    "/proc/net/route": ROUTES,
}
LOCAL = disk("8:1", SDA + "/sda1", **{SDA + "/sda1/partition": "1\n", SDA + "/size": "1\n"})


def seen(files: dict[str, t.Any]) -> tuple[bool | None, list[str] | None]:
    found = collect_storage(TreeHost({"files": {**NICS, **files}}), "/var/crash")
    return found["network"], found["nic_modules"]


def test_local_disk() -> None:
    assert seen({**LOCAL, "/proc/self/mountinfo": root("8:1", "/dev/sda1")}) == (False, [])


def test_through_lvm_on_crypt_on_raid() -> None:
    virtual = "/sys/devices/virtual/block/"
    files = {
        **LOCAL,
        **disk("253:1", virtual + "dm-1"),
        **disk("253:0", virtual + "dm-0"),
        **disk("9:0", virtual + "md0"),
        virtual + "dm-1/slaves/dm-0": {"link": "../../dm-0"},
        virtual + "dm-0/slaves/md0": {"link": "../../md0"},
        virtual + "md0/slaves/sda1": {"link": SDA + "/sda1"},
        "/sys/class/block/sda1": {"link": SDA + "/sda1"},
        "/proc/self/mountinfo": root("253:1", "/dev/mapper/vg-root"),
    }
    assert seen(files) == (False, [])
    files["/sys/class/block/sdb"] = {"link": ISCSI}
    files[ISCSI + "/size"] = "1\n"
    files[virtual + "md0/slaves/sdb"] = {"link": ISCSI}
    assert seen(files) == (True, None), "one leg across the network, and its target is not told"


def test_iscsi_needs_what_lies_below_the_bond() -> None:
    files = {
        **disk("8:16", ISCSI),
        "/sys/class/iscsi_connection/connection1:0/address": "10.0.0.9\n",
        "/proc/self/mountinfo": root("8:16", "/dev/sdb"),
    }
    assert seen(files) == (True, ["ixgbe"])


def test_nvme_over_tcp_and_local_nvme() -> None:
    path = "/sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1"
    files = {**disk("259:0", path), "/proc/self/mountinfo": root("259:0", "/dev/nvme0n1")}
    files["/sys/class/nvme/nvme0/transport"] = "tcp\n"
    files["/sys/class/nvme/nvme0/address"] = "traddr=192.168.1.4,trsvcid=4420\n"
    assert seen(files) == (True, ["e1000e"])
    files["/sys/class/nvme/nvme0/transport"] = "pcie\n"
    assert seen(files) == (False, [])
    del files["/sys/class/nvme/nvme0/transport"]
    assert seen(files) == (None, None)


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (root("0:40", "10.0.0.9:/root", "nfs4", "rw,vers=4.2,addr=10.0.0.9"), (True, ["ixgbe"])),
        (root("0:40", "srv:/root", "nfs", "rw,addr=fe80::1"), (True, None)),
        (root("0:40", "srv:/root", "ceph", "rw"), (True, None)),
        (root("0:31", "/dev/sda1", "btrfs"), (False, [])),
        # its disks cannot be followed: a driver too many costs memory, one too few the dump
        (root("0:31", "rpool/ROOT", "zfs"), (None, None)),
        (root("0:31", "overlay", "overlay"), (False, [])),
    ],
)
def test_filesystems(mount: str, expected: tuple[bool | None, list[str] | None]) -> None:
    files = {**LOCAL, "/sys/class/block/sda1": {"link": SDA + "/sda1"}, "/dev/sda1": "", "/proc/self/mountinfo": mount}
    assert seen(files) == expected


def test_every_member_of_a_btrfs_is_followed() -> None:
    """The mount names one member; a mirror's other half may lie across the network."""
    uuid = "/sys/fs/btrfs/b10b02a5-f9de-4276-b9e8-2bfd09a578a8/devices/"
    files = {
        **LOCAL,
        **disk("8:16", ISCSI),
        "/sys/class/block/sda1": {"link": SDA + "/sda1"},
        "/sys/class/iscsi_connection/connection1:0/address": "10.0.0.9\n",
        "/dev/sda1": "",
        "/proc/self/mountinfo": root("0:31", "/dev/sda1", "btrfs"),
        "/sys/fs/btrfs/features/raid1c34": "0\n",
        uuid + "sda1": {"link": SDA + "/sda1"},
    }
    assert seen(files) == (False, [])
    files[uuid + "sdb"] = {"link": ISCSI}
    assert seen(files) == (True, ["ixgbe"])
    # Another btrfs of the host is not asked about.
    files["/sys/fs/btrfs/00000000-0000-4000-8000-000000000000/devices/sdb"] = files.pop(uuid + "sdb")
    assert seen(files) == (False, [])


def test_crash_folder_alone_on_nfs() -> None:
    mounts = root("8:1", "/dev/sda1") + "30 22 0:40 / /var/crash rw - nfs4 10.0.0.9:/c rw,addr=10.0.0.9\n"
    assert seen({**LOCAL, "/proc/self/mountinfo": mounts}) == (True, ["ixgbe"])


def test_not_seen_is_not_local() -> None:
    assert seen({}) == (None, None)


def test_mountinfo_is_read_with_its_escapes_and_without_its_rubbish() -> None:
    text = "36 35 98:0 / /mnt/with\\040blank rw,noatime master:1 - ext3 /dev/x\\011y rw,errors=continue\nrubbish\n - \n"
    mounts = parse_mountinfo(text)
    assert list(mounts) == ["/mnt/with blank"]
    assert mounts["/mnt/with blank"].source == "/dev/x\ty"


@pytest.mark.parametrize(
    ("target", "expected"),
    [("10.0.0.9", "bond0.7"), ("192.168.1.4", "eth0"), ("fe80::1", None), ("rubbish", None)],
)
def test_longest_route_wins(target: str, expected: str | None) -> None:
    assert route_to(parse_routes(ROUTES), target) == expected
    assert route_to(parse_routes("Iface\nx\tzz\n"), target) is None
