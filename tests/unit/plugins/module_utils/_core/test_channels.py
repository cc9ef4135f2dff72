# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the role puts on a host for its channels, and which of them are armed."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import channels
from ansible_collections.rackops.crashready.plugins.module_utils._core.channels import Wanted, judge_channels, plan
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.fileplan import Found
from ansible_collections.rackops.crashready.plugins.module_utils._core.netconsole import settings_from

CMDLINE = "BOOT_IMAGE=/boot/vmlinuz root=UUID=0 ro quiet"
SERIAL = Wanted(serial="ttyS0,115200n8")
GIVEN: dict[str, t.Any] = {
    "state": "present",
    "pstore": True,
    "pstore_before_kdump": False,
    "ramoops_address": "",
    "ramoops_size": None,
    "ramoops_ecc": True,
    "netconsole_receiver": None,
    "netconsole_port": 6666,
    "netconsole_source_port": 6665,
    "netconsole_interface": None,
    "netconsole_avoid": [],
    "netconsole_suspect": "warn",
    "netconsole_extended": True,
    "serial": "",
    "serial_grub": False,
    "journal": True,
    "journal_max": "1G",
    "manage_boot_loader": True,
}


def seen(**more: t.Any) -> dict[str, t.Any]:
    """A UEFI host with GRUB where nothing was set up yet; `a__b` sets b of a."""
    found: dict[str, t.Any] = {
        "applicable": True,
        "applicable_reason": None,
        "kdump_armed": True,
        "kdump_unread": None,
        "cmdline": CMDLINE,
        "efi": True,
        "iomem": [
            (0x1000, 0x9FFFF, "System RAM"),
            (0x8000000, 0x80FFFFF, "Reserved"),
            (0x8100000, 0xFFFFFFF, "System RAM"),
        ],
        "post_notifiers": False,
        "pstore": {
            "backend": None,
            "unread": None,
            "mounted": True,
            "collected": True,
            "unit_there": True,
            "loaded": [],
        },
        "netconsole": {"targets": [], "ours": False, "running": False, "said": "", "unread": None},
        "consoles": [],
        "journal": False,
        "units": {channels.PSTORE_UNIT: True},
        "ours": [],
        "enabled_by_us": [],
        "files": {},
        "boot": {
            "loader": "grub",
            "entries": [{"title": "Debian", "cmdline": CMDLINE, "generated": True, "foreign": False}],
            "releases": ["6.12.95+deb13-amd64"],
        },
        "kernel_cmdline": None,
        "vendor_cmdline": None,
    }
    for name, value in more.items():
        first, _dunder, second = name.partition("__")
        if second:
            found[first] = {**found[first], second: value}
        else:
            found[first] = value
    return found


def after(wanted: Wanted, before: dict[str, t.Any]) -> dict[str, t.Any]:
    """The host when every change was carried out."""
    files = dict(before["files"])
    found = dict(before)
    for change in plan(wanted, before):
        if change.kind == "file" and change.target == channels.SYSTEMD_BOOT_CMDLINE:
            found["kernel_cmdline"] = change.data["content"].decode()
        elif change.kind == "file":
            content = change.data["content"]
            files[change.target] = None if content is None else Found(content, change.data["mode"], 0)
        elif change.kind == "unit":
            found["units"] = {**found["units"], change.target: change.data["on"]}
        elif change.kind == "boot_loader":
            line = found["kernel_cmdline"] or " ".join(
                [*channels.words(wanted)[0], CMDLINE, *channels.words(wanted)[1]]
            )
            line = line if wanted.present else CMDLINE
            found["boot"] = {**found["boot"], "entries": [{**e, "cmdline": line} for e in found["boot"]["entries"]]}
        elif change.kind == "load_module":
            found["pstore"] = {**found["pstore"], "backend": change.target}
        elif change.kind == "notifiers":
            found["post_notifiers"] = change.data["value"] == "1"
        elif change.kind == "disarm":
            found["netconsole"] = {**found["netconsole"], "ours": False, "targets": []}
    record = files.get(channels.RECORD)
    found["ours"], found["enabled_by_us"] = channels.parse_record(record.content.decode() if record else "")
    return {**found, "files": files}


