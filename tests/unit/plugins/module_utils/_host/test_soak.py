# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a soak sees of a host: the NIC and its counters, what carries the management, sensors, records."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.soakwatch import Sensor
from ansible_collections.rackops.crashready.plugins.module_utils._host import soak
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.tests.unit.soak_seen import BOOT, ID, OTHER, record

DEVICE = "/sys/devices/pci0000:00/0000:03:00.0"
NET = "/sys/class/net/eth1"
HWMON = "/sys/class/hwmon"
INTERRUPTS = (
    " CPU0 CPU1\n 45: 10 20 PCI-MSIX-0000:03:00.0 1-edge eth1-TxRx-0\n 46: 1 1 PCI-MSIX x eth10\n 7: 1 1 IO-APIC x\n"
)

#: The form is that of iproute2 6.1 on Debian 12.
ADDRESSES = [
    {
        "ifname": "eth1",
        "addr_info": [
            {"family": "inet", "local": "192.0.2.1", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
            {"family": "inet6", "local": "2001:db8::1", "prefixlen": 64, "scope": "global"},
        ],
    }
]


def tree(**more: t.Any) -> TreeHost:
    files: dict[str, t.Any] = {
        "/sys/class/net/eth0/device/vendor": "0x8086\n",
        "/sys/class/net/eth0/statistics/rx_errors": "2\n",
        "/sys/class/net/eth0/statistics/rx_dropped": "9\n",
        "/sys/class/net/veth0/statistics/rx_errors": "100\n",
        NET + "/statistics/rx_bytes": "1000\n",
        NET + "/statistics/tx_bytes": "500\n",
        NET + "/statistics/rx_crc_errors": "1\n",
        NET + "/flags": "0x1003\n",
        NET + "/carrier": "1\n",
        NET + "/carrier_changes": "4\n",
        NET + "/mtu": "9000\n",
        NET + "/speed": "10000\n",
        NET + "/device": {"link": "../../../devices/pci0000:00/0000:03:00.0"},
        DEVICE + "/msi_irqs/45": "msix\n",
        DEVICE + "/irq": "7\n",
        DEVICE + "/hwmon/hwmon2/name": "ixgbe\n",
        DEVICE + "/hwmon/hwmon2/temp1_input": "61000\n",
        DEVICE + "/hwmon/hwmon2/temp1_crit": "105000\n",
        HWMON + "/hwmon0/name": "coretemp\n",
        HWMON + "/hwmon0/temp1_input": "44500\n",
        HWMON + "/hwmon0/temp1_max": "82000\n",
        HWMON + "/hwmon0/temp2_input": "-273000\n",
        HWMON + "/hwmon0/temp3_input": "40000\n",
        HWMON + "/hwmon0/temp3_crit": "0\n",
        HWMON + "/hwmon2": {"link": "../../devices/pci0000:00/0000:03:00.0/hwmon/hwmon2"},
        "/proc/interrupts": INTERRUPTS,
        "/proc/sys/kernel/random/boot_id": BOOT + "\n",
    }
    files.update(more.pop("files", {}))
    commands = {"ip -json address show dev eth1": {"rc": 0, "out": json.dumps(ADDRESSES), "err": ""}}
    commands.update(more.pop("commands", {}))
    return TreeHost({"files": files, "commands": commands, **more})


def said(value: t.Any, rc: int = 0, err: str = "") -> dict[str, t.Any]:
    return {"rc": rc, "out": json.dumps(value) if value is not None else "", "err": err}


def test_sample() -> None:
    found = soak.see_sample(tree(), "eth1", 5.0)
    assert found.statistics == {"rx_bytes": 1000, "tx_bytes": 500, "rx_crc_errors": 1}
    assert (found.at_s, found.link_changes, found.ethtool) == (5.0, 4, None)
    assert found.interrupts == {"45 eth1-TxRx-0": 30, "7 x": 2}
    assert found.others == {"eth0": 2}, "what has no device is no NIC"
    assert found.sensors == (
        Sensor("coretemp temp1", 44.5, 82.0),
        Sensor("coretemp temp3", 40.0, None),
        Sensor("ixgbe temp1", 61.0, 105.0, of_nic=True),
    )
    assert soak.nic_bytes(tree(), "eth1") == 1500


def test_sample_of_a_nic_that_is_gone() -> None:
    found = soak.see_sample(tree(), "eth7", 5.0)
    assert (found.statistics, found.link_changes) == (None, None)
    assert soak.nic_bytes(tree(), "eth7") is None


def test_the_drivers_own_counters_are_of_a_live_host(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unreadable, match="not recorded"):
        tree().statistics("eth1")
    with pytest.raises(Unreadable, match="another root"):
        LocalHost(str(tmp_path)).statistics("eth1")
    with pytest.raises(Unreadable, match=r"not found|not supported"):
        LocalHost().statistics("x" * 40)


def test_sample_of_counters_that_are_none() -> None:
    host = tree(files={NET + "/statistics/rx_bytes": "many\n"})
    assert soak.see_sample(host, "eth1", 5.0).statistics is None


def test_nic() -> None:
    found = soak.see_nic(tree(), "eth1")
    assert found == {
        "name": "eth1",
        "exists": True,
        "up": True,
        "carrier": True,
        "mtu": 9000,
        "speed_mbps": 10000,
        "addresses": [["192.0.2.1", 24], ["2001:db8::1", 64]],
        "lower": [],
        "unread": {},
    }


@pytest.mark.parametrize(
    ("files", "key", "expected"),
    [
        ({NET + "/flags": "0x1002\n"}, "up", False),
        ({NET + "/flags": "no\n"}, "up", None),
        ({NET + "/carrier": "0\n"}, "carrier", False),
        ({NET + "/carrier": {"error": "invalid argument"}}, "carrier", None),
        ({NET + "/speed": "-1\n"}, "speed_mbps", None),
        ({NET + "/mtu": "x\n"}, "mtu", None),
    ],
)
def test_nic_in_part(files: dict[str, t.Any], key: str, expected: t.Any) -> None:
    assert soak.see_nic(tree(files=files), "eth1")[key] == expected


@pytest.mark.parametrize(
    "answer",
    [
        said(None, 1, "Device does not exist"),
        said([{"addr_info": [{"local": "x", "prefixlen": 24}]}]),
        said([{"addr_info": [{}]}]),
        said([5]),
        said({"a": 1}),
        {"rc": 0, "out": "{", "err": ""},
        {"error": "not found"},
    ],
)
def test_addresses_that_cannot_be_read(answer: dict[str, t.Any]) -> None:
    found = soak.see_nic(tree(commands={"ip -json address show dev eth1": answer}), "eth1")
    assert found["addresses"] == []
    assert found["unread"]["addresses"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said([{"dst": "192.0.2.2", "dev": "eth1", "prefsrc": "192.0.2.1"}]), "eth1"),
        (said([{"dst": "192.0.2.2", "gateway": "198.51.100.1", "dev": "eth0"}]), "eth0"),
        (said([]), None),
        (said(None, 2, "RTNETLINK answers: Network is unreachable"), None),
    ],
)
def test_route(answer: dict[str, t.Any], expected: str | None) -> None:
    assert soak.route_device(tree(commands={"ip -json route get 192.0.2.2": answer}), "192.0.2.2") == expected


