# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the boot loader of a UEFI host starts next, told by that loader's own tools."""

from __future__ import annotations

import os
import re
import typing as t

import pytest
import testinfra

FOLDER = os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]


@pytest.fixture(scope="module")
def sdboot() -> t.Any:
    return testinfra.get_host("ansible://crashready-sdboot", ansible_inventory=FOLDER + "/rack.yml")


def options_of_entries(host: t.Any) -> list[str]:
    """The options= line of every loader entry, read without our code."""
    text = host.check_output("sh -c 'cat /boot/efi/loader/entries/*.conf'")
    return re.findall(r"^options\s+(.*)$", text, re.M)


def kernel_facts(host: t.Any) -> dict[str, t.Any]:
    result = host.ansible("rackops.crashready.crash_facts", "gather_subset=kernel", check=False)
    return result["ansible_facts"]["crashready"]["kernel"]


def test_firmware_and_loader_are_seen(host: t.Any) -> None:
    kernel = kernel_facts(host)
    assert kernel["firmware_type"] == "uefi"
    expected = "systemd-boot" if host.check_output("hostname") == "crashready-sdboot" else "grub"
    assert kernel["boot_loader"] == expected
    assert kernel["next_boot"]["release"] == host.check_output("uname -r")


def test_every_loader_entry_reserves_once(sdboot: t.Any) -> None:
    entries = options_of_entries(sdboot)
    assert entries
    for options in entries:
        assert re.findall(r"crashkernel=\S+", options) == ["crashkernel=256M"], options
        assert "root=LABEL=root" in options
        assert "console=ttyS0,115200" in options


def test_an_entry_of_a_kernel_to_come_reserves_too(sdboot: t.Any) -> None:
    """kernel-install, as the package of a new kernel runs it, takes the reservation from /etc/kernel/cmdline."""
    release = sdboot.check_output("uname -r")
    sdboot.check_output("cp /boot/vmlinuz-%s /root/vmlinuz-next", release)
    sdboot.check_output("kernel-install add 9.9.9-next /root/vmlinuz-next")
    try:
        added = sdboot.check_output("sh -c 'cat /boot/efi/loader/entries/*9.9.9-next*.conf'")
        assert re.findall(r"crashkernel=\S+", added) == ["crashkernel=256M"]
    finally:
        sdboot.check_output("kernel-install remove 9.9.9-next")
        sdboot.check_output("rm /root/vmlinuz-next")


def test_a_reservation_taken_out_of_an_entry_is_put_back(sdboot: t.Any) -> None:
    sdboot.check_output("sh -c \"sed -i 's/ crashkernel=256M//' /boot/efi/loader/entries/*.conf\"")
    assert all("crashkernel" not in options for options in options_of_entries(sdboot))
    result = sdboot.ansible("rackops.crashready.kdump", check=True)
    assert result["changed"] is True, result
    result = sdboot.ansible("rackops.crashready.kdump", check=False)
    assert result["changed"] is True, result
    test_every_loader_entry_reserves_once(sdboot)
    assert sdboot.ansible("rackops.crashready.kdump", check=True)["changed"] is False
