# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Channels and copies on real Debian with a systemd: files, units, a datagram, a copy over SSH; and all of it away."""

from __future__ import annotations

import json
import time
import typing as t

import pytest

CHANNELS = {"netconsole_receiver": "192.0.2.9", "serial": "ttyS0,115200n8", "pstore_before_kdump": True}
UNITS = "/etc/systemd/system/"
STAMP = "202601010000"
LOOK = (
    "sh -c 'find /etc/systemd /etc/modules-load.d /etc/modprobe.d /etc/default /etc/crashready /usr/local/lib"
    " /var/lib/crashready -type f -o -type l 2>/dev/null | sort; cat /boot/grub/grub.cfg | sha256sum'"
)


@pytest.fixture(autouse=True)
def one_release(host: t.Any) -> None:
    """One host is enough for a few seconds of test; the other release has the same systemd features."""
    if host.check_output("hostname") != "crashready-trixie":
        pytest.skip("on Debian 13 alone")


def module(on: t.Any, module_name: str, check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    result = on.ansible("rackops.crashready." + module_name, json.dumps(given), check=check)
    # ansible-core 2.19 no longer writes "failed" where testinfra reads; a module that fails returns no plan.
    assert "changes" in result, result
    return t.cast("dict[str, t.Any]", result)


def test_channels_there_and_away_again(host: t.Any) -> None:
    before = host.check_output(LOOK)
    foretold = module(host, "crash_channels", check=True, **CHANNELS)
    assert host.check_output(LOOK) == before, "check mode changes nothing"
    done = module(host, "crash_channels", **CHANNELS)
    assert [each["name"] for each in done["changes"]] == [each["name"] for each in foretold["changes"]]
    assert host.file("/etc/default/grub.d/zz-crashready-channels.cfg").exists
    menu = host.file("/boot/grub/grub.cfg").content_string
    assert "console=ttyS0,115200n8 console=tty0" in menu
    assert "crash_kexec_post_notifiers=1" in menu
    # In a container there is no configfs: the unit runs, and says why nothing is armed.
    assert host.service("crashready-netconsole.service").is_running, host.check_output(
        "journalctl -n 20 -u crashready-netconsole.service"
    )
    assert {each["armed"] for each in done["channels"]} == {None}
    assert module(host, "crash_channels", **CHANNELS)["changed"] is False
    module(host, "crash_channels", state="absent")
    assert host.check_output(LOOK) == before
    assert module(host, "crash_channels", state="absent")["changed"] is False


#: A container may make no mount namespace, and DynamicUser= insists on one; its user stands for that here.
DROP_IN = UNITS + "crashready-netconsole-receiver.service.d"


def test_the_receiver_keeps_a_datagram(host: t.Any) -> None:
    host.check_output(
        "sh -c 'mkdir -p {0}; printf \"[Service]\\nDynamicUser=no\\nUser=daemon\\n\" >{0}/a.conf'".format(DROP_IN)
    )
    module(host, "netconsole_receiver", port=16666)
    assert module(host, "netconsole_receiver", port=16666)["changed"] is False
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        's.sendto(b"0,1,2,-;Kernel panic - not syncing: test\\n", ("127.0.0.1", 16666))'
    )
    host.check_output("python3 -c %s", send)
    path = "/var/log/crashready-netconsole/127.0.0.1.log"
    limit = time.monotonic() + 20
    while not host.file(path).exists and time.monotonic() < limit:
        time.sleep(0.2)
    journal = host.check_output("journalctl --no-pager -n 20 -u crashready-netconsole-receiver.service")
    assert host.file(path).exists, journal
    assert "[    0.000002] Kernel panic - not syncing: test" in host.file(path).content_string
    assert host.file(path).user != "root", "it runs as a user of its own"
    module(host, "netconsole_receiver", state="absent")
    assert not host.file(UNITS + "crashready-netconsole-receiver.socket").exists
    assert host.file(path).exists, "what it kept stays"
    host.check_output("rm -rf /var/log/crashready-netconsole %s" % DROP_IN)


def test_a_dump_is_copied_over_ssh(host: t.Any) -> None:
    """To the host's own sshd, by the service as systemd runs it."""
    crash = "/var/crash/" + STAMP
    made = "umask 077; mkdir -p {0}; head -c 300000 /dev/urandom >{0}/dump.{1}; touch -d '1 hour ago' {0}/dump.{1}"
    host.check_output('sh -c "%s"' % made.format("/var/tmp/" + STAMP, STAMP))
    key = host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()[:2]
    given = {"name": "self", "to": "ssh", "host": "127.0.0.1", "user": "root", "folder": "/root/kept"}
    given["known_hosts"] = "127.0.0.1 " + " ".join(key)
    host.check_output("cp -p /root/.ssh/authorized_keys /root/authorized_keys.before")
    try:
        done = module(host, "dump_ship", **given)
        assert host.file("/etc/crashready/ship_key").mode == 0o600
        host.check_output("sh -c 'echo restrict %s >>/root/.ssh/authorized_keys'" % done["public_key"])
        assert module(host, "dump_ship", **given)["changed"] is False
        # Not before the key is allowed: the path unit sees the dump at once, and the next try is minutes away.
        host.check_output("mv /var/tmp/%s %s" % (STAMP, crash))
        started = host.run("systemctl start crashready-ship.service")
        assert started.rc == 0, host.check_output("journalctl --no-pager -n 30 -u crashready-ship.service")
        sums = host.check_output("sha256sum {0}/dump.{1} /root/kept/self/{1}/dump.{1}".format(crash, STAMP)).split()
        assert sums[0] == sums[2]
        module(host, "dump_ship", state="absent")
        assert not host.file("/etc/crashready/ship_key").exists
        assert host.file("/root/kept/self/{0}/dump.{0}".format(STAMP)).exists
    finally:
        host.check_output("mv /root/authorized_keys.before /root/.ssh/authorized_keys")
        host.check_output("rm -rf /root/kept /var/tmp/%s %s" % (STAMP, crash))
