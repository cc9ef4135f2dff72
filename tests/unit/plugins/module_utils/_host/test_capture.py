# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Capture facts of a recorded host: armed, and each way in which it looks armed and is not."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillrecord, kdump
from ansible_collections.rackops.crashready.plugins.module_utils._host.capture import collect_capture, see_capture
from ansible_collections.rackops.crashready.plugins.module_utils._host.facts import collect_facts, subsets_of
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

GIB = 1024**3
RELEASE = "6.12.95+deb13-amd64"
KERNEL = {"release": RELEASE, "next_boot": {"release": RELEASE}, "secure_boot": False, "lockdown": "none"}
APPEND = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb panic=10"
GRUB = """set default="0"
### BEGIN /etc/grub.d/10_linux ###
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-0' {{
\tlinux\t/boot/vmlinuz-{0} root=UUID=0 ro crashkernel=256M
\tinitrd\t/boot/initrd.img-{0}
}}
### END /etc/grub.d/10_linux ###
""".format(RELEASE)
STATUS = "\n".join(
    "Package: {0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {1}\n".format(*package)
    for package in (
        ("kdump-tools", "1:1.10.7"),
        ("makedumpfile", "1:1.7.6-1"),
        ("kexec-tools", "1:2.0.29-2"),
        ("initramfs-tools-core", "0.148"),
    )
)
ARMED: dict[str, t.Any] = {
    "source": "written by hand after a trixie guest of the test rack",
    "files": {
        "/etc/os-release": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian 13"\n',
        "/proc/cmdline": "BOOT_IMAGE=/boot/vmlinuz-{0} root=UUID=0 ro crashkernel=256M\n".format(RELEASE),
        "/proc/meminfo": "MemTotal:        1800000 kB\nHugepagesize:       2048 kB\n",
        "/proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
        "/sys/dev/block/8:1": {"link": "/sys/devices/ata1/block/sda/sda1"},
        "/sys/devices/ata1/block/sda/sda1/size": "1\n",
        "/sys/kernel/kexec_crash_loaded": "1\n",
        "/sys/kernel/kexec_crash_size": "268435456\n",
        "/sys/class/net/eth0/device/driver/module": {"link": "/sys/module/ixgbe"},
        "/proc/sys/kernel/kexec_load_disabled": "0\n",
        "/proc/sys/kernel/panic_on_oops": "1\n",
        "/boot/grub/grub.cfg": GRUB,
        "/boot/vmlinuz-" + RELEASE: "",
        "/etc/default/kdump-tools": 'USE_KDUMP=1\nKDUMP_COREDIR="/var/crash"\nKDUMP_CMDLINE_APPEND="{0}"\n'
        'FTP_PASSWORD="s3cret"\n'.format(APPEND),
        "/etc/kdump/sysctl.conf": "vm.nr_hugepages = 0\n",
        "/usr/sbin/mkinitramfs": "",
        "/var/lib/dpkg/status": STATUS,
        "/var/lib/kdump/initrd.img-" + RELEASE: "x",
        "/var/lib/kdump/latest_sysctls-" + RELEASE: "vm.nr_hugepages = 0\n",
        "/var/lib/kdump/vmlinuz": {"link": "/boot/vmlinuz-" + RELEASE},
        "/var/crash/kexec_cmd": '/sbin/kexec -p --command-line="root=UUID=0 ro {0}" '
        "--initrd=/var/lib/kdump/initrd.img /var/lib/kdump/vmlinuz\n".format(APPEND),
        "/etc/systemd/system/basic.target.wants/kdump-tools.service": {
            "link": "/usr/lib/systemd/system/kdump-tools.service"
        },
    },
    "stat": {
        "/var/crash": {"mode": "0700"},
        "/var/crash/kexec_cmd": {"mtime": 200},
        "/var/lib/kdump/initrd.img-" + RELEASE: {"mtime": 100},
    },
    "space": {"/": [10 * GIB, 8 * GIB]},
}


def host(files: dict[str, t.Any] | None = None, gone: t.Iterable[str] = (), **more: t.Any) -> TreeHost:
    manifest = copy.deepcopy(ARMED)
    manifest["files"].update(files or {})
    for path in gone:
        del manifest["files"][path]
    return TreeHost({**manifest, **more})


