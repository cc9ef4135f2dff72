# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The boot loader and its entries, on recorded trees."""

from __future__ import annotations

import base64
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host import bootentries
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

CASES = pathlib.Path(__file__).resolve().parents[3] / "cases" / "grub"
DEBIAN_13 = (CASES / "debian-13.cfg").read_text()
GUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
EFIVARS = "/sys/firmware/efi/efivars/"


def collect(files: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return bootentries.collect_boot(TreeHost({"files": files, **more}))


def efi(text: str) -> dict[str, str]:
    data = b"\6\0\0\0" + (text + "\0").encode("utf-16-le")
    return {"base64": base64.b64encode(data).decode()}


def grubenv(**values: str) -> str:
    body = "# GRUB Environment Block\n" + "".join("{0}={1}\n".format(*item) for item in values.items())
    return body + "#" * (1024 - len(body))


def test_grub() -> None:
    found = collect({"/boot/grub/grub.cfg": DEBIAN_13, "/boot/grub/grubenv": grubenv()})
    assert found["loader"] == "grub"
    assert found["unread"] == {}
    assert [(e["release"], e["cmdline"].count("crashkernel="), e["generated"]) for e in found["entries"]] == [
        ("7.3.4+deb13-cloud-amd64", 1, True),
        ("7.3.4+deb13-cloud-amd64", 1, True),
        ("7.3.4+deb13-cloud-amd64", 0, True),
        ("6.12.117+deb13-cloud-amd64", 1, True),
        ("6.12.117+deb13-cloud-amd64", 0, True),
    ]
    assert found["next"] == {
        "index": 0,
        "entry": "Debian GNU/Linux",
        "release": "7.3.4+deb13-cloud-amd64",
        "once": False,
        "reason": "by number 0",
    }


def test_one_shot_boot() -> None:
    found = collect({"/boot/grub/grub.cfg": DEBIAN_13, "/boot/grub/grubenv": grubenv(next_entry="1>2")})
    assert (found["next"]["index"], found["next"]["once"]) == (3, True)
    assert found["next"]["release"] == "6.12.117+deb13-cloud-amd64"


def test_no_environment_block_is_no_default() -> None:
    assert collect({"/boot/grub/grub.cfg": DEBIAN_13})["next"]["index"] == 0


@pytest.mark.parametrize("block", [{"error": "permission denied (not root)"}, "garbage"])
def test_a_block_that_cannot_be_read_leaves_the_next_boot_open(block: t.Any) -> None:
    found = collect({"/boot/grub/grub.cfg": DEBIAN_13, "/boot/grub/grubenv": block})
    assert len(found["entries"]) == 5
    assert found["next"]["index"] is None
    assert found["next"]["release"] is None
    assert found["next"]["reason"]


@pytest.mark.parametrize(
    ("cfg", "reason"),
    [
        ({"error": "permission denied (not root)"}, "permission denied"),
        ("menuentry a {\n", "never closed"),
        ("\x00\x01\x02", "NUL"),
        ("x" * (10 * 1024 * 1024), "at most"),
    ],
)
def test_a_grub_cfg_that_cannot_be_read(cfg: t.Any, reason: str) -> None:
    found = collect({"/boot/grub/grub.cfg": cfg})
    assert found["loader"] == "grub"
    assert found["entries"] == []
    assert reason in found["unread"]["boot_entries"]
    assert found["next"]["index"] is None
    assert reason in found["next"]["reason"]


def test_custom_entries_and_hand_written_ones() -> None:
    files = {
        "/boot/grub/grub.cfg": DEBIAN_13,
        "/boot/grub/custom.cfg": (
            "set default=mine\nmenuentry 'By hand' --id mine {\n linux /vmlinuz ro crashkernel=1G\n}\n"
        ),
        "/vmlinuz": {"link": "boot/vmlinuz-6.1.0-56-amd64"},
        "/boot/vmlinuz-6.1.0-56-amd64": "",
    }
    found = collect(files)
    assert found["entries"][5] == {
        "title": "By hand",
        "id": "mine",
        "release": "6.1.0-56-amd64",
        "kernel": "/vmlinuz",
        "cmdline": "ro crashkernel=1G",
        "initrds": [],
        "generated": False,
        "foreign": False,
    }
    # The script takes custom.cfg in under a test that only GRUB makes, but the file is there: the test holds.
    assert found["next"]["index"] == 5


def test_an_own_boot_filesystem_and_an_unknown_name() -> None:
    cfg = "menuentry a {\n linux /vmlinuz-6.1.0-56-amd64 ro\n}\nmenuentry b {\n linux (hd1)/bzImage\n}\n"
    assert [e["release"] for e in collect({"/boot/grub/grub.cfg": cfg})["entries"]] == ["6.1.0-56-amd64", None]


def test_the_default_may_boot_no_linux() -> None:
    found = collect(
        {"/boot/grub/grub.cfg": "menuentry Windows {\n chainloader +1\n}\nmenuentry b {\n linux /vmlinuz-1\n}\n"}
    )
    assert (found["next"]["index"], found["next"]["entry"]) == (None, "Windows")
    assert "no Linux" in found["next"]["reason"]


ENTRY = """\
title Debian GNU/Linux 13 (trixie)
version {0}
machine-id 0123
sort-key debian
options root=UUID=1 ro crashkernel=256M
linux /0123/{0}/linux
initrd /0123/{0}/initrd.img
"""


def systemd_boot(mount: str) -> dict[str, t.Any]:
    folder = mount + "/loader/entries/0123-"
    return {
        folder + "6.12.117+deb13-amd64.conf": ENTRY.format("6.12.117+deb13-amd64"),
        folder + "7.3.4+deb13-amd64.conf": ENTRY.format("7.3.4+deb13-amd64"),
        mount + "/loader/loader.conf": "timeout 3\n",
    }


@pytest.mark.parametrize("mount", ["/efi", "/boot/efi", "/boot"])
def test_systemd_boot(mount: str) -> None:
    found = collect(systemd_boot(mount))
    assert found["loader"] == "systemd-boot"
    assert found["unread"] == {}
    assert [(e["release"], e["cmdline"], e["generated"]) for e in found["entries"]] == [
        ("7.3.4+deb13-amd64", "root=UUID=1 ro crashkernel=256M", True),
        ("6.12.117+deb13-amd64", "root=UUID=1 ro crashkernel=256M", True),
    ]
    assert (found["next"]["index"], found["next"]["once"]) == (0, False)


MINE, OTHER = "0123" * 8, "4567" * 8


@pytest.mark.parametrize(
    ("more", "name", "machine_id", "expected"),
    [
        ({}, MINE, MINE, (True, False)),
        ({}, OTHER, OTHER, (False, True)),
        # the other system has a token of its own and says nothing of its machine id
        ({}, "fedora", None, (False, False)),
        ({"/etc/kernel/entry-token": "rack7\n"}, "rack7", None, (True, False)),
        ({"/etc/kernel/entry-token": "rack7\n"}, MINE, MINE, (False, False)),
        # kernel-install falls back to the names of the system
        ({"/etc/os-release": "ID=debian\n"}, "debian", None, (True, False)),
        # two systems of one name: the machine id tells them apart
        ({"/etc/os-release": "ID=debian\n"}, "debian", OTHER, (False, True)),
        # the version is no more than part of the name
        ({}, MINE + "-x", MINE, (False, False)),
    ],
)
def test_entries_of_another_system_on_the_same_esp(
    more: dict[str, t.Any], name: str, machine_id: str | None, expected: tuple[bool, bool]
) -> None:
    version = "6.12.117+deb13-amd64"
    text = ENTRY.format(version).replace(
        "machine-id 0123\n", "machine-id {0}\n".format(machine_id) if machine_id else ""
    )
    path = "/boot/loader/entries/{0}-{1}.conf".format(name, version)
    found = collect({path: text, "/etc/machine-id": MINE + "\n", **more})
    assert [(entry["generated"], entry["foreign"]) for entry in found["entries"]] == [expected]


def test_efi_variables_choose() -> None:
    files = systemd_boot("/boot/efi")
    files[EFIVARS + "LoaderInfo-" + GUID] = efi("systemd-boot 257.9-1~deb13u1")
    files[EFIVARS + "LoaderEntryOneShot-" + GUID] = efi("0123-6.12.117+deb13-amd64.conf")
    files["/boot/grub/grub.cfg"] = DEBIAN_13  # left behind by a loader that is no longer used
    found = collect(files)
    assert found["loader"] == "systemd-boot"
    assert (found["next"]["release"], found["next"]["once"]) == ("6.12.117+deb13-amd64", True)


def test_grub_says_so_itself_since_2_12() -> None:
    found = collect(
        {EFIVARS + "LoaderInfo-" + GUID: efi("GRUB 2.12"), **systemd_boot("/boot"), "/boot/grub/grub.cfg": DEBIAN_13}
    )
    assert (found["loader"], len(found["entries"])) == ("grub", 5)


def test_a_closed_esp_is_not_an_empty_one() -> None:
    found = collect({"/boot/efi": {"error": "permission denied (not root)"}}, euid=1000)
    assert found["loader"] is None
    assert "permission denied" in found["unread"]["boot_loader"]
    assert found["next"]["reason"] == found["unread"]["boot_loader"]


def test_one_bad_entry_does_not_hide_the_others() -> None:
    files = systemd_boot("/boot")
    files["/boot/loader/entries/bad.conf"] = "x" * 100_000
    files["/boot/EFI/Linux/broken.efi"] = "not a PE file"
    found = collect(files)
    assert len(found["entries"]) == 2
    assert sorted(found["unread"]) == ["boot_entry bad.conf", "boot_entry broken.efi"]


def test_nothing_there() -> None:
    found = collect({"/etc/debian_version": "13.8\n"})
    assert (found["loader"], found["entries"], found["unread"]) == ("none", [], {})
    assert found["next"]["reason"] == "no boot loader was found"
