# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Keeping netconsole armed: against a folder that looks like configfs, and over links that the test makes itself."""

from __future__ import annotations

import json
import pathlib
import socket
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import netconsole
from ansible_collections.rackops.crashready.plugins.module_utils._core import netconsole as plan
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.routes import Way
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable

MAC = "52:54:00:12:34:56"
SETTINGS = plan.settings_from({"receiver": "203.0.113.9", "avoid": ["eth0"]})
#: As a target of Debian 12 has them; those of 6.12 have `release` besides.
ATTRIBUTES = ("dev_name", "enabled", "extended", "local_ip", "local_mac", "local_port", "remote_ip", "remote_mac")


@pytest.fixture
def base(tmp_path: pathlib.Path) -> pathlib.Path:
    """A configfs whose files keep what is written to them."""
    folder = tmp_path / plan.TARGET
    folder.mkdir()
    for name in (*ATTRIBUTES, "remote_port"):
        (folder / name).write_text("")
    (folder / "enabled").write_text("0")
    return tmp_path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """The way and the neighbour, as the test says."""
    said: dict[str, t.Any] = {"way": Way("eth1", "198.51.100.5", "198.51.100.1", False, False, "over eth1"), "mac": MAC}

    def way(*_about: t.Any) -> Way:
        if isinstance(said["way"], Exception):
            raise said["way"]
        return t.cast("Way", said["way"])

    monkeypatch.setattr(netconsole, "find_way", way)
    monkeypatch.setattr(netconsole, "_mac_of", lambda *_about: said["mac"])
    return said


def arm(base: pathlib.Path, settings: plan.Settings = SETTINGS) -> netconsole.State:
    return netconsole.arm(t.cast("t.Any", None), settings, str(base))


def values(base: pathlib.Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (base / plan.TARGET).iterdir()}