def problems(seen: TreeHost) -> list[str]:
    return [problem["id"] for problem in collect_capture(seen, KERNEL)["problems"]]


def test_armed_host() -> None:
    capture = collect_capture(host(), KERNEL)
    assert capture["armed"] is True
    assert capture["reserved_bytes"] == 256 * 1024**2
    assert capture["memory_bytes"] == 1800000 * 1024 + 256 * 1024**2
    assert capture["problems"] == []
    assert capture["loaded"]["release"] == RELEASE
    assert capture["tools"]["dump_level"] == 31
    assert (capture["drill"], capture["proven"]) == (None, None)
    assert capture["unread"] == {"proven": "no drill is recorded on this host"}


@pytest.mark.parametrize("proven", [True, False])
def test_last_drill_is_shown_when_its_proof_has_lapsed_too(proven: bool) -> None:
    other = drillrecord.Identity("6.1.0-56-amd64", None, "a" * 64, 1, "b" * 64)
    reasons = () if proven else ("0 bytes (G1)",)
    proof = drillrecord.Proof("0123456789abcdef", 1790000000.5, "nmi", proven, reasons, other, *(None,) * 5)
    closed = {drillrecord.FOLDER: {"mode": "0700"}, drillrecord.PROOF_PATH: {"mode": "0600"}}
    capture = collect_capture(host({drillrecord.PROOF_PATH: drillrecord.render(proof)}, stat=closed), KERNEL)
    assert capture["drill"] == {"when_s": 1790000000.5, "kind": "nmi", "proven": proven}
    assert capture["proven"] is False
    assert "lapsed" in capture["unread"]["proven"] or not proven


def test_drill_that_cannot_be_read() -> None:
    capture = collect_capture(host({drillrecord.PROOF_PATH: {"error": "permission denied (not root)"}}), KERNEL)
    assert (capture["drill"], capture["proven"]) == (None, None)
    assert "permission denied" in capture["unread"]["drill"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/sys/kernel/kexec_crash_loaded": "0\n"}, ["not_armed"]),
        ({"/sys/kernel/kexec_crash_size": "0\n"}, ["nothing_reserved"]),
        ({"/etc/default/kdump-tools": "USE_KDUMP=0\n"}, ["kdump_disabled"]),
        ({"/etc/systemd/system/kdump-tools.service": {"link": "/dev/null"}}, ["unit_masked"]),
        ({"/boot/grub/grub.cfg": GRUB.replace("crashkernel=256M", "")}, ["boot_entry"]),
        ({"/boot/grub/grub.cfg": GRUB.replace("256M", "512M")}, ["reboot_pending"]),
        ({"/proc/sys/kernel/panic_on_oops": "0\n"}, ["panic_on_oops_off"]),
        ({"/var/lib/dpkg/status": STATUS.replace("makedumpfile", "other")}, ["makedumpfile_missing"]),
        ({"/var/lib/kdump/vmlinuz": {"link": "/boot/vmlinuz-6.1.0-1-amd64"}}, ["loaded_other_kernel"]),
        ({"/etc/default/kdump-tools": 'USE_KDUMP=1\nKDUMP_CMDLINE_APPEND="other"\n'}, ["loaded_stale"]),
    ],
)
def test_looks_armed_and_is_not_well(files: dict[str, t.Any], expected: list[str]) -> None:
    assert problems(host(files)) == expected


def test_initrd_newer_than_what_is_loaded() -> None:
    stat = {**ARMED["stat"], "/var/lib/kdump/initrd.img-" + RELEASE: {"mtime": 300}}
    assert problems(host(stat=stat)) == ["loaded_stale"]


def test_initrd_that_kdump_config_would_remove() -> None:
    """At load it compares its copy of /etc/kdump/sysctl.conf, and removes the initrd where that differs."""
    for seen in (host({"/etc/kdump/sysctl.conf": "other"}), host(gone=["/var/lib/kdump/latest_sysctls-" + RELEASE])):
        assert see_capture(seen, KERNEL)["initrds"][RELEASE]["kept"] is False
    assert see_capture(host(), KERNEL)["initrds"][RELEASE]["kept"] is True


