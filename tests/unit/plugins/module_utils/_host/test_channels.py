# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is seen of the channels, on trees; the texts are those of Debian 12 and 13 guests."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import channels, netconsole
from ansible_collections.rackops.crashready.plugins.module_utils._host.channels import see_channels
from ansible_collections.rackops.crashready.plugins.module_utils._host.routes import find_way
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.tests.unit import seen

MACHINE = "0123456789abcdef0123456789abcdef"
TARGET = netconsole.CONFIGFS + "/crashready/"
FILES: dict[str, t.Any] = {
    "/sys/module/pstore/parameters/backend": "efi_pstore\n",
    "/sys/module/kernel/parameters/crash_kexec_post_notifiers": "N\n",
    "/proc/mounts": "proc /proc proc rw 0 0\npstore /sys/fs/pstore pstore rw,nosuid 0 0\n",
    "/proc/consoles": "tty0                 -WU (EC p  )    4:1\nttyS0                -W- (E  p a)    4:64\n",
    "/proc/iomem": "00001000-0009ffff : System RAM\n  00002000-00002fff : Kernel code\n08000000-080fffff : Reserved\n",
    "/etc/machine-id": MACHINE + "\n",
    "/var/log/journal/{0}/system.journal".format(MACHINE): "x",
    "/usr/lib/systemd/system/systemd-pstore.service": "[Unit]\n",
    TARGET + "enabled": "1\n",
    TARGET + "dev_name": "eth1\n",
    TARGET + "remote_ip": "192.0.2.9\n",
    "/sys/class/net/eth1/carrier": "1\n",
    netconsole.STATE: json.dumps({"armed": True, "device": "eth1", "said": ""}),
}


def look(files: dict[str, t.Any] | None = None, **more: t.Any) -> dict[str, t.Any]:
    given = {path: text for path, text in {**FILES, **(files or {})}.items() if text is not None}
    return see_channels(TreeHost({"files": given, **more}), seen.armed())


def test_a_host_with_all_of_them() -> None:
    found = look()
    assert found["pstore"] == {
        "backend": "efi_pstore",
        "unread": None,
        "mounted": True,
        "collected": False,
        "unit_there": True,
        "loaded": [],
    }
    assert found["netconsole"]["targets"] == [
        {"name": "crashready", "enabled": True, "device": "eth1", "receiver": "192.0.2.9", "carrier": True}
    ]
    assert (found["netconsole"]["ours"], found["consoles"], found["journal"]) == (True, ["ttyS0"], True)
    assert found["iomem"][-1] == (0x8000000, 0x80FFFFF, "Reserved")
    armed = {each["name"]: each["armed"] for each in channels.judge_channels(found)}
    assert armed == {"kdump": True, "pstore": False, "netconsole": True, "serial": True, "journal": True}


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        ({"/sys/module/pstore/parameters/backend": "(null)\n"}, ("pstore", "backend"), None),
        ({"/sys/module/pstore/parameters/backend": "\x1b[2Jx\n"}, ("pstore", "backend"), "[2Jx"),
        ({"/sys/module/kernel/parameters/crash_kexec_post_notifiers": "Y\n"}, ("post_notifiers",), True),
        # As a user the addresses are zeros: nothing is known of what is reserved.
        ({"/proc/iomem": "00000000-00000000 : System RAM\n"}, ("iomem",), None),
        ({"/proc/consoles": "ttyS0                -W- (   p a)    4:64\n"}, ("consoles",), []),
        ({"/proc/consoles": None}, ("consoles",), None),
        ({netconsole.STATE: "{garbage"}, ("netconsole", "said"), ""),
        ({netconsole.STATE: json.dumps({"said": "no\nroute"})}, ("netconsole", "said"), "no route"),
        ({netconsole.STATE: None}, ("netconsole", "running"), False),
        ({TARGET + "dev_name": "../../x\n"}, ("netconsole", "targets", 0, "carrier"), None),
        ({"/etc/machine-id": "../..\n"}, ("journal",), None),
        (
            {
                "/var/log/journal/{0}/system.journal".format(MACHINE): None,
                "/run/log/journal/{0}/system.journal".format(MACHINE): "x",
            },
            ("journal",),
            False,
        ),
    ],
)
def test_seen(files: dict[str, t.Any], path: tuple[t.Any, ...], expected: t.Any) -> None:
    found: t.Any = look(files)
    for key in path:
        found = found[key]
    assert found == expected


def ip(*words: str) -> str:
    return " ".join(("ip", *words))


def test_the_way_past_a_bond_with_a_suspect_port() -> None:
    usual = '[{"dst":"198.51.100.9","gateway":"192.0.2.1","dev":"bond0","prefsrc":"192.0.2.5"}]'
    other = '[{"dst":"198.51.100.9","gateway":"203.0.113.1","dev":"eth1","prefsrc":"203.0.113.5"}]'
    both = (
        '[{"dst":"default","gateway":"192.0.2.1","dev":"bond0"},{"dst":"default","gateway":"203.0.113.1","dev":"eth1"}]'
    )
    commands = {
        ip("-json", "route", "get", "198.51.100.9"): {"rc": 0, "out": usual},
        ip("-json", "route", "get", "198.51.100.9", "oif", "eth1"): {"rc": 0, "out": other},
        ip("-json", "-4", "route", "show", "to", "match", "198.51.100.9"): {"rc": 0, "out": both},
    }
    links: dict[str, t.Any] = {"/sys/class/net/bond0/lower_eth2": {"link": "../eth2"}}
    tree = {"files": {**links, "/sys/class/net/eth1/carrier": "1\n"}, "commands": commands}
    way = find_way(TreeHost(tree), "198.51.100.9", ["eth2"])
    assert (way.device, way.source, way.suspect) == ("eth1", "203.0.113.5", False)
    tree["files"] = {**links, "/sys/class/net/eth1/carrier": "0\n"}
    assert find_way(TreeHost(tree), "198.51.100.9", ["eth2"]).suspect is True
