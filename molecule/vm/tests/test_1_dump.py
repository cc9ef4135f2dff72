# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""After a real panic: the dump is there, is opened, and is this very panic's; the host is armed again."""

from __future__ import annotations

import re
import typing as t

import pytest

testinfra_hosts = ["ansible://rack"]


def facts(host: t.Any) -> dict[str, t.Any]:
    return host.ansible("rackops.crashready.crash_facts", check=False)["ansible_facts"]["crashready"]


def changes(host: t.Any, check: bool, options: str = "") -> list[str]:
    result = host.ansible("rackops.crashready.kdump", options or None, check=check)
    assert "changes" in result, result
    return [change["name"] for change in result["changes"]]


def test_host_is_armed_after_its_panic(host: t.Any) -> None:
    assert host.file("/sys/kernel/kexec_crash_loaded").content_string.strip() == "1"
    capture = facts(host)["capture"]
    assert capture["armed"] is True
    assert [p for p in capture["problems"] if p["severity"] == "error"] == []
    assert re.findall(r"crashkernel=\S+", host.file("/proc/cmdline").content_string) == ["crashkernel=256M"]
    assert capture["reserved_bytes"] == 256 * 1024 * 1024


def test_dump_is_opened_and_is_of_this_panic(host: t.Any) -> None:
    crashes = facts(host)["crashes"]
    assert len(crashes) == 1, crashes
    assert crashes[0]["valid"] is True, crashes
    name = host.check_output("hostname")
    result = host.ansible(
        "rackops.crashready.crash_dump_info",
        "newest=true expect={'build_id':'running','marker':'crashready-vm-panic of %s'}" % name,
        check=False,
    )
    assert result["opened"] is True, result
    assert result["problems"] == [], result


def test_makedumpfile_reads_the_dump(host: t.Any) -> None:
    """The same without a line of our code: dmesg out of the dump by Debian's own tool."""
    host.check_output("mkdir -p /root/opened && rm -f /root/opened/*")
    host.check_output("sh -c 'makedumpfile -R /root/opened/core < $(ls -d /var/crash/2*/dump.*)'")
    host.check_output("makedumpfile --dump-dmesg /root/opened/core /root/opened/dmesg")
    text = host.file("/root/opened/dmesg").content_string
    assert "crashready-vm-panic of " + host.check_output("hostname") in text
    assert "sysrq: Trigger a crash" in text
    assert "Kernel panic - not syncing: sysrq triggered crash" in text


def test_triage_names_this_panic(host: t.Any) -> None:
    """On the host itself, from the log beside the dump; a second look finds nothing new."""
    result = host.ansible("rackops.crashready.crash_triage", check=False)
    assert [record["kind"] for record in result["records"]] == ["sysrq"], result
    record = result["records"][0]
    assert (record["function"], record["path"], record["driver"]) == ("sysrq_handle_crash", "none", None)
    assert record["kernel"]["release"] == host.check_output("uname -r")
    assert [crash["record"]["signature"] for crash in facts(host)["crashes"]] == [record["signature"]]
    assert host.ansible("rackops.crashready.crash_triage", check=False)["changed"] is False


def test_dump_is_for_root_alone(host: t.Any) -> None:
    assert host.file("/var/crash").mode == 0o700
    assert host.run("su -s /bin/sh nobody -c 'ls /var/crash'").rc != 0


def test_capture_kernel_had_no_nic(host: t.Any) -> None:
    """The loaded command line keeps every NIC driver out (G25)."""
    loaded = facts(host)["capture"]["loaded"]["cmdline"]
    blocked = re.search(r"module_blacklist=(\S+)", loaded)
    assert blocked
    assert set(blocked.group(1).split(",")) == set(facts(host)["capture"]["nic_modules"])


# What only a real kernel shows: live settings, and what is loaded in memory.
DRIFT = {
    "live sysctl": ("sysctl -w kernel.panic_on_oops=0", ["sysctl kernel.panic_on_oops"]),
    "unloaded": ("kdump-config unload", ["load capture kernel"]),
    "other command line loaded": (
        "sed -i 's/panic=10/panic=11/' /var/crash/kexec_cmd",
        ["load capture kernel"],
    ),
    "capture initrd": ("rm /var/lib/kdump/initrd.img-$(uname -r)", ["capture_initrd {release}", "load capture kernel"]),
    "settings": (
        "sed -i 's/nr_cpus=1/nr_cpus=2/' /etc/default/kdump-tools",
        ["file /etc/default/kdump-tools", "load capture kernel"],
    ),
}


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_reported_and_mended(host: t.Any, name: str) -> None:
    damage, expected = DRIFT[name]
    expected = [change.format(release=host.check_output("uname -r")) for change in expected]
    host.check_output(damage)
    assert changes(host, check=True) == expected
    assert changes(host, check=False) == expected
    assert changes(host, check=True) == []
    assert host.file("/sys/kernel/kexec_crash_loaded").content_string.strip() == "1"
