# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The plan of the kdump role: what leads from what was seen to what is wanted, and nothing else."""

from __future__ import annotations

import subprocess
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kdump
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError

from ....seen import FRESH, GIB, KERNEL, RELEASE, armed, fresh

CONFIG = "file /etc/default/kdump-tools"


def names(capture: dict[str, t.Any], wanted: kdump.Wanted | None = None, **kernel: t.Any) -> list[str]:
    wanted = wanted or kdump.Wanted()
    known = {**KERNEL, **kernel}
    desired = kdump.desired_state(wanted, capture, known)
    return [change.name for change in kdump.plan(wanted, desired, capture, known)]


def desired(capture: dict[str, t.Any], wanted: kdump.Wanted | None = None, **kernel: t.Any) -> kdump.Desired:
    return kdump.desired_state(wanted or kdump.Wanted(), capture, {**KERNEL, **kernel})


def test_fresh_host_gets_everything_in_the_order_of_carrying_out() -> None:
    assert names(fresh()) == [
        "package kdump-tools",
        "package makedumpfile",
        "package kexec-tools",
        "debconf kdump-tools/use_kdump",
        "file /etc/tmpfiles.d/crashready.conf",
        "file /etc/sysctl.d/zz-crashready.conf",
        "file /etc/systemd/system/crashready-capture-deadline.service",
        "file /etc/default/grub.d/zz-crashready.cfg",
        CONFIG,
        "directory /var/crash",
        "sysctl kernel.hardlockup_panic",
        "sysctl kernel.panic",
        "sysctl kernel.panic_on_oops",
        "boot_loader grub",
        "capture_initrd " + RELEASE,
    ]


def test_armed_host_needs_nothing() -> None:
    assert names(armed()) == []
    assert kdump.reboot_reasons(kdump.Wanted(), desired(armed()), armed()) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"armed": False, "loaded": None}, ["load capture kernel"]),
        # somebody emptied the crash folder: what is in memory cannot be told any more
        ({"loaded": None}, ["load capture kernel"]),
        ({"folder": {"path": "/var/crash", "mode": 0o755, "uid": 0}}, ["directory /var/crash"]),
        ({"folder": {"path": "/var/crash", "mode": 0o700, "uid": 33}}, ["directory /var/crash"]),
        ({"unit": {"enabled": False, "masked": None}}, ["unit kdump-tools.service"]),
        ({"debconf": {"kdump-tools/use_kdump": "false"}}, ["debconf kdump-tools/use_kdump"]),
        ({"initrds": {}}, ["capture_initrd " + RELEASE, "load capture kernel"]),
        # kdump-config would remove this one at the next boot and build another
        (
            {"initrds": {RELEASE: {"present": True, "kept": False}}},
            ["capture_initrd " + RELEASE, "load capture kernel"],
        ),
    ],
)
def test_one_damage_is_one_change(damage: dict[str, t.Any], expected: list[str]) -> None:
    assert names(armed(**damage)) == expected


@pytest.mark.parametrize(
    "path", ["/etc/tmpfiles.d/crashready.conf", "/etc/sysctl.d/zz-crashready.conf", kdump.GRUB_DROP_IN]
)
@pytest.mark.parametrize("change", [{"text": "x"}, {"mode": 0o600}, {"uid": 1000}])
def test_each_managed_file_is_compared_whole(path: str, change: dict[str, t.Any]) -> None:
    seen = armed()
    seen["files"][path].update(change)
    assert names(seen) == ["file " + path]


def test_settings_changed_behind_our_back_are_mended_and_loaded_again() -> None:
    seen = armed()
    seen["files"][kdump.CONFIG]["text"] += "USE_KDUMP=0\n"
    assert names(seen) == [CONFIG, "load capture kernel"]


def test_stale_load_is_noticed() -> None:
    """G8: ready, with the wrong thing in memory."""
    seen = armed()
    for stale in ({"cmdline": "root=x"}, {"release": "6.12.1-amd64"}, {"older_than_initrd": True}):
        assert names({**seen, "loaded": {**seen["loaded"], **stale}}) == ["load capture kernel"], stale


