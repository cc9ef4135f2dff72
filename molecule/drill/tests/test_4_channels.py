# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Other ways out of a guest that panics, and its dump on another machine after the boot.

NEEDS THE VIRTUAL MACHINES of this scenario: a panic and a boot each. The receiver of netconsole runs on the controller,
which a guest reaches as 10.0.2.2 through its first card (QEMU's user network).
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import typing as t

import pytest

PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
CONTROLLER = "10.0.2.2"
#: As systemd gives it: the port is descriptor 3.
AS_THIRD = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
#: The program of the collection, without Ansible: its modules are found from the checkout.
BUILD = (
    "import importlib.util, sys; "
    "s = importlib.util.spec_from_file_location('host_program', sys.argv[1]); "
    "m = importlib.util.module_from_spec(s); sys.modules['host_program'] = m; s.loader.exec_module(m); "
    "sys.stdout.buffer.write(m.build('receiver'))"
)


class Receiver(t.NamedTuple):
    """A receiver on the controller."""

    port: int
    folder: pathlib.Path


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Receiver]:
    place = tmp_path_factory.mktemp("receiver")
    logs, program, config = place / "logs", place / "receiver.pyz", place / "config.json"
    logs.mkdir()
    source = str(PROJECT / "plugins" / "plugin_utils" / "host_program.py")
    program.write_bytes(subprocess.run([sys.executable, "-c", BUILD, source], capture_output=True, check=True).stdout)
    config.write_text("{}", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        number = port.fileno()
        argv = [sys.executable, "-c", AS_THIRD, str(number), sys.executable, "-I", str(program), str(config)]
        env = {**os.environ, "LISTEN_FDS": "1", "LOGS_DIRECTORY": str(logs)}
        process = subprocess.Popen(argv, env=env, pass_fds=(number,))
        try:
            yield Receiver(port.getsockname()[1], logs)
        finally:
            process.terminate()
            process.wait(20)


def module(on: t.Any, module_name: str, **given: t.Any) -> dict[str, t.Any]:
    result = on.host.ansible("rackops.crashready." + module_name, json.dumps(given), check=False, become=True)
    # ansible-core 2.19 no longer writes "failed" where testinfra reads; a module that fails returns no plan.
    assert "changes" in result, result
    return t.cast("dict[str, t.Any]", result)


def armed(box: t.Any) -> dict[str, t.Any]:
    return {each["name"]: each["armed"] for each in box.facts()["channels"]}


@pytest.fixture(params=["trixie", "bookworm"])
def box(request: pytest.FixtureRequest) -> t.Any:
    return request.getfixturevalue(request.param)


def test_netconsole_brings_the_panic(box: t.Any, receiver: Receiver) -> None:
    done = module(
        box,
        "crash_channels",
        netconsole_receiver=CONTROLLER,
        netconsole_port=receiver.port,
        manage_boot_loader=False,
    )
    assert (
        module(
            box,
            "crash_channels",
            netconsole_receiver=CONTROLLER,
            netconsole_port=receiver.port,
            manage_boot_loader=False,
        )["changed"]
        is False
    )
    states = {each["name"]: each for each in done["channels"]}
    enabled = "/sys/kernel/config/netconsole/crashready/enabled"
    box.sh("for i in 1 2 3 4 5 6 7 8 9 10; do grep -q 1 {0} && break; sleep 2; done".format(enabled))
    assert armed(box)["netconsole"] is True, (states, box.sh("journalctl --no-pager -n 20 -u crashready-netconsole"))
    assert armed(box)["serial"] is True
    assert armed(box)["pstore"] is False
    drilled = box.drill(
        "-e",
        json.dumps(
            {
                "crash_drill_receiver": "localhost",
                "crash_drill_receiver_folder": str(receiver.folder),
                "crash_drill_console_command": "tail -c 200000 {0}".format(box.guest.console),
            }
        ),
    )
    assert drilled.outcome["state"] == "proven", drilled.text[-6000:]
    found = {each["name"]: each for each in drilled.outcome["channels"]}
    for name in ("kdump", "netconsole", "serial", "journal"):
        assert found[name]["state"] == "proven", found
    assert found["pstore"]["state"] in ("not armed", "not proven"), found
    assert armed(box)["netconsole"] is True, "it is armed again after the boot, by its unit"


def test_a_receiver_that_is_away_takes_nothing_from_the_proof(trixie: t.Any, tmp_path: pathlib.Path) -> None:
    names = {"crash_drill_receiver": "localhost", "crash_drill_receiver_folder": str(tmp_path / "nothing")}
    drilled = trixie.drill("-e", json.dumps(names))
    assert drilled.outcome["state"] == "proven", drilled.text[-6000:]
    found = {each["name"]: each["state"] for each in drilled.outcome["channels"]}
    assert found["netconsole"] == "not seen"


def test_netconsole_is_taken_back(box: t.Any) -> None:
    module(box, "crash_channels", state="absent", manage_boot_loader=False)
    assert armed(box)["netconsole"] is False
    assert box.sh("ls /sys/kernel/config/netconsole 2>/dev/null | wc -l").strip() == "0"


def test_the_receiver_runs_in_its_sandbox(box: t.Any) -> None:
    """DynamicUser= and a network namespace of its own: what a container cannot have."""
    module(box, "netconsole_receiver", port=16666)
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        's.sendto(b"0,1,2,-;Kernel panic - not syncing: test\\n", ("127.0.0.1", 16666))'
    )
    box.sh("python3 -c '{0}'".format(send))
    path = "/var/log/crashready-netconsole/127.0.0.1.log"
    box.sh("for i in 1 2 3 4 5 6 7 8 9 10; do test -e {0} && break; sleep 1; done".format(path))
    assert "Kernel panic - not syncing: test" in box.read(path)
    assert box.sh("stat -Lc %U /var/log/crashready-netconsole").strip() not in ("root", "")
    module(box, "netconsole_receiver", state="absent")
    box.sh("rm -rf /var/log/crashready-netconsole /var/log/private/crashready-netconsole")


def test_dump_is_shipped_after_the_boot(trixie: t.Any, bookworm: t.Any) -> None:
    """From one guest to the sshd of the other, through the port of the controller that leads there."""
    key = " ".join(bookworm.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    given = {"name": "drill-trixie", "to": "ssh", "host": CONTROLLER, "port": bookworm.guest.port, "user": "root"}
    done = module(trixie, "dump_ship", **given, folder="/root/kept", known_hosts="{0} {1}".format(CONTROLLER, key))
    bookworm.sh("echo 'restrict {0}' >>/root/.ssh/authorized_keys".format(done["public_key"]))
    trixie.sh("systemctl start crashready-ship.service || { journalctl --no-pager -n 40 -u crashready-ship; exit 1; }")
    sums = "find {0} -type f -name 'dump.*' -exec sha256sum {{}} + | cut -c1-64 | sort"
    assert trixie.sh(sums.format("/var/crash")) == bookworm.sh(sums.format("/root/kept/drill-trixie")) != ""
    # A far end that is another machine than the one whose key was pinned gets nothing, and the unit is not green.
    bookworm.sh("rm -rf /root/kept")
    trixie.sh(
        "rm /var/lib/crashready/ship.json; sed -i 's/AAAA[0-9A-Za-z+/]\\{10\\}/AAAAC3NzaC1lZDI/' "
        "/etc/crashready/ship_known_hosts"
    )
    assert trixie.sh("systemctl start crashready-ship.service >/dev/null 2>&1 || echo failed").strip() == "failed"
    assert bookworm.sh("test -e /root/kept || echo nothing").strip() == "nothing"
    module(trixie, "dump_ship", state="absent")
