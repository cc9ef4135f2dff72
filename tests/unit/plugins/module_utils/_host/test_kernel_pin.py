# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a suite offers, read from recorded output of apt-cache; what a host shows of its boot, drivers and health."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin_files as files
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin import Wanted
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_state import (
    STATE_FILE,
    State,
    render_state,
)
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.health import collect_health
from ansible_collections.rackops.crashready.plugins.module_utils._host.kernel import collect_kernel
from ansible_collections.rackops.crashready.plugins.module_utils._host.kernel_offer import (
    collect_firmware_offers,
    collect_offer,
    stable_version,
)
from ansible_collections.rackops.crashready.plugins.module_utils._host.kernel_pin import see_kernel_pin
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.trial import collect_evidence

OLD, NEW, VERSION = "6.12.117+deb13-amd64", "7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"
BOOT = "11111111-2222-4333-8444-555555555555"

# apt 3.0.4 on Debian 13 with backports, 2026-11-23.
POLICY = """linux-image-amd64:
  Installed: 6.12.117-1
  Candidate: 6.12.117-1
  Version table:
     7.3.4-1~bpo13+1 100
        100 http://deb.debian.org/debian trixie-backports/main amd64 Packages
 *** 6.12.117-1 500
        500 http://deb.debian.org/debian trixie/main amd64 Packages
        500 http://deb.debian.org/debian-security trixie-security/main amd64 Packages
        100 /var/lib/dpkg/status
"""
HEADERS_POLICY = """linux-headers-amd64:
  Installed: (none)
  Candidate: 6.12.117-1
  Version table:
     7.3.4-1~bpo13+1 100
        100 http://deb.debian.org/debian trixie-backports/main amd64 Packages
     6.12.117-1 500
        500 http://deb.debian.org/debian trixie/main amd64 Packages
"""
LINUX_BASE_POLICY = """linux-base:
  Installed: 4.12.1
  Candidate: 4.12.1
  Version table:
     4.17~bpo13+1 100
        100 http://deb.debian.org/debian trixie-backports/main amd64 Packages
 *** 4.12.1 500
        500 http://deb.debian.org/debian trixie/main amd64 Packages
        100 /var/lib/dpkg/status
"""
META = """Package: linux-image-amd64
Source: linux-signed-amd64 (7.3.4+1~bpo13+1)
Version: 7.3.4-1~bpo13+1
Installed-Size: 15
Architecture: amd64
Depends: linux-base-amd64 (= 7.3.4-1~bpo13+1), linux-image-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-modules-amd64 (= 7.3.4-1~bpo13+1)
Size: 1500

"""  # noqa: E501  (as apt-cache prints it)
IMAGE = """Package: linux-image-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1
Installed-Size: 15
Depends: dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)
Pre-Depends: linux-base (>= 4.17~)
Size: 1900

"""  # noqa: E501
PARTS = """Package: linux-base-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1
Installed-Size: 1562
Size: 1077476

Package: linux-modules-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1
Installed-Size: 106469
Depends: kmod, linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)
Size: 106862204

"""
PARTS_NAMES = "linux-image-{0}={1} linux-base-{0}={1} linux-modules-{0}={1}".format(NEW, VERSION)

APT: dict[str, dict[str, t.Any]] = {
    "apt-cache policy linux-image-amd64 linux-headers-amd64": {"out": POLICY + HEADERS_POLICY},
    "apt-cache policy linux-image-amd64": {"out": POLICY},
    "apt-cache policy linux-base": {"out": LINUX_BASE_POLICY},
    "apt-cache show linux-image-amd64=" + VERSION: {"out": META},
    "apt-cache show linux-image-{0}={1}".format(NEW, VERSION): {"out": IMAGE},
    "apt-cache show " + PARTS_NAMES: {"out": IMAGE + PARTS},
}


def offer(version: str | None = None, suite: str = "trixie-backports", **commands: t.Any) -> dict[str, t.Any]:
    host = TreeHost({"commands": {**APT, **commands}})
    return collect_offer(host, "linux-image-amd64", version, suite, headers=False)


def test_offer_of_a_kernel_in_parts() -> None:
    assert offer() == {
        "package": "linux-image-amd64",
        "version": VERSION,
        "suite": "trixie-backports",
        "release": NEW,
        "image": "linux-image-" + NEW,
        "packages": {"linux-{0}-{1}".format(kind, NEW): VERSION for kind in ("image", "base", "modules")},
        "headers_package": "linux-headers-amd64",
        "pins": ["linux-base"],
        "signed": True,
        "download_bytes": 1900 + 1077476 + 106862204,
        "installed_bytes": (15 + 1562 + 106469) * 1024,
    }


