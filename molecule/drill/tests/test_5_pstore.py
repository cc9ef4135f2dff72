# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""pstore in the firmware of a UEFI guest.

NEEDS A GUEST `drill-uefi` in vars/guests.yml of this scenario:
--guest=drill-uefi=trixie,memory=1024,nic=e1000e,firmware=uefi,loader=grub,group=rack and its kdump_reboot_ok.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="module")
def uefi(trixie: t.Any) -> t.Any:
    """Of the same kind as the other boxes of the scenario."""
    inventory = FOLDER / "rack.yml"
    if "drill-uefi" not in inventory.read_text(encoding="utf-8"):
        pytest.skip("the rack of this scenario has no UEFI guest")
    box = type(trixie)("drill-uefi", testinfra.get_host("ansible://drill-uefi", ansible_inventory=str(inventory)))
    box.mark()
    return box


def channels(box: t.Any, **given: t.Any) -> dict[str, t.Any]:
    result = box.host.ansible("rackops.crashready.crash_channels", json.dumps(given), check=False, become=True)
    # ansible-core 2.19 no longer writes "failed" where testinfra reads; a module that fails returns no plan.
    assert "changes" in result, result
    return {each["name"]: each for each in result["channels"]}


def test_pstore_stands_behind_kdump_and_says_so(uefi: t.Any) -> None:
    found = channels(uefi, manage_boot_loader=False)["pstore"]
    assert found["armed"] is False
    assert "stands behind kdump" in found["reason"], found


def test_pstore_keeps_the_panic(uefi: t.Any) -> None:
    found = channels(uefi, pstore_before_kdump=True)["pstore"]
    assert found["armed"] is True, found
    drilled = uefi.drill()
    assert drilled.outcome["state"] == "proven", drilled.text[-6000:]
    states = {each["name"]: each for each in drilled.outcome["channels"]}
    assert states["pstore"]["state"] == "proven", states
    assert uefi.sh("ls /sys/fs/pstore | wc -l").strip() == "0", "systemd-pstore has emptied the firmware"
    channels(uefi, state="absent")