def test_file_that_disabled_kexec_is_named() -> None:
    files = {
        "/proc/sys/kernel/kexec_load_disabled": "1\n",
        "/usr/lib/sysctl.d/10-a.conf": "kernel.kexec_load_disabled=0\n",
        "/etc/sysctl.d/99-hardening.conf": "# x\nkernel/kexec_load_disabled = 1\n",
        "/etc/sysctl.d/50-comment.conf": "# kernel.kexec_load_disabled = 1\n",
    }
    found = collect_capture(host(files), KERNEL)["problems"]
    assert [problem["id"] for problem in found] == ["kexec_disabled"]
    assert "/etc/sysctl.d/99-hardening.conf" in found[0]["message"]


@pytest.mark.parametrize("mark", ["/run/systemd/container", "/run/.containerenv", "/.dockerenv"])
def test_container_has_no_capture_and_says_so(mark: str) -> None:
    capture = collect_capture(host({mark: ""}), KERNEL)
    assert (capture["applicable"], capture["armed"], capture["reserved_bytes"]) == (False, None, None)
    assert mark in capture["unread"]["armed"]
    assert capture["problems"] == []


def test_password_is_in_no_fact() -> None:
    assert "s3cret" not in json.dumps(collect_facts(host()))


def test_digest_changes_with_its_file_alone() -> None:
    before = collect_capture(host(), KERNEL)["managed"]["files"]
    after = collect_capture(host({kdump.CONFIG: "USE_KDUMP=1\n"}), KERNEL)["managed"]["files"]
    assert [path for path in before if before[path] != after[path]] == [kdump.CONFIG]
    assert before[kdump.GRUB_DROP_IN] is None


def test_debconf_answer_is_read() -> None:
    name = "kdump-tools/use_kdump"
    text = "Name: a/b\nTemplate: a/b\nValue: x\n\nName: {0}\nTemplate: {0}\nValue: false\n\n".format(name)
    seen = see_capture(host({"/var/cache/debconf/config.dat": text}), KERNEL)
    assert seen["debconf"] == {name: "false"}


def test_empty_machine_gives_nulls_with_reasons() -> None:
    capture = collect_capture(TreeHost({"files": {}}), KERNEL)
    for field in ("armed", "reserved_bytes", "memory_bytes"):
        assert capture[field] is None
        assert capture["unread"][field] == "not found"
    assert capture["armed"] is not True
    assert {problem["severity"] for problem in capture["problems"]} >= {"error"}


def test_user_without_root_gets_reasons_and_no_traceback() -> None:
    denied = {"error": "permission denied (not root)"}
    files = {"/var/crash": denied, "/boot/grub/grub.cfg": denied, "/etc/default/kdump-tools": denied}
    facts = collect_facts(host(files, gone=["/var/crash/kexec_cmd"], euid=1000, stat={}))
    assert facts["crashes"] is None
    assert "permission denied" in facts["unread"]["crashes"]
    assert "permission denied" in facts["capture"]["unread"]["/etc/default/kdump-tools"]


@pytest.mark.parametrize("rubbish", ["\x00" * 100, "\xff\xfe", "x" * 100000, "=\n'\"\\", "$(reboot)\n`id`\n"])
def test_rubbish_in_files_never_raises(rubbish: str) -> None:
    for path in ARMED["files"]:
        if not isinstance(ARMED["files"][path], dict):
            json.dumps(collect_facts(host({path: rubbish})))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], ("nics", "kernel", "capture", "crashes")),
        (["min"], ("nics", "kernel", "capture", "crashes")),
        (["all"], ("nics", "kernel", "capture", "crashes", "candidates")),
        (["capture"], ("capture",)),
        (["!crashes"], ("nics", "kernel", "capture")),
        (["all", "!nics", "!candidates"], ("kernel", "capture", "crashes")),
    ],
)
def test_subsets(asked: list[str], expected: tuple[str, ...]) -> None:
    assert subsets_of(asked) == expected


def test_unknown_subset() -> None:
    with pytest.raises(ValueError, match="unknown subset 'disks'"):
        subsets_of(["disks"])
