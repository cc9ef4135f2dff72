# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Kernel facts on trees: a Debian 13 server, foreign kernels, containers and garbage."""

from __future__ import annotations

import base64
import json
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host import apt, kernel
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

CASES = pathlib.Path(__file__).resolve().parents[3] / "cases" / "grub"
RELEASE = "6.12.117+deb13-cloud-amd64"
NEWER = "7.3.4+deb13-cloud-amd64"
BUILD_ID = "6ecd6ec21ec69416e50a8aa6737e500901ddb47a"
EFIVARS = "/sys/firmware/efi/efivars/"
SECURE_BOOT = EFIVARS + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# strings of that kernel's image
VERSION = (
    "Linux version 6.12.117+deb13-cloud-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14 "
    "(Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44) #1 SMP PREEMPT_DYNAMIC "
    "Debian 6.12.117-1 (2026-11-12)\n"
)
STATUS = """\
Package: linux-image-6.12.117+deb13-cloud-amd64
Status: install ok installed
Architecture: amd64
Source: linux-signed-amd64 (6.12.117+1)
Version: 6.12.117-1

Package: linux-image-6.12.90+deb13-cloud-amd64
Status: deinstall ok config-files
Architecture: amd64
Version: 6.12.90-1

Package: linux-image-7.3.4+deb13-cloud-amd64
Status: install ok half-configured
Architecture: amd64
Version: 7.3.4-1~bpo13+1

Package: linux-image-cloud-amd64
Status: install ok installed
Architecture: amd64
Version: 6.12.117-1

Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.22.22
"""