@pytest.mark.parametrize(
    ("version", "suite", "reason"),
    [
        ("7.1.1-1~bpo13+1", "trixie-backports", "trixie-backports has 7.3.4-1~bpo13+1 and not 7.1.1-1~bpo13+1"),
        (None, "trixie-updates", "nothing of trixie-updates"),
        (VERSION, "trixie", "trixie has 6.12.117-1 and not"),
    ],
)
def test_what_a_suite_does_not_have(version: str | None, suite: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        offer(version, suite)
    assert reason in caught.value.reason


def test_garbage_of_apt_is_a_reason() -> None:
    for name in (
        "apt-cache policy linux-image-amd64 linux-headers-amd64",
        "apt-cache show linux-image-amd64=" + VERSION,
    ):
        for answer in ({"out": "\x00\xff garbage: ("}, {"rc": 100, "err": "E: no"}, {"error": "not found"}):
            with pytest.raises(Unreadable):
                offer(**{name: answer})


def test_stable_version_leaves_backports_out() -> None:
    host = TreeHost({"commands": APT})
    assert stable_version(host, "linux-image-amd64") == "6.12.117-1"
    assert collect_firmware_offers(host, ["linux-base"], "trixie-backports") == {"linux-base": "4.17~bpo13+1"}
    assert collect_firmware_offers(host, [], "trixie-backports") == {}


# --- the host ------------------------------------------------------------------------------------------------------

MENU = """
set have_grubenv=true
load_env
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="0"
fi
### BEGIN /etc/grub.d/10_linux ###
submenu 'Advanced' $menuentry_id_option 'gnulinux-advanced-X' {
  menuentry 'new' $menuentry_id_option 'gnulinux-7.3.4+deb13-amd64-advanced-X' {
    linux /boot/vmlinuz-7.3.4+deb13-amd64 root=UUID=0 ro
  }
  menuentry 'old' $menuentry_id_option 'gnulinux-6.12.117+deb13-amd64-advanced-X' {
    linux /boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=0 ro
  }
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/42_crashready ###
menuentry 'Crashready: one trial boot' $menuentry_id_option 'crashready-trial' {
  linux /boot/vmlinuz-7.3.4+deb13-amd64 root=UUID=0 ro panic=30 crashready.trial=1
}
### END /etc/grub.d/42_crashready ###
"""
STATUS = """Package: linux-image-6.12.117+deb13-amd64
Status: install ok installed
Architecture: amd64
Version: 6.12.117-1

Package: linux-image-amd64
Status: hold ok installed
Architecture: amd64
Version: 6.12.117-1

Package: firmware-misc-nonfree
Status: install ok installed
Architecture: all
Version: 20250410-2
"""


def grubenv(**values: str) -> str:
    body = "# GRUB Environment Block\n" + "".join("{0}={1}\n".format(*item) for item in values.items())
    return body + "#" * (1024 - len(body))


def tree(files_: dict[str, t.Any] | None = None, commands: dict[str, t.Any] | None = None, **more: t.Any) -> TreeHost:
    base = {
        "/etc/os-release": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian GNU/Linux 13"\n',
        "/proc/sys/kernel/osrelease": OLD + "\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/version": "Linux version {0} (x@y) (gcc-14) #1 SMP Debian 6.12.117-1 (2026-11-16)\n".format(OLD),
        "/proc/sys/kernel/random/boot_id": BOOT + "\n",
        "/proc/self/mountinfo": "1 0 253:1 / / rw - ext4 /dev/vda1 rw\n",
        "/var/lib/dpkg/status": STATUS,
        "/boot/vmlinuz-" + OLD: "kernel",
        "/boot/initrd.img-" + OLD: "initrd",
        "/boot/grub/grub.cfg": MENU,
        "/boot/grub/grubenv": grubenv(),
        "/etc/apt/sources.list": "deb http://deb.debian.org/debian trixie main non-free-firmware\n",
        "/etc/apt/sources.list.d/b.sources": (
            "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie-backports\nComponents: main\n"
        ),
        "/etc/apt/preferences.d/own": "Package: linux-image-*\nPin: release n=trixie\nPin-Priority: 900\n",
        "/etc/apt/preferences.d/ignored.txt": "Package: x\nPin: release n=y\nPin-Priority: 1\n",
    }
    probe = {
        "grub-probe --target=abstraction /boot/grub": {"out": "\n"},
        "grub-probe --target=fs /boot/grub": {"out": "ext2\n"},
    }
    manifest = {"files": {**base, **(files_ or {})}, "commands": {**APT, **probe, **(commands or {})}, **more}
    return TreeHost(manifest)


def see(host: TreeHost, wanted: Wanted | None = None) -> dict[str, t.Any]:
    return see_kernel_pin(host, wanted or Wanted(suite="trixie-backports"), collect_kernel(host))


def test_host_before_a_transaction() -> None:
    seen = see(tree())
    assert seen["offer"]["release"] == NEW
    assert seen["stable_version"] == "6.12.117-1"
    assert seen["holds"] == ["linux-image-amd64"]
    assert [pin.where for pin in seen["pins"]] == ["/etc/apt/preferences.d/own:1"]
    assert [source.suite for source in seen["sources"]] == ["trixie", "trixie-backports"]
    assert (seen["state"], seen["state_unread"]) == (None, None)
    assert seen["watchdog"] == {"hardware": False, "identity": None}
    assert seen["firmware_unread"] == NEW + " is not unpacked yet"
    boot = seen["boot"]
    assert boot["template"] == "gnulinux-advanced-X>gnulinux-{release}-advanced-X"
    assert boot["default_release"] == NEW
    assert boot["trial"]["release"] == NEW
    assert seen["one_shot"] == {"able": True, "reason": "GRUB writes its environment block on ext2", "set": None}


def test_default_is_the_lasting_one() -> None:
    """With a choice for one boot set, what comes after it is what counts."""
    seen = see(tree({"/boot/grub/grubenv": grubenv(next_entry="crashready-trial", saved_entry="x")}))
    assert seen["one_shot"]["set"] == "crashready-trial"
    assert seen["boot"]["default_release"] == NEW


@pytest.mark.parametrize(
    ("files_", "commands", "able"),
    [
        ({}, {"grub-probe --target=abstraction /boot/grub": {"out": "diskfilter mdraid1x\n"}}, False),
        ({}, {"grub-probe --target=fs /boot/grub": {"out": "btrfs\n"}}, False),
        ({}, {"grub-probe --target=fs /boot/grub": {"rc": 1, "err": "cannot find a device"}}, None),
        ({}, {"grub-probe --target=fs /boot/grub": {"error": "not found"}}, None),
        ({"/boot/grub/grubenv": "garbage"}, {}, None),
        ({"/boot/grub/grubenv": {"error": "input/output error"}}, {}, None),
    ],
)
def test_grub_that_cannot_note_the_boot(
    files_: dict[str, t.Any], commands: dict[str, t.Any], able: bool | None
) -> None:
    one_shot = see(tree(files_, commands))["one_shot"]
    assert one_shot["able"] is able
    assert one_shot["reason"]


def test_missing_block_is_made_by_grub_editenv() -> None:
    host = tree()
    host._contents.pop("/boot/grub/grubenv")
    host._names["/boot/grub"].discard("grubenv")
    assert see(host)["one_shot"]["able"] is True


STATE = State("armed", "linux-image-amd64", VERSION, "trixie-backports", OLD, NEW, BOOT, (), None, None)


@pytest.mark.parametrize(
    ("stat", "text", "readable"),
    [
        ({"mode": "0600"}, render_state(STATE), True),
        ({"mode": "0600", "uid": 1000}, render_state(STATE), False),
        ({"mode": "0666"}, render_state(STATE), False),
        ({"mode": "0600"}, "{", False),
    ],
)
def test_state_is_roots_own_or_not_believed(stat: dict[str, t.Any], text: str, readable: bool) -> None:
    seen = see(tree({STATE_FILE: text}, stat={STATE_FILE: stat}))
    assert (seen["state"] is not None) is readable
    assert (seen["state_unread"] is None) is readable


MODULES = {
    "/lib/modules/{0}/modules.dep".format(NEW): "",
    "/lib/modules/{0}/updates/dkms/zfs.ko.xz".format(OLD): "",
    "/lib/modules/{0}/updates/dkms/idle.ko".format(OLD): "",
    "/sys/module/zfs/refcnt": "1",
    "/sys/class/net/eno1/device/driver/module": {"link": "/sys/module/bnx2x"},
    "/lib/firmware/bnx2x/bnx2x-e2-7.13.15.0.fw": "x",
}


def modinfo(release: str, module: str, field: str, out: str | None) -> dict[str, t.Any]:
    answer = {"rc": 1, "err": "not found"} if out is None else {"out": out}
    return {"modinfo -k {0} -F {1} {2}".format(release, field, module): answer}


def test_drivers_of_the_kernel_to_come() -> None:
    commands = {
        **modinfo(OLD, "bnx2x", "depends", "mdio\n"),
        **modinfo(OLD, "bnx2x", "firmware", "bnx2x/bnx2x-e2-7.13.15.0.fw\n"),
        **modinfo(NEW, "bnx2x", "firmware", "bnx2x/bnx2x-e2-7.13.21.0.fw\n"),
        **modinfo(OLD, "mdio", "firmware", ""),
        **modinfo(NEW, "mdio", "firmware", None),
    }
    seen = see(tree(MODULES, commands))
    assert seen["dkms"] == {"modules": ["idle", "zfs"], "missing": ["zfs"]}
    assert seen["drivers_missing"] == ["mdio"]
    assert [loss.wanted for loss in seen["firmware_losses"]] == [("bnx2x/bnx2x-e2-7.13.21.0.fw",)]
    there = {**MODULES, "/lib/firmware/bnx2x/bnx2x-e2-7.13.21.0.fw.xz": "x"}
    assert see(tree(there, commands))["firmware_losses"] == []


@pytest.mark.parametrize(
    ("identities", "hardware", "identity"),
    [
        ({"watchdog0": "i6300ESB timer"}, True, "i6300ESB timer"),
        ({"watchdog0": "Software Watchdog"}, False, "Software Watchdog"),
        ({"watchdog0": "Software Watchdog", "watchdog1": "iTCO_wdt"}, True, "iTCO_wdt"),
        ({}, False, None),
    ],
)
def test_watchdog(identities: dict[str, str], hardware: bool, identity: str | None) -> None:
    found = {"/sys/class/watchdog/{0}/identity".format(name): text + "\n" for name, text in identities.items()}
    assert see(tree(found))["watchdog"] == {"hardware": hardware, "identity": identity}


def test_systemd_boot() -> None:
    guid = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

    def efi(text: str) -> dict[str, str]:
        return {"base64": base64.b64encode(b"\6\0\0\0" + (text + "\0").encode("utf-16-le")).decode()}

    token = "3f1c8c5e11114222833344445555666"
    entry = "title Debian\nversion {0}\nmachine-id " + token + "\noptions root=UUID=0 ro\nlinux /{0}/linux\n"
    entries = {
        "/boot/efi/loader/entries/{0}-{1}.conf".format(token, release): entry.format(release) for release in (OLD, NEW)
    }
    variables = {
        "/sys/firmware/efi/efivars/LoaderInfo-" + guid: efi("systemd-boot 257"),
        "/sys/firmware/efi/efivars/LoaderEntryDefault-" + guid: efi("own.conf"),
        "/sys/firmware/efi/efivars/LoaderEntryOneShot-" + guid: efi("crashready-trial.conf"),
        "/etc/machine-id": token + "\n",
    }
    seen = see(tree({**entries, **variables}))
    assert seen["boot"]["default_pattern"] == "own.conf"
    assert seen["boot"]["entry_of"][OLD] == "{0}-{1}.conf".format(token, OLD)
    assert seen["one_shot"]["set"] == "crashready-trial.conf"
    assert seen["one_shot"]["able"] is True


# --- health --------------------------------------------------------------------------------------------------------

ADDRESSES = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    {
        "ifname": "eno1",
        "addr_info": [
            {"local": "192.0.2.5", "prefixlen": 24, "scope": "global", "dynamic": True},
            {"local": "2001:db8::5", "prefixlen": 64, "scope": "global"},
            {"local": "2001:db8::77", "prefixlen": 64, "scope": "global", "temporary": True, "dynamic": True},
            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            {"local": 5, "prefixlen": "x"},
            "garbage",
        ],
    },
]
ROUTE = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neno1\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\n"
)
ROUTE6 = "{0} 00 {0} 00 {0} 00000400 00000001 00000000 00000003 eno1\n".format("0" * 32)
NET = {
    "/sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "/sys/class/net/eno1/address": "00:00:5e:00:53:01\n",
    "/sys/class/net/eno1/carrier": "1\n",
    "/sys/class/net/eno1/device/vendor": "0x8086\n",
    "/sys/class/net/eno2/address": "00:00:5e:00:53:99\n",
    "/sys/class/net/eno2/bonding_slave/perm_hwaddr": "00:00:5e:00:53:02\n",
    "/sys/class/net/eno2/carrier": {"error": "invalid argument"},
    "/sys/class/net/eno2/device/vendor": "0x8086\n",
    "/sys/class/net/eno1v0/device/physfn/vendor": "0x8086\n",
    "/sys/class/net/bond0/bonding/mode": "802.3ad 4\n",
    "/sys/class/net/bond0/carrier": "1\n",
    "/sys/class/net/veth123/carrier": "1\n",
    "/sys/class/net/docker0/bridge/x": "",
    "/sys/class/net/bonding_masters": "bond0\n",
    "/proc/net/route": ROUTE,
    "/proc/net/ipv6_route": ROUTE6,
}
HEALTHY = {
    "ip -j address show": {"out": json.dumps(ADDRESSES)},
    "systemctl list-units --failed --all --plain --no-legend --no-pager": {"out": "x.service loaded failed failed X\n"},
    "systemctl is-system-running": {"rc": 1, "out": "degraded\n"},
}