@pytest.mark.parametrize("answer", [said(None, 1, "what"), {"rc": 0, "out": "{", "err": ""}, {"error": "not found"}])
def test_route_that_cannot_be_seen(answer: dict[str, t.Any]) -> None:
    with pytest.raises(Unreadable):
        soak.route_device(tree(commands={"ip -json route get 192.0.2.2": answer}), "192.0.2.2")


# --- management -------------------------------------------------------------------------------------------------------

PROCESSES = {
    "/proc/self/environ": "HOME=/root\0SUDO_UID=1000\0",
    "/proc/self/status": "Name:\tpython3\nPPid:\t77\n",
    "/proc/77/environ": "HOME=/root\0",
    "/proc/77/status": "Name:\tsudo\nPPid:\t76\n",
    "/proc/76/environ": "A=1\0SSH_CONNECTION=198.51.100.9 50000 198.51.100.5 22\0B=2\0",
    "/proc/76/status": "Name:\tsh\nPPid:\t1\n",
}


def test_ssh_connection_is_found_above_sudo() -> None:
    assert soak.ssh_address(tree(files=PROCESSES)) == "198.51.100.5"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/proc/self/environ": "SSH_CONNECTION=x\0"},
        {"/proc/self/environ": "SSH_CONNECTION=a b c d\0"},
        {"/proc/self/environ": "NOT_SSH_CONNECTION=1 2 192.0.2.1 4\0", "/proc/self/status": "PPid:\t1\n"},
        {"/proc/self/environ": "", "/proc/self/status": "PPid:\tself\n"},
        {"/proc/9/environ": "", "/proc/9/status": "PPid:\t9\n", "/proc/self/status": "PPid:\t9\n"},
    ],
)
def test_no_ssh_connection(files: dict[str, t.Any]) -> None:
    assert soak.ssh_address(tree(files=files)) is None