def test_armed_and_then_left_alone(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    assert arm(base) == netconsole.State(True, "eth1", "", True)
    found = values(base)
    assert (found["dev_name"], found["local_ip"], found["remote_ip"]) == ("eth1", "198.51.100.5", "203.0.113.9")
    assert (found["remote_mac"], found["remote_port"], found["local_port"]) == (MAC, "6666", "6665")
    assert (found["extended"], found["enabled"]) == ("1", "1")
    assert arm(base).changed is False


def test_another_gateway_sets_it_up_anew(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    arm(base)
    network["mac"] = "52:54:00:65:43:21"
    assert arm(base).changed is True
    assert values(base)["remote_mac"] == "52:54:00:65:43:21"


def test_what_the_kernel_switched_off_is_switched_on_again(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    """A NIC that goes away takes its target along (drivers/net/netconsole.c: NETDEV_UNREGISTER)."""
    arm(base)
    (base / plan.TARGET / "enabled").write_text("0")
    assert arm(base).changed is True
    assert values(base)["enabled"] == "1"


def test_a_network_that_is_away_leaves_what_was_set_up(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    arm(base)
    network["way"] = CoreError("no route leads there")
    state = arm(base)
    assert (state.armed, "what was set up before stays" in state.said) == (True, True)
    network["way"] = Unreadable("ip", "timed out after 20 s")
    assert arm(base).armed is True


def test_nothing_was_ever_set_up(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    network["way"] = CoreError("no route leads there")
    assert arm(base)[:3] == (False, None, "no route leads there")


@pytest.mark.parametrize(("suspect", "armed"), [("warn", True), ("refuse", False)])
def test_a_suspect_nic_alone(base: pathlib.Path, network: dict[str, t.Any], suspect: str, armed: bool) -> None:
    reason = "over eth0: it crosses eth0, whose pairing is not clear, and there is no other way"
    network["way"] = Way("eth0", "192.0.2.5", "192.0.2.1", True, True, reason)
    state = arm(base, SETTINGS._replace(suspect=suspect))
    assert (state.armed, "no other way" in state.said) == (armed, True)
    assert values(base)["enabled"] == ("1" if armed else "0")


def test_one_that_became_suspect_is_switched_off_where_that_is_refused(
    base: pathlib.Path, network: dict[str, t.Any]
) -> None:
    arm(base)
    network["way"] = network["way"]._replace(suspect=True, reason="and there is no other way")
    assert arm(base, SETTINGS._replace(suspect="refuse")).armed is False
    assert values(base)["enabled"] == "0"


def test_a_kernel_without_configfs(tmp_path: pathlib.Path, network: dict[str, t.Any]) -> None:
    (tmp_path / "file").write_text("")
    state = arm(tmp_path / "file")
    assert (state.armed, "the kernel does not take it" in state.said) == (False, True)


def test_disarm_takes_ours_alone(base: pathlib.Path, network: dict[str, t.Any]) -> None:
    (base / "admins").mkdir()
    arm(base)
    for path in (base / plan.TARGET).iterdir():
        path.unlink()  # configfs has no files to remove; a folder here does
    netconsole.disarm(str(base))
    assert [path.name for path in base.iterdir()] == ["admins"]
    netconsole.disarm(str(base))


def test_a_network_that_is_never_quiet_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(netconsole.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(netconsole, "_RESTLESS_S", 5)
    # Always something to read: what is taken is there again at once.
    monkeypatch.setattr(netconsole.select, "select", lambda *_about: ([1], [], []))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as quiet:
        quiet.setblocking(False)
        netconsole._wait(quiet)
    assert next(now) < 20


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"receiver": "name.example.org"},
        {"receiver": "192.0.2.1", "port": 0},
        {"receiver": "192.0.2.1", "interface": "eth0; reboot"},
        {"receiver": "192.0.2.1", "suspect": "perhaps"},
        {"receiver": "192.0.2.1", "avoid": ["../.."]},
        {"receiver": "192.0.2.1", "else": 1},
    ],
)
def test_settings_that_cannot_be_meant(given: dict[str, t.Any]) -> None:
    with pytest.raises(CoreError):
        plan.settings_from(given)


def test_settings_come_back_from_their_file() -> None:
    assert plan.parse(plan.render(SETTINGS)) == SETTINGS
    for text in ("", "[]", "{", "{}"):
        with pytest.raises(CoreError):
            plan.parse(text)


# --- over real links --------------------------------------------------------------------------------------------------

NETWORK = """\
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip netns add far
for n in 0 1; do
    ip link add eth$n type veth peer name p$n
    ip link set p$n netns far
    ip link set eth$n up
    ip netns exec far ip link set p$n up
done
ip link set lo up
ip addr add 192.0.2.5/24 dev eth0
ip addr add 198.51.100.5/24 dev eth1
ip netns exec far sh -c '
    ip link set lo up
    ip addr add 192.0.2.1/24 dev p0
    ip addr add 198.51.100.1/24 dev p1
    ip addr add 203.0.113.9/32 dev lo
    cat /sys/class/net/p0/address /sys/class/net/p1/address'
ip route add default via 192.0.2.1
ip route add default via 198.51.100.1 metric 100
mount -t sysfs none /sys
"""

#: Prints a line for each look: with both NICs, past eth0, after eth1 lost its link.
LOOK = """\
import json, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from crashready._change.netconsole import arm
from crashready._core.netconsole import TARGET, settings_from
from crashready._host.local import LocalHost
base = sys.argv[2]
def look(avoid, **more):
    state = arm(LocalHost(), settings_from({"receiver": "203.0.113.9", "avoid": avoid, **more}), base)
    found = {name: open("%s/%s/%s" % (base, TARGET, name)).read() for name in ("dev_name", "local_ip", "remote_mac")}
    print(json.dumps({**found, "armed": state.armed, "said": state.said}))
look([])
look(["eth0"])
subprocess.run(["ip", "link", "set", "eth1", "down"], check=True)
look(["eth0"])
look(["eth0"], suspect="refuse")
subprocess.run(["ip", "link", "set", "eth1", "up"], check=True)
subprocess.run("ip route add default via 198.51.100.1 metric 100; ip netns exec far ip link set p0 down", shell=True)
time.sleep(0.5)
look([])
"""


def test_over_real_links(base: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The gateway's MAC is asked for over the NIC that is chosen, and another NIC is found when its link is gone."""
    from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

    program = tmp_path / "netconsole.pyz"
    program.write_bytes(host_program.build("netconsole"))
    words = "exec '{0}' -I -c \"$LOOK\" '{1}' '{2}'".format(sys.executable, program, base)
    argv = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", NETWORK + words]
    done = subprocess.run(
        argv, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LOOK": LOOK}, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 and "Traceback" not in done.stderr:
        pytest.skip("no links can be made here: {0}".format(done.stderr.strip()[-200:]))
    assert done.returncode == 0, done.stderr
    p0, p1, *looks = lines
    both, past, down, refused, lost = (json.loads(line) for line in looks)
    assert (both["dev_name"], both["remote_mac"]) == ("eth0", p0)
    assert (past["dev_name"], past["local_ip"], past["remote_mac"]) == ("eth1", "198.51.100.5", p1)
    assert (down["dev_name"], down["armed"], "no other way" in down["said"]) == ("eth0", True, True)
    assert (refused["armed"], "no other way" in refused["said"]) == (False, True)
    assert (lost["dev_name"], lost["remote_mac"]) == ("eth1", p1), "the route over eth0 is still there, its link is not"