def test_next_kernel_gets_its_capture_initrd_before_the_boot() -> None:
    seen = armed()
    assert names(seen, next_boot={"release": "7.3.4+deb13-amd64", "index": 0})[-2] == "capture_initrd 7.3.4+deb13-amd64"


def test_container_is_configured_but_nothing_is_loaded() -> None:
    kinds = {name.split()[0] for name in names(fresh(applicable=False))}
    assert kinds == {"package", "debconf", "file", "directory", "boot_loader"}
    assert kdump.reboot_reasons(kdump.Wanted(), desired(fresh(applicable=False)), fresh(applicable=False)) == []


# --- the end state ------------------------------------------------------------


def test_capture_command_line_keeps_the_packaged_part_and_adds_ours() -> None:
    append = desired(fresh()).append.split()
    assert append[:5] == [
        "reset_devices",
        "systemd.unit=kdump-tools-dump.service",
        "nr_cpus=1",
        "irqpoll",
        "usbcore.nousb",
    ]
    assert "panic=10" in append
    assert "systemd.mask=network-online.target" in append
    assert "module_blacklist=e1000e,ixgbe" in append


@pytest.mark.parametrize(
    ("storage", "blocked"),
    [
        ({"network": False, "nic_modules": []}, ("e1000e", "ixgbe")),
        ({"network": True, "nic_modules": ["ixgbe"]}, ("e1000e",)),
        ({"network": True, "nic_modules": None}, ()),
        ({"network": None, "nic_modules": None}, ()),
    ],
)
def test_driver_that_the_disk_needs_stays(storage: dict[str, t.Any], blocked: tuple[str, ...]) -> None:
    seen = fresh(storage={"reason": "r", "targets": [], "interfaces": [], **storage})
    assert desired(seen).blocked_drivers == blocked
    assert ("systemd.mask=network-online.target" in desired(seen).append) == (storage["network"] is False)


@pytest.mark.parametrize("key", ["SSH", "NFS", "FTP"])
def test_dump_over_the_network_keeps_every_nic(key: str) -> None:
    seen = fresh(config={key: "server:/x"})
    assert desired(seen).blocked_drivers == ()
    assert "network-online" not in desired(seen).append


def test_administrator_overrides_the_blocked_drivers() -> None:
    assert desired(fresh(), kdump.Wanted(blocked_drivers=())).blocked_drivers == ()
    assert "module_blacklist=qxl" in desired(fresh(), kdump.Wanted(blocked_drivers=("qxl",))).append


@pytest.mark.parametrize(
    ("wanted", "memory", "message"),
    [
        ("auto", 640 * 1024**2, "at least 1024 MiB"),
        ("2G", 2 * GIB, "more than half"),
        ("4G-:256M", 2 * GIB, "reserves nothing"),
        ("1M", 2 * GIB, "less than 64 MiB"),
    ],
)
def test_wish_that_cannot_be_met(wanted: str, memory: int, message: str) -> None:
    with pytest.raises(CoreError, match=message):
        desired(fresh(memory_bytes=memory), kdump.Wanted(crashkernel=wanted))


def test_careful_level_of_the_two_kernels() -> None:
    """The kernel that boots next is the one that will panic."""
    assert desired(fresh()).reading.level == 31
    assert desired(fresh(), next_boot={"release": "7.3.4+deb13-amd64"}).reading.level == 17
    assert desired(fresh(), kdump.Wanted(dump_level=1)).config["MAKEDUMP_ARGS"] == "-F -c -d 1"


def test_deadline_grows_with_the_memory() -> None:
    assert desired(fresh()).deadline_s == 1800
    assert desired(fresh(memory_bytes=512 * GIB)).deadline_s == 1800 + 128 * 60
    assert desired(fresh(), kdump.Wanted(capture_deadline_s=600)).deadline_s == 600


