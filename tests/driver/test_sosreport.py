# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Archives of `sos report`: the same facts as from the machine, as far as they are in it, and no stranger's tricks."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
import typing as t

import pytest

from crashready import sosreport
from crashready._host.nics import collect_nics
from crashready._host.tree import TreeHost
from crashready.sosreport import NOT_RECORDED, Unusable, facts_of_sosreport

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = json.loads((ROOT / "tests/unit/cases/trees/x710-da4.json").read_text(encoding="utf-8"))
GUEST = json.loads((ROOT / "tests/unit/cases/trees/guest-bookworm-e1000e.json").read_text(encoding="utf-8"))

#: As pciutils 3.9 prints the cards of that tree with -nnvv; names are those of its pci.ids.
LSPCI = """\
00:01.1 PCI bridge [0604]: Advanced Micro Devices, Inc. [AMD] Renoir PCIe GPP Bridge [1022:1633]
\tKernel driver in use: pcieport

02:00.0 Ethernet controller [0200]: Intel Corporation Ethernet Controller X710 for 10GbE SFP+ [8086:1572] (rev 02)
\tSubsystem: Intel Corporation Ethernet Converged Network Adapter X710-4 [8086:0002]
\tControl: I/O- Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR- FastB2B- DisINTx+
\tKernel driver in use: i40e
\tKernel modules: i40e

02:00.1 Ethernet controller [0200]: Intel Corporation Ethernet Controller X710 for 10GbE SFP+ [8086:1572] (rev 02)
\tSubsystem: Intel Corporation Ethernet Converged Network Adapter X710 [8086:0000]
\tKernel driver in use: i40e
\tKernel modules: i40e

02:00.2 Ethernet controller [0200]: Intel Corporation Ethernet Controller X710 for 10GbE SFP+ [8086:1572] (rev 02)
\tSubsystem: Intel Corporation Ethernet Converged Network Adapter X710 [8086:0000]
\tKernel driver in use: i40e
\tKernel modules: i40e
"""

#: uname -a of the recorded guest, put together from its /proc/version and host name.
UNAME = "Linux guest 6.1.0-56-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16) x86_64 GNU/Linux\n"

DPKG = """\
Desired=Unknown/Install/Remove/Purge/Hold
| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend
|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)
||/ Name                         Version          Architecture Description
+++-============================-================-============-=============================
ii  linux-image-6.1.0-56-amd64   6.1.192-2        amd64        Linux 6.1 for 64-bit PCs (signed)
rc  linux-image-6.1.0-50-amd64   6.1.180-1        amd64        Linux 6.1 for 64-bit PCs (signed)
ii  dpkg                         1.21.22          amd64        Debian package management system
"""

CHANNELS = """\
Channel parameters for enp2s0f0:
Pre-set maximums:
RX:\t\tn/a
TX:\t\tn/a
Other:\t\t1
Combined:\t24
Current hardware settings:
RX:\t\t0
TX:\t\t0
Other:\t\t1
Combined:\t16
"""


def ethtool_i(info: dict[str, str]) -> str:
    """As ethtool 6.1 prints it."""
    return (
        "driver: {driver}\nversion: {version}\nfirmware-version: {firmware}\nexpansion-rom-version: \n"
        "bus-info: {bus_info}\nsupports-statistics: yes\nsupports-test: yes\n"
    ).format(**info)


def files() -> dict[str, str]:
    found = {
        "sos_commands/networking/ethtool_-i_" + name: ethtool_i(info)
        for name, info in TREE["ethtool"].items()
        if "error" not in info
    }
    bridge = {"driver": "bridge", "version": "2.3", "firmware": "N/A", "bus_info": "N/A"}
    found.update(
        {
            "sos_commands/networking/ethtool_-i_br0": ethtool_i(bridge),
            "sos_commands/networking/ethtool_-l_enp2s0f0": CHANNELS,
            "sos_commands/pci/lspci_-nnvv": LSPCI,
            "sos_commands/kernel/uname_-a": UNAME,
            "sos_commands/kernel/sysctl_-a": "kernel.tainted = 0\nkernel.panic = 180\nnet.core.x = 1\n",
            "sos_commands/dpkg/dpkg_-l": DPKG,
            "sos_commands/host/hostname": "store1\n",
            "etc/os-release": GUEST["files"]["/etc/os-release"]
            if isinstance(GUEST["files"]["/etc/os-release"], str)
            else "ID=debian\n",
            "sys/kernel/kexec_crash_loaded": "1\n",
            "sys/kernel/kexec_crash_size": "268435456\n",
            "proc/cmdline": "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 crashkernel=256M\n",
        }
    )
    return found


def archive(path: pathlib.Path, inside: dict[str, str | bytes], top: str = "sosreport-store1-2026-11-23-abc") -> str:
    mode: t.Any = "w:" + (path.suffix[1:] if path.suffix in (".xz", ".gz", ".bz2") else "")
    with tarfile.open(path, mode) as tar:
        for name, content in inside.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo("{0}/{1}".format(top, name) if top else name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return str(path)


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".tar.gz", ".tar.bz2"])
def test_nics_are_those_of_the_machine(tmp_path: pathlib.Path, suffix: str) -> None:
    name, facts = facts_of_sosreport(archive(tmp_path / ("sosreport-x" + suffix), dict(files())))
    assert name == "store1"
    by_name = {nic["name"]: nic for nic in facts["nics"]}
    for nic in collect_nics(TreeHost(TREE)):
        ours = by_name.pop(nic["name"])
        for field in ("driver", "module", "driver_version", "firmware", "virtual"):
            assert ours[field] == nic[field], field
        ids = ("address", "vendor", "device", "subsystem_vendor", "subsystem_device")
        assert [ours["pci"][key] for key in ids] == [nic["pci"][key] for key in ids]
        assert ours["unread"]["mac"] == NOT_RECORDED
    assert list(by_name) == ["br0"]
    assert by_name["br0"]["virtual"] is True
    first = next(nic for nic in facts["nics"] if nic["name"] == "enp2s0f0")
    assert first["queues"] == {"rx": 0, "tx": 0, "combined": 16, "other": 1}
    assert first["pci"]["model"] == "Intel Corporation Ethernet Controller X710 for 10GbE SFP+"