def health(files_: dict[str, t.Any], commands: dict[str, t.Any]) -> dict[str, t.Any]:
    host = tree(files_, commands)
    return collect_health(host, collect_kernel(host))


def test_health() -> None:
    found = health(NET, HEALTHY)
    assert [(n["name"], n["kind"], n["link"]) for n in found["nics"]] == [
        ("bond0", "bond", True),
        ("eno1", "physical", True),
        ("eno2", "physical", None),
    ]
    assert found["nics"][1]["addresses"] == [
        {"address": "192.0.2.5/24", "fixed": False},
        {"address": "2001:db8::5/64", "fixed": True},
    ]
    assert found["nics"][2]["mac"] == "00:00:5e:00:53:02"
    assert found["default_routes"] == [{"family": 4, "interface": "eno1"}, {"family": 6, "interface": "eno1"}]
    assert found["failed_units"] == ["x.service"]
    assert found["system_state"] == "degraded"
    assert (found["release"], found["boot_id"]) == (OLD, BOOT)


@pytest.mark.parametrize("out", ["", "{", "[" * 100_000, "{}", "[1, null]", "[{}]"])
def test_garbage_of_ip_is_no_traceback(out: str) -> None:
    found = health(NET, {**HEALTHY, "ip -j address show": {"out": out}})
    assert all(nic["addresses"] == [] for nic in found["nics"])


