# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a drill sees of a host, on recorded trees."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillrecord, kdump
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._host import drill
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.tests.unit import seen

MIB = 1024 * 1024
BOOT = "00000000-0000-4000-8000-000000000001"
IDENTITY = drillrecord.Identity("6.1.0-56-amd64", None, "a" * 64, 256 * MIB, "b" * 64)
BEFORE = drillrecord.Before("0123456789abcdef", "sysrq", BOOT, 1.5, None, "/var/crash", (), IDENTITY)
FILES: dict[str, t.Any] = {
    "/proc/sys/kernel/random/boot_id": BOOT + "\n",
    "/proc/sys/kernel/unknown_nmi_panic": "0\n",
    "/proc/meminfo": "MemTotal:  1800000 kB\nDirty:   120 kB\nWriteback:     8 kB\nWritebackTmp:  99 kB\n",
    "/proc/1/comm": "systemd\n",
    "/var/lib/dpkg/status": "Package: kexec-tools\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
}
CLOSED = {drillrecord.FOLDER: {"mode": "0700"}, drillrecord.STATE_PATH: {"mode": "0600"}}


def host(files: dict[str, t.Any] | None = None, **more: t.Any) -> TreeHost:
    return TreeHost({"files": {**FILES, **(files or {})}, "stat": CLOSED, **more})


def look(files: dict[str, t.Any] | None = None, **more: t.Any) -> dict[str, t.Any]:
    return drill.see_drill(host(files, **more), seen.armed(), [])


def test_a_host_that_is_well() -> None:
    found = look()
    assert found["boot_id"] == BOOT
    assert found["dirty_bytes"] == 128 * 1024
    assert (found["arrays"], found["damaged"], found["busy_packages"], found["dpkg_interrupted"]) == ([], [], [], None)
    assert (found["state"], found["state_refused"], found["in_capture"]) == (None, None, False)
    assert (found["unknown_nmi_panic"], found["lkdtm"]) == (True, False)


@pytest.mark.parametrize(
    ("files", "field", "expected"),
    [
        ({"/proc/mdstat": "md0 : active raid1 sda1[0]\n 1 blocks [2/1] [U_]\n"}, "arrays", [("md0", "degraded [U_]")]),
        ({"/sys/fs/ext4/sda1/errors_count": "3\n", "/sys/fs/ext4/features/x": ""}, "damaged", ["sda1"]),
        ({"/sys/fs/ext4/sda1/errors_count": "0\n"}, "damaged", []),
        ({"/proc/77/comm": "apt-get\n", "/proc/78/comm": "dpkg\n"}, "busy_packages", ["apt-get", "dpkg"]),
        # unattended-upgrades.service of Debian 12 and 13: there all the time, and doing nothing.
        (
            {
                "/proc/77/comm": "unattended-upgr\n",
                "/proc/77/cmdline": "/usr/bin/python3\0/usr/share/unattended-upgrades/unattended-upgrade-shutdown\0"
                "--wait-for-signal\0",
            },
            "busy_packages",
            [],
        ),
        (
            {
                "/proc/77/comm": "unattended-upgr\n",
                "/proc/77/cmdline": "/usr/bin/python3\0/usr/bin/unattended-upgrade\0",
            },
            "busy_packages",
            ["unattended-upgr"],
        ),
        ({"/proc/meminfo": "MemTotal: 1 kB\n"}, "dirty_bytes", None),
        ({"/proc/vmcore": ""}, "in_capture", True),
        ({drillrecord.STATE_PATH: drillrecord.render(BEFORE)}, "state", BEFORE),
        ({drillrecord.STATE_PATH: "{"}, "state", None),
    ],
)
def test_seen(files: dict[str, t.Any], field: str, expected: t.Any) -> None:
    assert look(files)[field] == expected


def test_the_crash_test_module_is_asked_for() -> None:
    assert look(commands={"modinfo -n lkdtm": {"out": "/lib/modules/x/lkdtm.ko\n"}})["lkdtm"] is True
    assert look(commands={"modinfo -n lkdtm": {"rc": 1}})["lkdtm"] is False


@pytest.mark.parametrize(
    "stat",
    [
        {drillrecord.FOLDER: {"mode": "0777"}},
        {drillrecord.FOLDER: {"uid": 33}},
        {drillrecord.FOLDER: {"mode": "0700"}, drillrecord.PROOF_PATH: {"uid": 33}},
        {drillrecord.FOLDER: {"mode": "0700"}, drillrecord.PROOF_PATH: {"mode": "0666"}},
    ],
)
def test_a_proof_that_anybody_could_have_written_is_none(stat: dict[str, t.Any]) -> None:
    proof = drillrecord.Proof("0123456789abcdef", 1.0, "sysrq", True, (), IDENTITY, None, None, None, None, None)
    files = {drillrecord.PROOF_PATH: drillrecord.render(proof)}
    found, reason = drill.read_proof(TreeHost({"files": files, "stat": stat}))
    assert found is None
    assert reason is not None
    assert "not root's alone" in reason
    good = {drillrecord.FOLDER: {"mode": "0700"}, drillrecord.PROOF_PATH: {"mode": "0600"}}
    assert drill.read_proof(TreeHost({"files": files, "stat": good})) == (proof, None)