def test_no_boot_for_nothing() -> None:
    """Where the boot loader is not ours to manage, a boot brings nothing."""
    elsewhere = armed(cmdline={"text": "", "crashkernel": ["512M"]})
    unmanaged = kdump.Wanted(boot_loader=False)
    assert kdump.reboot_reasons(unmanaged, desired(elsewhere, unmanaged), elsewhere) == []
    assert kdump.reboot_reasons(kdump.Wanted(), desired(elsewhere), elsewhere) != []


def test_armed_host_that_boots_again_anyway_keeps_what_it_has_loaded() -> None:
    seen = armed(cmdline={"text": "", "crashkernel": ["512M"]})
    seen["files"][kdump.CONFIG]["text"] += "USE_KDUMP=0\n"
    assert names(seen) == [CONFIG]


def test_kernel_parameters_of_one_boot_do_not_stay() -> None:
    """systemd-boot without /etc/kernel/cmdline: the running command line is taken, less what was for once."""
    boot = {"loader": "systemd-boot", "entries": FRESH["boot"]["entries"]}
    line = "root=UUID=0 ro initrd=/x crashkernel=1M single init=/bin/sh quiet"
    seen = fresh(boot=boot, cmdline={"text": line, "crashkernel": ["1M"]})
    change = next(
        c for c in kdump.plan(kdump.Wanted(), desired(seen), seen, KERNEL) if c.target == "/etc/kernel/cmdline"
    )
    assert change.after == "root=UUID=0 ro quiet crashkernel=256M\n"
    seen["files"]["/etc/kernel/cmdline"] = {"text": "root=UUID=0 single\n", "mode": 0o644, "uid": 0}
    change = next(
        c for c in kdump.plan(kdump.Wanted(), desired(seen), seen, KERNEL) if c.target == "/etc/kernel/cmdline"
    )
    assert change.after == "root=UUID=0 single crashkernel=256M\n", "what the administrator wrote stays"


def test_vendor_s_command_line_comes_before_the_running_one() -> None:
    """kernel-install(8): /etc/kernel/cmdline, /usr/lib/kernel/cmdline, /proc/cmdline. Only the last is of one boot."""
    boot = {"loader": "systemd-boot", "entries": FRESH["boot"]["entries"]}
    seen = fresh(
        boot=boot, vendor_cmdline="root=UUID=1 single crashkernel=1M\n", cmdline={"text": "x", "crashkernel": []}
    )
    assert kdump.systemd_boot_cmdline(seen, "256M") == "root=UUID=1 single crashkernel=256M\n"
    seen["files"]["/etc/kernel/cmdline"] = {"text": "root=UUID=2\n", "mode": 0o644, "uid": 0}
    assert kdump.systemd_boot_cmdline(seen, "256M") == "root=UUID=2 crashkernel=256M\n"


def test_narrow_mode_of_the_settings_stays() -> None:
    seen = fresh(files={kdump.CONFIG: {"text": "", "mode": 0o600, "uid": 0}})
    changes = kdump.plan(kdump.Wanted(), desired(seen), seen, KERNEL)
    assert next(c for c in changes if c.target == kdump.CONFIG).data["mode"] == 0o600


def test_signed_load_where_kdump_config_cannot_see_secure_boot() -> None:
    assert desired(fresh(), lockdown="integrity", secure_boot=None).config["KDUMP_KEXEC_ARGS"] == "-s"
    assert "KDUMP_KEXEC_ARGS" not in desired(fresh(), lockdown="integrity", secure_boot=True).config


def test_password_in_the_settings_is_never_shown() -> None:
    text = 'FTP_PASSWORD="s3cret"\nexport FTP_PASSWORD=s3cret\nA=1 FTP_PASSWORD=s3cret\n'
    seen = fresh(files={kdump.CONFIG: {"text": text, "mode": 0o600, "uid": 0}})
    changes = kdump.plan(kdump.Wanted(), desired(seen), seen, KERNEL)
    change = next(c for c in changes if c.target == kdump.CONFIG)
    assert "s3cret" not in (change.before or "") + (change.after or "")
    assert "s3cret" in change.data["text"], "and is not lost"