def test_what_cannot_be_asked_is_none() -> None:
    found = health({}, {})
    assert found["nics"] is None
    assert found["failed_units"] is None
    assert found["system_state"] is None
    assert found["default_routes"] == []
    assert set(found["unread"]) >= {"nics", "failed_units", "addresses", "routes"}


# --- evidence ------------------------------------------------------------------------------------------------------

JOURNAL = "journalctl -b -1 -k -o cat --no-pager -n 1 -g ^Linux version"
LAST = "journalctl -b -1 -n 6 -o cat --no-pager"


def evidence(files_: dict[str, t.Any] | None = None, commands: dict[str, t.Any] | None = None, **more: t.Any) -> str:
    host = tree({STATE_FILE: render_state(STATE), **(files_ or {})}, commands, **more)
    return " | ".join(collect_evidence(host, see(host)))


def test_evidence() -> None:
    stat = {
        STATE_FILE: {"mode": "0600", "mtime": 1000},
        "/var/crash/202611231810": {"mtime": 1200},
        "/var/crash/202611231700": {"mtime": 900},
    }
    said = evidence(
        {
            files.GUARD_REPORT: "crashready: not confirmed\n\x1b[31m\n",
            "/var/crash/202611231810/dump": "",
            "/var/crash/202611231700/dump": "",
        },
        {JOURNAL: {"out": "Linux version {0} (x)\n".format(NEW)}, LAST: {"out": "one\ntwo\n"}},
        stat=stat,
    )
    assert "{0} was to be booted once; the host runs {1}".format(NEW, OLD) in said
    assert "the guard of the trial ended it: crashready: not confirmed" in said
    assert "a dump came since: /var/crash/202611231810" in said
    assert "202611231700" not in said
    assert "its journal ends with: one / two" in said
    assert "\x1b" not in said


def test_a_trial_that_left_nothing() -> None:
    stat = {STATE_FILE: {"mode": "0600"}}
    said = evidence(None, {JOURNAL: {"out": "Linux version {0} (x)\n".format(OLD)}}, stat=stat)
    assert "left nothing behind" in said
    still = evidence({"/boot/grub/grubenv": grubenv(next_entry="crashready-trial")}, stat=stat)
    assert "has not taken the choice" in still