def test_proof_as_a_user_and_without_one() -> None:
    files = {drillrecord.PROOF_PATH: {"error": "permission denied (not root)"}}
    found, reason = drill.read_proof(TreeHost({"files": files, "euid": 1000}))
    assert found is None
    assert reason is not None
    assert "permission denied" in reason
    assert drill.read_proof(TreeHost({"files": {}})) == (None, None)


def test_capture_record_that_was_cut_is_told() -> None:
    with pytest.raises(ParseError, match=r"capture\.json: not JSON"):
        drill.read_capture(host({drillrecord.CAPTURE_PATH: '{"schema": 1, "sec'}))


@pytest.mark.parametrize("seconds", [60, 1800])
def test_time_limit_of_the_unit_that_the_role_writes(seconds: int) -> None:
    assert drill.deadline_s(host({kdump.DEADLINE_UNIT: kdump.deadline_unit(seconds)})) == seconds
    assert drill.deadline_s(host()) is None


def test_traffic() -> None:
    counters = {"/sys/class/net/eth0/statistics/rx_bytes": "100\n", "/sys/class/net/eth0/statistics/tx_bytes": "20\n"}
    driver = {"/sys/class/net/eth0/device/driver/module": {"link": "/sys/module/ixgbe"}}
    loop = {"/sys/class/net/lo/statistics/rx_bytes": "7\n", "/sys/class/net/lo/statistics/tx_bytes": "7\n"}
    there = host({**counters, **driver, **loop})
    assert drill.traffic(there, None) == 120
    assert drill.traffic(there, "lo") == 14
    with pytest.raises(Unreadable):
        drill.traffic(there, "eth9")


LSINITRAMFS = """drwxr-xr-x   4 root     root            0 Nov 23 13:00 .
lrwxrwxrwx   1 root     root            7 Nov 23 13:00 bin -> usr/bin
-rwxr-xr-x   1 root     root      1024000 Nov 23 13:00 usr/bin/kmod
-rw-r--r--   1 root     root         1000 Nov 23 13:00 etc/fstab
"""
IOMEM = """00100000-7ffdbfff : System RAM
  01000000-020fffff : Kernel code
  02200000-027fffff : Kernel rodata
  02800000-02bfffff : Kernel data
  02e00000-031fffff : Kernel bss
"""


def needs(**files: t.Any) -> t.Any:
    capture = seen.armed()
    initrd = "/var/lib/kdump/initrd.img-" + seen.RELEASE
    capture["initrds"][seen.RELEASE].update(bytes=8 * MIB, path=initrd)
    there = host(
        {
            "/proc/iomem": IOMEM,
            "/proc/modules": "e1000e 300000 0 - Live 0x0\next4 900000 1 - Live 0x0\nmlx5_core 2000000 0 - Live 0x0\n",
            "/sys/devices/system/cpu/online": "0-3,8\n",
            "/sys/class/net/eth0/device/driver/module": {"link": "/sys/module/e1000e"},
            "/sys/class/net/eth1/device/driver/module": {"link": "/sys/module/mlx5_core"},
            "/sys/class/net/eth2/device/driver/module": {"link": "/sys/module/mlx5_core"},
            **files,
        },
        commands={
            "lsinitramfs -l " + initrd: {"out": LSINITRAMFS},
            "cryptsetup luksDump --dump-json-metadata /dev/sda3": {
                "out": json.dumps({"keyslots": {"0": {"kdf": {"type": "argon2id", "memory": 1048576}}}})
            },
        },
        channels={"eth1": {"combined": 63}, "eth2": {"rx": 4, "tx": 8}},
    )
    return drill.see_needs(there, capture)


def test_needs() -> None:
    found = needs()
    assert found.kernel_bytes == (0x1100000 + 0x600000 + 0x400000 + 0x400000)
    assert found.initrd_bytes == 8 * MIB
    assert found.unpacked_bytes == 1025000
    assert found.modules_bytes == 2900000, "e1000e is kept out of the capture kernel"
    assert found.cpus == 5
    assert found.nics == (("mlx5_core", 2, 71),)
    assert found.kdf_bytes == 0


def test_needs_of_an_encrypted_disk() -> None:
    files = {"/sys/block/dm-0/dm/uuid": "CRYPT-LUKS2-0-root\n", "/sys/block/dm-0/slaves/sda3/dev": "8:3\n"}
    assert needs(**files).kdf_bytes == 1024 * MIB
    files["/sys/block/dm-0/slaves/sdz/dev"] = "8:9\n"
    assert needs(**files).kdf_bytes is None, "one that cannot be asked"


@pytest.mark.parametrize(
    ("path", "field"),
    [("/proc/iomem", "kernel_bytes"), ("/proc/modules", "modules_bytes"), ("/sys/devices/system/cpu/online", "cpus")],
)
def test_what_is_not_seen_is_none(path: str, field: str) -> None:
    assert getattr(needs(**{path: {"error": "permission denied (not root)"}}), field) is None


def test_addresses_that_root_alone_sees() -> None:
    assert needs(**{"/proc/iomem": "  00000000-00000000 : Kernel code\n"}).kernel_bytes is None