def test_management_is_the_default_route_and_where_ansible_comes_in() -> None:
    holder = [{"ifname": "bond0", "addr_info": [{"local": "198.51.100.5"}]}, {"ifname": "lo", "addr_info": []}]
    host = tree(
        files={**PROCESSES, "/sys/class/net/bond0/lower_eth1/x": "", "/sys/class/net/bond0/lower_eth2/x": ""},
        commands={
            "ip -json -4 route show default": said([{"dst": "default", "gateway": "192.0.2.254", "dev": "eth0"}]),
            "ip -json -6 route show default": said(None, 1, "what"),
            "ip -json address show to 198.51.100.5": said(holder),
            "ip -json address show to 203.0.113.5": said([{"ifname": "eth5", "addr_info": [{}]}]),
        },
    )
    found = soak.see_management(host, ["203.0.113.5"])
    assert found["devices"] == {
        "eth0": "the default route leaves by it",
        "bond0": "Ansible comes in by its address 198.51.100.5",
        "eth1": "bond0 lies on it, and Ansible comes in by its address 198.51.100.5",
        "eth2": "bond0 lies on it, and Ansible comes in by its address 198.51.100.5",
        "eth5": "Ansible comes in by its address 203.0.113.5",
    }
    assert list(found["unread"]) == ["default route -6"]


# --- records ----------------------------------------------------------------------------------------------------------


def kept(name: str = ID, text: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    found = soakrecord.render(record(id=name, **more)) if text is None else text
    return {"{0}/{1}.json".format(soakrecord.FOLDER, name): found}


def active(name: str, state: str) -> dict[str, t.Any]:
    return {"systemctl show --property=ActiveState --value {0}".format(name): {"rc": 0, "out": state + "\n", "err": ""}}


def test_records() -> None:
    names = ["s-2026112{0}T120000-0000".format(number) for number in range(1, 6)]
    host = tree(
        files={
            **kept(names[0]),
            **kept(names[1], state="done"),
            **kept(names[2], boot_id=OTHER),
            **kept(names[3], soakrecord.render(record())[:200]),
            **kept(names[4]),
            soakrecord.FOLDER + "/x.json": "",
        },
        commands={**active(names[0], "active"), **active(names[4], "inactive")},
    )
    found = soak.see_records(host, lambda name: name)
    assert [each["id"] for each in found["running"]] == [names[0]]
    assert found["newest"] == names[4]
    assert "half-written" in found["refused"][names[3]]


def test_no_records() -> None:
    assert soak.see_records(tree(), str) == {"newest": None, "running": [], "refused": {}}
    assert soak.read_record(tree(), ID) is None
    host = tree(files={"{0}/{1}.json".format(soakrecord.FOLDER, ID): {"error": "permission denied"}})
    with pytest.raises(Unreadable):
        soak.read_record(host, ID)


@pytest.mark.parametrize(
    ("state", "expected"), [("active", True), ("activating", True), ("failed", False), ("inactive", False), ("", None)]
)
def test_unit(state: str, expected: bool | None) -> None:
    assert soak.unit_runs(tree(commands=active("u", state)), "u") is expected
    assert soak.unit_runs(tree(), "u") is None
