# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Names of PCI devices in cut copies of pci.ids, of udev's hwdb and of a udev record."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.pciids import (
    hwdb_name,
    parse_pci_id,
    pci_ids_name,
    udev_property,
)
from hypothesis import given
from hypothesis import strategies as st

# Lines of pci.ids 2023.04.10 (Debian 0.0~2023.04.11-1), cut.
PCI_IDS = """#
#\tList of PCI ID's
#
10ec  Realtek Semiconductor Co., Ltd.
\t8168  RTL8111/8168/8411 PCI Express Gigabit Ethernet Controller
8086  Intel Corporation
# a comment within a vendor
\t10fb  82599ES 10-Gigabit SFI/SFP+ Network Connection
\t\t8086 1572  a subsystem that has the id of another card

\t1572  Ethernet Controller X710 for 10GbE SFP+
\t\t8086 0002  Ethernet Converged Network Adapter X710-4
8088  Beijing Wangxun Technology Co., Ltd.
\t1583  not Intel's
C 02  Network controller
\t00  Ethernet controller
"""

HWDB = """# This file is part of systemd.

pci:v00008086*
 ID_VENDOR_FROM_DATABASE=Intel Corporation

pci:v00008086d000010FB*
 ID_MODEL_FROM_DATABASE=82599ES 10-Gigabit SFI/SFP+ Network Connection

pci:v00008086d000010FBsv00008086sd0000000C*
 ID_MODEL_FROM_DATABASE=Ethernet Server Adapter X520-2

pci:v00008086d00001572*
 ID_PRODUCT=something else
"""


@pytest.mark.parametrize(
    ("vendor", "device", "name"),
    [
        ("8086", "1572", "Ethernet Controller X710 for 10GbE SFP+"),
        ("8086", "10fb", "82599ES 10-Gigabit SFI/SFP+ Network Connection"),
        ("10ec", "8168", "RTL8111/8168/8411 PCI Express Gigabit Ethernet Controller"),
        ("8086", "1583", None),  # of the vendor below
        ("10ec", "1572", None),  # of the vendor below
        ("15b3", "1017", None),
        ("8088", "0000", None),
    ],
)
def test_pci_ids(vendor, device, name):
    assert pci_ids_name(PCI_IDS, vendor, device) == name


@pytest.mark.parametrize(
    "text", ["", "8086", "8086  Intel", "8086  Intel\n", "8086  Intel\n\t1572", "8086  I\n\t1572  "]
)
def test_a_cut_pci_ids_has_no_name(text):
    assert pci_ids_name(text, "8086", "1572") is None


def test_the_vendor_may_be_the_first_line():
    assert pci_ids_name("8086  I\n\t1572  X710", "8086", "1572") == "X710"


def test_a_name_is_cleaned_and_cut():
    name = pci_ids_name("8086  I\n\t1572  \x1b[31mred" + "x" * 5000, "8086", "1572")
    assert name is not None
    assert name.startswith("[31mred")
    assert len(name) == 160


@pytest.mark.parametrize(
    ("vendor", "device", "name"),
    [
        ("8086", "10fb", "82599ES 10-Gigabit SFI/SFP+ Network Connection"),
        ("8086", "1572", None),
        ("15b3", "1017", None),
    ],
)
def test_hwdb(vendor, device, name):
    assert hwdb_name(HWDB, vendor, device) == name


def test_udev_record():
    record = "I:1\nE:ID_PCI_CLASS_FROM_DATABASE=Network\nE:ID_MODEL_FROM_DATABASE=A = B\nG:systemd\n"
    assert udev_property(record, "ID_MODEL_FROM_DATABASE") == "A = B"
    assert udev_property(record, "ID_MODEL") is None


def test_sysfs_id():
    assert parse_pci_id("0x15b3") == "15b3"


@pytest.mark.parametrize("text", ["", "8086", "0x808", "0x80866", "0X8086", "0x80G6", "0x8086\n", "0x\u0668086"])
def test_what_is_no_sysfs_id(text):
    with pytest.raises(ParseError, match="not a PCI id"):
        parse_pci_id(text)


@pytest.mark.parametrize("look_up", [pci_ids_name, hwdb_name])
@pytest.mark.parametrize("device", ["", ".*", "15b", "1572  x"])
def test_an_id_is_never_taken_as_a_pattern(look_up, device):
    with pytest.raises(ParseError):
        look_up(PCI_IDS, "8086", device)


@given(st.text(alphabet="8086 1572\t\n#=:pcivdE", max_size=200))
def test_any_text_has_a_name_or_none(text):
    for name in (pci_ids_name(text, "8086", "1572"), hwdb_name(text, "8086", "1572"), udev_property(text, "d")):
        assert name is None or name.strip() == name != ""