# --- the drop-in, by the shell that reads it ------------------------------------


@pytest.mark.parametrize(
    ("linux", "default"),
    [
        ("", "quiet"),
        ("crashkernel=64M", "quiet crashkernel=384M-:128M"),
        ("a crashkernel=1G,high crashkernel=128M,low b", "crashkernel=1M"),
        ('dyndbg=\\"file a.c +p\\" * ?', "quiet  splash"),
        ("nocrashkernel=1", "xcrashkernel=2"),
    ],
)
def test_drop_in_leaves_one_crashkernel(linux: str, default: str) -> None:
    script = 'GRUB_CMDLINE_LINUX="{0}"\nGRUB_CMDLINE_LINUX_DEFAULT="{1}"\n{2}'.format(
        linux, default, kdump.grub_drop_in("256M")
    )
    script += 'printf "%s\\n%s\\n" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"\n'
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, check=True, cwd="/")
    both = done.stdout.split("\n")[:2]
    words = " ".join(both).split()
    assert [word for word in words if word.startswith("crashkernel=")] == ["crashkernel=256M"]
    assert both[0].split()[-1] == "crashkernel=256M"
    others = [
        word
        for word in "{0} {1}".format(linux.replace("\\", ""), default).split()
        if not word.startswith("crashkernel=")
    ]
    assert [word for word in words if not word.startswith("crashkernel=")] == others


def test_drop_in_works_where_the_variable_is_not_set() -> None:
    script = "set -eu\nGRUB_CMDLINE_LINUX=\nGRUB_CMDLINE_LINUX_DEFAULT=\n" + kdump.grub_drop_in("1G")
    subprocess.run(["sh"], input=script + 'test "$GRUB_CMDLINE_LINUX" = crashkernel=1G\n', text=True, check=True)


# --- the wish ---------------------------------------------------------------------

PARAMETERS: dict[str, t.Any] = {
    "state": "present",
    "crashkernel": "auto",
    "crash_folder": "/var/crash",
    "dump_level": None,
    "keep_dumps": 0,
    "capture_blocked_drivers": None,
    "capture_panic_s": 10,
    "capture_deadline_s": None,
    "sysctls": None,
    "extra_packages": [],
    "manage_boot_loader": True,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crashkernel", "256M $(reboot)"),
        ("crash_folder", "/var/crash;id"),
        ("crash_folder", "relative"),
        ("crash_folder", "/var/../etc"),
        ("crash_folder", "/var/crash\nX"),
        ("crash_folder", "/"),
        ("crash_folder", "/home"),
        ("capture_blocked_drivers", ["ixgbe,quiet"]),
        ("capture_blocked_drivers", ["a b"]),
        ("extra_packages", ["-o=x"]),
        ("extra_packages", ["crash\n"]),
        ("dump_level", 32),
        ("keep_dumps", -1),
        ("capture_panic_s", 0),
        ("sysctls", {"kernel.panic": "1; reboot"}),
        ("sysctls", {"net.ipv4.ip_forward": 1}),
        ("sysctls", {"kernel.core_pattern": "|/bin/sh"}),
    ],
)
def test_hostile_or_senseless_parameters_are_refused(key: str, value: t.Any) -> None:
    with pytest.raises(CoreError):
        kdump.wanted_from({**PARAMETERS, key: value})


def test_parameters_arrive() -> None:
    wanted = kdump.wanted_from({**PARAMETERS, "crashkernel": "512M,high", "sysctls": {"kernel.panic": 5}})
    assert wanted.crashkernel == "512M,high"
    assert wanted.sysctls == {"kernel.panic": "5"}
    assert kdump.wanted_from(PARAMETERS).sysctls == kdump.DEFAULT_SYSCTLS