@pytest.mark.parametrize(
    ("wanted", "before"),
    [
        (Wanted(), seen()),
        (Wanted(pstore=False, journal=False), seen()),
        (SERIAL, seen()),
        (SERIAL._replace(serial_grub=True, before_kdump=True), seen(units={channels.PSTORE_UNIT: False})),
        (Wanted(netconsole=settings_from({"receiver": "192.0.2.9"})), seen(efi=False)),
        (SERIAL, seen(boot__loader="systemd-boot", vendor_cmdline="root=UUID=0 ro")),
        (SERIAL, seen(boot__loader="systemd-boot", kernel_cmdline="root=UUID=0 ro console=ttyS1\n")),
        (SERIAL._replace(boot_loader=False), seen()),
        (Wanted(ramoops=channels.Ramoops(0x8000000, 0x100000)), seen(efi=False)),
    ],
)
def test_planned_then_nothing_then_taken_back(wanted: Wanted, before: dict[str, t.Any]) -> None:
    done = after(wanted, before)
    assert plan(wanted, done) == []
    gone = after(Wanted(present=False, boot_loader=wanted.boot_loader), done)
    assert plan(Wanted(present=False, boot_loader=wanted.boot_loader), gone) == []
    assert not any(gone["files"].values())
    assert gone["units"] == before["units"]
    assert (gone["kernel_cmdline"] or CMDLINE).split()[-1] in (before["kernel_cmdline"] or CMDLINE).split()


def test_nothing_is_asked_of_a_host_that_never_had_it() -> None:
    assert plan(Wanted(present=False), seen()) == []


def test_a_container_gets_files_and_nothing_that_is_the_machines_below() -> None:
    kinds = {change.kind for change in plan(SERIAL, seen(applicable=False))}
    assert kinds == {"file", "boot_loader"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("quiet", "console=ttyS0,115200n8 console=tty0 quiet"),
        # Another port of the administrator's stays, and stays the last: /dev/console is what it was.
        ("console=ttyS1,9600 quiet", "console=ttyS0,115200n8 console=tty0 console=ttyS1,9600 quiet"),
        ("console=ttyS0,9600 console=ttyS0 x", "console=ttyS0,115200n8 console=tty0 x"),
        ("console=ttyS01 consoles=1", "console=ttyS0,115200n8 console=tty0 console=ttyS01 consoles=1"),
        ("", "console=ttyS0,115200n8 console=tty0"),
    ],
)
def test_the_fragment_of_grub_in_a_real_shell(line: str, expected: str) -> None:
    script = channels.grub_drop_in(SERIAL) + 'echo "$GRUB_CMDLINE_LINUX|$GRUB_CMDLINE_LINUX_DEFAULT"'
    env = {"PATH": os.environ["PATH"], "GRUB_CMDLINE_LINUX": line, "GRUB_CMDLINE_LINUX_DEFAULT": "splash console=ttyS0"}
    done = subprocess.run(["sh", "-eu", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected + "|splash"
    again = subprocess.run(
        ["sh", "-eu", "-c", channels.grub_drop_in(SERIAL) * 2 + 'echo "$GRUB_CMDLINE_LINUX"'],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split().count("console=ttyS0,115200n8") == 1


def test_grubs_own_menu_on_the_port() -> None:
    text = channels.grub_drop_in(SERIAL._replace(serial="ttyS1,9600e7", serial_grub=True))
    assert 'GRUB_SERIAL_COMMAND="serial --unit=1 --speed=9600 --word=7 --parity=even --stop=1"' in text


@pytest.mark.parametrize(
    ("region", "told"),
    [
        (channels.Ramoops(0x9000000, 0x100000), "is not reserved"),
        (channels.Ramoops(0x80FF000, 0x100000), "is not reserved"),
        (channels.Ramoops(0x8000000, 0x100000), None),
        (channels.Ramoops(0x40000000, 0x100000), None),  # above all memory that the kernel was told of
    ],
)
def test_memory_that_the_kernel_uses_is_refused(region: channels.Ramoops, told: str | None) -> None:
    wanted = Wanted(ramoops=region)
    if told is None:
        assert any(change.target == channels.MODPROBE for change in plan(wanted, seen()))
        return
    with pytest.raises(CoreError, match=told):
        plan(wanted, seen())


def test_a_region_that_cannot_be_seen_is_refused() -> None:
    with pytest.raises(CoreError, match="could not be read"):
        plan(Wanted(ramoops=channels.Ramoops(0x8000000, 0x100000)), seen(iomem=None))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"serial": "ttyS0,115200n8; reboot"}, "no console"),
        ({"serial": "tty0"}, "no console"),
        ({"serial": "hvc0", "serial_grub": True}, "GRUB"),
        ({"journal_max": "1G\nStorage=none"}, "no size"),
        ({"ramoops_size": 1048576}, "belong together"),
        ({"ramoops_address": "0x8000000"}, "belong together"),
        ({"ramoops_address": "8000000", "ramoops_size": 1048576}, "no address"),
        ({"ramoops_address": "0x8000001", "ramoops_size": 1048576}, "multiples"),
        ({"ramoops_address": "0x8000000", "ramoops_size": 1048576, "pstore": False}, "switched off"),
        ({"netconsole_receiver": "collector"}, "no IP address"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, t.Any], told: str) -> None:
    with pytest.raises(CoreError, match=told):
        channels.wanted_from({**GIVEN, **given})