def binary(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def server() -> dict[str, t.Any]:
    return {
        "/proc/sys/kernel/osrelease": RELEASE + "\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/sys/kernel/tainted": "12288\n",
        "/proc/version": VERSION,
        "/var/lib/dpkg/status": STATUS,
        "/boot/vmlinuz-" + RELEASE: "",
        "/boot/initrd.img-" + RELEASE: "",
        "/boot/vmlinuz-" + NEWER: "",
        "/boot/vmlinuz-6.18.44-custom": "",
        "/boot/initrd.img-6.18.44-custom": "",
        "/boot/grub/grub.cfg": (CASES / "debian-13.cfg").read_text(),
        "/sys/firmware/acpi/tables/DSDT": "",
        "/sys/firmware/efi/fw_platform_size": "64\n",
        SECURE_BOOT: binary(b"\6\0\0\0\1"),
        "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
        "/sys/kernel/notes": binary(bytes.fromhex("040000001400000003000000474e5500" + BUILD_ID)),
    }


def collect(files: dict[str, t.Any], with_candidates: bool = False, **more: t.Any) -> dict[str, t.Any]:
    facts = kernel.collect_kernel(TreeHost({"files": files, **more}), with_candidates)
    json.dumps(facts)
    return facts


def test_a_server() -> None:
    facts = collect(server())
    assert facts["unread"] == {}
    next_boot = facts.pop("next_boot")
    assert (next_boot["index"], next_boot["release"], next_boot["once"]) == (0, NEWER, False)
    assert facts == {
        "release": RELEASE,
        "machine": "x86_64",
        "package": "linux-image-6.12.117+deb13-cloud-amd64",
        "package_version": "6.12.117-1",
        "upstream_version": "6.12.117",
        "stream": "stable",
        "stream_reason": "the release's own kernel 6.12.117-1",
        "installed": [
            {
                "release": NEWER,
                "package": "linux-image-" + NEWER,
                "package_version": "7.3.4-1~bpo13+1",
                "vmlinuz": True,
                "initrd": False,
            },
            {
                "release": "6.18.44-custom",
                "package": None,
                "package_version": None,
                "vmlinuz": True,
                "initrd": True,
            },
            {
                "release": RELEASE,
                "package": "linux-image-" + RELEASE,
                "package_version": "6.12.117-1",
                "vmlinuz": True,
                "initrd": True,
            },
        ],
        "candidates": None,
        "boot_loader": "grub",
        "firmware_type": "uefi",
        "secure_boot": True,
        "lockdown": "integrity",
        "taint": {
            "value": 12288,
            "flags": [
                "O: an externally built (out-of-tree) module was loaded",
                "E: an unsigned module was loaded",
            ],
        },
        "build_id": BUILD_ID,
        "pin": None,
        "unread": {},
    }


def test_the_running_build_counts_and_not_the_installed_one() -> None:
    files = server()
    files["/var/lib/dpkg/status"] = STATUS.replace("Version: 6.12.117-1", "Version: 6.12.117-2")
    facts = collect(files)
    assert facts["package_version"] == "6.12.117-1"
    assert facts["installed"][2]["package_version"] == "6.12.117-2"


def test_proxmox() -> None:
    files = server()
    files["/proc/sys/kernel/osrelease"] = "6.8.12-30-pve\n"
    files["/proc/version"] = (
        "Linux version 6.8.12-30-pve (build@proxmox) (gcc 12) #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-30 (2026)\n"
    )
    files["/var/lib/dpkg/status"] = (
        "Package: proxmox-kernel-6.8.12-30-pve-signed\nStatus: install ok installed\n"
        "Architecture: amd64\nVersion: 6.8.12-30\n"
    )
    facts = collect(files)
    assert facts["stream"] == "foreign"
    assert facts["package"] == "proxmox-kernel-6.8.12-30-pve-signed"
    assert facts["package_version"] == "6.8.12-30"
    assert facts["upstream_version"] is None
    assert "Proxmox" in facts["unread"]["upstream_version"]


def test_self_built() -> None:
    files = server()
    files["/proc/sys/kernel/osrelease"] = "6.18.44-custom\n"
    files["/proc/version"] = "Linux version 6.18.44-custom (me@here) (gcc 14) #1 SMP Mon Nov 2 10:00:00 UTC 2026\n"
    facts = collect(files)
    assert (facts["stream"], facts["package"], facts["package_version"]) == ("foreign", None, None)
    assert set(facts["unread"]) == {"package", "package_version", "upstream_version"}


def test_a_container_sees_little_and_says_so() -> None:
    # podman: /sys/firmware masked by an empty directory, no /boot, no securityfs
    facts = collect(
        {
            "/proc/sys/kernel/osrelease": RELEASE + "\n",
            "/proc/version": VERSION,
            "/proc/sys/kernel/tainted": "0\n",
            "/var/lib/dpkg/status": "",
        },
        directories=["/sys/firmware"],
    )
    assert facts["package_version"] == "6.12.117-1"
    assert facts["taint"] == {"value": 0, "flags": []}
    assert facts["boot_loader"] == "none"
    for field in ("machine", "package", "installed", "firmware_type", "secure_boot", "lockdown", "build_id"):
        assert facts[field] is None, field
        assert facts["unread"][field], field


def test_nothing_at_all() -> None:
    facts = collect({})
    for field, value in facts.items():
        if field not in ("unread", "candidates", "boot_loader", "next_boot", "stream_reason", "pin"):
            assert value is None, field
            assert facts["unread"][field], field


GARBAGE = {
    "/proc/version": "\x1b[31mhello",
    "/proc/sys/kernel/tainted": "x" * 100_000,
    "/sys/kernel/notes": binary(b"\xff" * 4096),
    "/sys/kernel/security/lockdown": "[[none",
    SECURE_BOOT: binary(b"\6"),
    "/boot/grub/grub.cfg": "}}}",
    "/var/lib/dpkg/status": "Package: linux-image-9-a\n\n" * 20_000,
}


def test_garbage_becomes_null_with_a_reason() -> None:
    facts = collect({**server(), **GARBAGE})
    for field in ("package_version", "stream", "upstream_version", "taint", "build_id", "lockdown", "secure_boot"):
        assert facts[field] is None, field
        assert facts["unread"][field], field
    assert "closing brace" in facts["unread"]["boot_entries"]
    assert not any(ord(sign) < 32 for sign in json.dumps(facts, ensure_ascii=False))


@pytest.mark.parametrize(
    ("change", "firmware", "secure", "reason"),
    [
        ({SECURE_BOOT: binary(b"\6\0\0\0\0")}, "uefi", False, None),
        ({SECURE_BOOT: {"error": "permission denied (not root)"}}, "uefi", None, "permission denied (not root)"),
        ({SECURE_BOOT: None, EFIVARS + "BootOrder-x": ""}, "uefi", False, None),
        ({SECURE_BOOT: None}, "uefi", None, "efivarfs is not mounted"),
        ({SECURE_BOOT: None, "/sys/firmware/efi/fw_platform_size": None}, "bios", False, None),
    ],
)
def test_secure_boot(change: dict[str, t.Any], firmware: str, secure: bool | None, reason: str | None) -> None:
    files = {path: value for path, value in {**server(), **change}.items() if value is not None}
    facts = collect(files)
    assert (facts["firmware_type"], facts["secure_boot"], facts["unread"].get("secure_boot")) == (
        firmware,
        secure,
        reason,
    )


def test_arm_without_uefi_is_no_bios() -> None:
    files = {path: value for path, value in server().items() if "/efi/" not in path}
    files["/proc/sys/kernel/arch"] = "aarch64\n"
    facts = collect(files)
    assert facts["firmware_type"] is None
    assert "aarch64 has no BIOS" in facts["unread"]["firmware_type"]


def test_machine_before_linux_6_1() -> None:
    files = server()
    del files["/proc/sys/kernel/arch"]
    assert collect(files, commands={"uname -m": {"rc": 0, "out": "x86_64\n"}})["machine"] == "x86_64"


# --- candidates

_APT = "apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "
# Debian 12 with security, November 2026.
BOOKWORM = {
    _APT + "pkgnames linux-image-": {
        "out": "linux-image-6.1.0-50-amd64\nlinux-image-6.12-amd64\nlinux-image-cloud-amd64\nlinux-image-amd64\n"
        "linux-image-6.12-cloud-amd64\nlinux-image-amd64-signed-template\n"
    },
    _APT + "policy linux-image-6.12-amd64 linux-image-amd64": {
        "out": """\
linux-image-6.12-amd64:
  Installed: (none)
  Candidate: 6.12.117-1~deb12u1
  Version table:
     6.12.117-1~deb12u1 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
linux-image-amd64:
  Installed: (none)
  Candidate: 6.1.192-2
  Version table:
     6.1.192-2 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
     6.1.176-1 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
"""
    },
}


def test_candidates_per_suite() -> None:
    assert apt.kernel_candidates(TreeHost({"commands": BOOKWORM}), "amd64") == {
        "bookworm-security": [
            {"package": "linux-image-6.12-amd64", "version": "6.12.117-1~deb12u1", "priority": 500, "candidate": True},
            {"package": "linux-image-amd64", "version": "6.1.192-2", "priority": 500, "candidate": True},
        ],
        "bookworm": [{"package": "linux-image-amd64", "version": "6.1.176-1", "priority": 500, "candidate": False}],
    }


def test_candidates_are_those_of_the_running_flavour() -> None:
    commands = {_APT + "pkgnames linux-image-": {"out": "linux-image-cloud-amd64\nlinux-image-amd64\n"}}
    commands[_APT + "policy linux-image-cloud-amd64"] = {"out": "linux-image-cloud-amd64:\n  Installed: (none)\n"}
    assert collect(server(), True, commands=commands)["candidates"] == {}


def test_a_foreign_kernel_gets_the_candidates_of_the_architecture() -> None:
    files = server()
    files["/proc/sys/kernel/osrelease"] = "6.8.12-30-pve\n"
    assert list(collect(files, True, commands=BOOKWORM)["candidates"]) == ["bookworm-security", "bookworm"]


def test_no_apt() -> None:
    facts = collect(server(), True)
    assert facts["candidates"] is None
    assert facts["unread"] == {"candidates": "not found"}
    failing = {_APT + "pkgnames linux-image-": {"rc": 100, "err": "E: The package lists\x1b[0m are damaged\n"}}
    with pytest.raises(Unreadable, match="damaged") as caught:
        apt.kernel_candidates(TreeHost({"commands": failing}), "amd64")
    assert "\x1b" not in caught.value.reason


def test_nothing_offered() -> None:
    commands = {_APT + "pkgnames linux-image-": {"out": ""}}
    assert apt.kernel_candidates(TreeHost({"commands": commands}), "amd64") == {}