def test_kernel_and_capture(tmp_path: pathlib.Path) -> None:
    _name, facts = facts_of_sosreport(archive(tmp_path / "a.tar", dict(files())))
    kernel, capture = facts["kernel"], facts["capture"]
    assert (kernel["release"], kernel["machine"]) == ("6.1.0-56-amd64", "x86_64")
    assert (kernel["package"], kernel["package_version"]) == ("linux-image-6.1.0-56-amd64", "6.1.192-2")
    assert kernel["taint"]["value"] == 0
    assert (capture["armed"], capture["reserved_bytes"]) == (True, 268435456)
    assert capture["problems"] is None
    assert capture["unread"]["problems"] == NOT_RECORDED


def test_what_was_not_recorded_is_not_said_to_be_absent(tmp_path: pathlib.Path) -> None:
    few = {"sos_commands/kernel/uname_-a": UNAME, "sos_commands/host/hostname": "h\n"}
    _name, facts = facts_of_sosreport(archive(tmp_path / "a.tar", dict(few)))
    assert facts["nics"] is None
    assert facts["unread"]["nics"] == NOT_RECORDED
    assert facts["capture"]["armed"] is None
    reasons = [*facts["kernel"]["unread"].values(), *facts["capture"]["unread"].values()]
    assert "not found" not in reasons


@pytest.mark.parametrize(
    "content", [b"", b"not a tar", b"\x1f\x8b" + b"x" * 100, b"\xfd7zXZ\x00" + b"x" * 100, b"BZh9" + b"x" * 100]
)
def test_what_is_no_archive(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "a.tar.xz"
    path.write_bytes(content)
    with pytest.raises(Unusable):
        facts_of_sosreport(str(path))


def test_a_cut_archive_and_one_of_another_tool(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(archive(tmp_path / "a.tar.xz", dict(files())))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable):
        facts_of_sosreport(str(path))
    with pytest.raises(Unusable, match="no sos_commands"):
        facts_of_sosreport(archive(tmp_path / "b.tar", {"etc/os-release": "ID=debian\n"}))


def test_tricks(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that lead out, links, devices, bombs: nothing is written, nothing is followed, all is bounded."""
    path = tmp_path / "evil.tar"
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    with tarfile.open(path, "w") as tar:
        for name, kind, target in (
            ("top/../../../etc/os-release", tarfile.REGTYPE, ""),
            ("top/etc/os-release", tarfile.SYMTYPE, str(secret)),
            ("top/proc/cmdline", tarfile.LNKTYPE, str(secret)),
            ("top/proc/meminfo", tarfile.CHRTYPE, ""),
            ("top/sys/kernel/kexec_crash_loaded", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member, io.BytesIO(b""))
        member = tarfile.TarInfo("top/sos_commands/kernel/uname_-a")
        data = b"Linux h \x1b[31m\x00 x x x x\n" * 3
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    before = sorted(tmp_path.iterdir())
    _name, facts = facts_of_sosreport(str(path))
    assert "hidden" not in json.dumps(facts)
    assert "\x1b" not in str(facts["kernel"]["release"])
    assert sorted(tmp_path.iterdir()) == before
    big = dict(files())
    big["sos_commands/pci/lspci_-nnvv"] = "x" * 2_000_000
    monkeypatch.setattr(sosreport, "_KEPT_LIMIT", 1_000_000)
    with pytest.raises(Unusable, match="more than"):
        facts_of_sosreport(archive(tmp_path / "big.tar", dict(big)))
    monkeypatch.setattr(sosreport, "_MEMBERS_LIMIT", 3)
    with pytest.raises(Unusable, match="more than"):
        facts_of_sosreport(archive(tmp_path / "many.tar", dict(files())))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sos_commands/networking/ethtool_-i_../../x", "driver: e1000e\n"),
        ("sos_commands/networking/ethtool_-i_eth0", "driver: ../../../../etc\nbus-info: 0000:00:1f.6\n"),
        ("sos_commands/networking/ethtool_-i_eth0", "driver: \x00\x1b\nbus-info: ::::\n"),
        ("sos_commands/networking/ethtool_-i_eth0.100", "driver: 802.1Q VLAN Support\nbus-info:\n"),
        ("sos_commands/networking/ethtool_-l_eth0", "Current hardware settings:\nRX: 99999999999999999999999\n"),
        ("sos_commands/pci/lspci_-nnvv", "00:00.0 [[[[ " + "[1111]: " * 50_000),
        ("sos_commands/kernel/sysctl_-a", "kernel.a/../b = 1\nkernel.tainted = x\n"),
        ("sos_commands/dpkg/dpkg_-l", "ii  " + "x" * 100_000),
        ("sys/class/net/eth0/device/numa_node", "\xff"),
    ],
)
def test_hostile_parts(tmp_path: pathlib.Path, name: str, content: str) -> None:
    inside = dict(files())
    inside[name] = content
    _host, facts = facts_of_sosreport(archive(tmp_path / "a.tar", dict(inside)))
    json.dumps(facts)
    assert "\x1b" not in json.dumps(facts, ensure_ascii=False)