def test_what_is_meant() -> None:
    given = {**GIVEN, "ramoops_address": "0x8000000", "ramoops_size": 1 << 20, "netconsole_receiver": "2001:db8::9"}
    wanted = channels.wanted_from(given)
    assert wanted.ramoops == channels.Ramoops(0x8000000, 1 << 20)
    assert wanted.netconsole
    assert wanted.netconsole.receiver == "2001:db8::9"


def test_what_waits_for_a_boot_is_said() -> None:
    assert channels.reboot_reasons(SERIAL, seen()) == [
        "the running kernel was booted without console=ttyS0,115200n8 console=tty0"
    ]
    booted = seen(cmdline="console=ttyS0,115200n8 console=tty0 " + CMDLINE)
    assert channels.reboot_reasons(SERIAL, booted) == []
    assert channels.reboot_reasons(Wanted(before_kdump=True), seen()) == [], "that one follows without a boot"


@pytest.mark.parametrize("text", ["", "{", '{"words": 1, "units": []}', '{"words": ["init=/bin/sh"], "units": ["x"]}'])
def test_a_record_that_is_not_ours_is_not_believed(text: str) -> None:
    assert channels.parse_record(text) == ([], [])


def test_nothing_of_the_record_is_lost() -> None:
    done = after(SERIAL._replace(before_kdump=True), seen(units={channels.PSTORE_UNIT: False}))
    assert json.loads(done["files"][channels.RECORD].content) == {
        "units": [channels.PSTORE_UNIT],
        "words": ["console=ttyS0,115200n8", "console=tty0", "crash_kexec_post_notifiers=1"],
    }


# --- which are armed --------------------------------------------------------------------------------------------------

TARGET = {"name": "crashready", "enabled": True, "device": "eth1", "receiver": "192.0.2.9", "carrier": True}


@pytest.mark.parametrize(
    ("more", "name", "armed", "told"),
    [
        ({}, "kdump", True, "loaded"),
        ({"kdump_armed": False}, "kdump", False, "no capture kernel"),
        ({"kdump_armed": None, "kdump_unread": "permission denied"}, "kdump", None, "permission denied"),
        ({}, "pstore", False, "no store"),
        ({"pstore__backend": "efi_pstore"}, "pstore", False, "stands behind kdump"),
        ({"pstore__backend": "efi_pstore", "kdump_armed": False}, "pstore", True, "efi_pstore"),
        ({"pstore__backend": "efi_pstore", "post_notifiers": True}, "pstore", True, "efi_pstore"),
        (
            {"pstore__backend": "ramoops", "kdump_armed": False, "pstore__mounted": False},
            "pstore",
            False,
            "not mounted",
        ),
        (
            {"pstore__backend": "erst", "kdump_armed": False, "pstore__collected": False},
            "pstore",
            True,
            "nothing empties",
        ),
        ({"pstore__unread": "permission denied"}, "pstore", None, "permission"),
        ({}, "netconsole", False, "no target"),
        ({"netconsole__said": "no route leads there"}, "netconsole", False, "no route"),
        ({"netconsole__targets": [TARGET]}, "netconsole", True, "to 192.0.2.9 over eth1"),
        ({"netconsole__targets": [{**TARGET, "enabled": False}]}, "netconsole", False, "switched off"),
        ({"netconsole__targets": [{**TARGET, "carrier": False}]}, "netconsole", False, "eth1 has no link"),
        ({"netconsole__targets": [{**TARGET, "carrier": None}]}, "netconsole", True, "over eth1"),
        ({"netconsole__unread": "permission denied"}, "netconsole", None, "permission"),
        ({}, "serial", False, "no serial port"),
        ({"consoles": ["ttyS0"]}, "serial", True, "ttyS0"),
        ({"consoles": None}, "serial", None, "could not be read"),
        ({}, "journal", False, "memory"),
        ({"journal": True}, "journal", True, "persistent"),
        ({"journal": None}, "journal", None, "could not be seen"),
    ],
)
def test_armed(more: dict[str, t.Any], name: str, armed: bool | None, told: str) -> None:
    found = {each["name"]: each for each in judge_channels(seen(**more))}
    assert list(found) == list(channels.NAMES)
    assert (found[name]["armed"], told in found[name]["reason"]) == (armed, True), found[name]


def test_a_container_has_no_channel_of_its_own() -> None:
    found = judge_channels(seen(applicable=False, applicable_reason="a container has no kernel of its own"))
    assert {(each["armed"], each["reason"]) for each in found} == {(None, "a container has no kernel of its own")}
