# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A drill proves a capture that works, measures it, and the proof lapses by itself."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest

MIB = 1024 * 1024
LEFT_BEHIND = (
    "/etc/crashready",
    "/etc/systemd/system/crashready-capture-record.service",
    "/etc/systemd/system/kdump-tools-dump.service.d",
    "/var/lib/crashready/drill.json",
    "/var/lib/crashready/capture.json",
)


@pytest.fixture(params=["trixie", "bookworm"])
def box(request: pytest.FixtureRequest) -> t.Any:
    return request.getfixturevalue(request.param)


def assert_proven(drilled: t.Any) -> None:
    assert drilled.outcome["state"] == "proven", drilled.text[-6000:]
    assert drilled.code == 0


def test_before_any_drill_nothing_is_proven(box: t.Any) -> None:
    capture = box.facts()
    assert capture["armed"] is True
    assert capture["proven"] is None
    assert capture["unread"]["proven"] == "no drill is recorded on this host"


def test_drill_proves_and_measures(box: t.Any) -> None:
    drilled = box.drill()
    assert_proven(drilled)
    record, proposal = drilled.outcome["record"], drilled.outcome["proposal"]
    reserved = record["identity"]["reserved_bytes"]
    assert record["dump_bytes"] > MIB
    assert 0 < record["seconds"] < 1800
    assert 0 < record["lowest_available_bytes"] < reserved
    assert record["oom_kills"] == 0
    assert proposal["bytes"] > 32 * MIB
    box.figure(
        "reserved {0} MiB, lowest available {1} MiB, capture {2} s, dump {3:.1f} MiB, back after {4:.0f} s".format(
            reserved // MIB,
            record["lowest_available_bytes"] // MIB,
            record["seconds"],
            record["dump_bytes"] / MIB,
            drilled.outcome["returned_after_s"],
        )
    )
    estimate = drilled.outcome["estimate"]
    box.figure("measured: crashkernel={0} = {1}".format(proposal["crashkernel"], proposal["reason"]))
    box.figure("estimated: crashkernel={0} = {1}".format(estimate["crashkernel"], estimate["reason"]))
    for entry in proposal["usual"]:
        box.figure("{whose} ({crashkernel}): {bytes} bytes, saved {saved_bytes}".format(**entry))
    assert all("not seen" not in part["for"] for part in estimate["parts"]), "every term was seen on a Debian guest"


def test_recorder_ran_in_the_capture_kernel_alone_and_is_gone(box: t.Any) -> None:
    console = box.console()
    assert "crashready-capture-record.service" in console or "Record of time and memory" in console, console[-4000:]
    for path in LEFT_BEHIND:
        assert box.sh("test -e {0} || echo gone".format(path)).strip() == "gone", path
    assert box.sh("stat -c '%a %U' /var/lib/crashready /var/lib/crashready/proof.json").split("\n")[:2] == [
        "700 root",
        "600 root",
    ]
    assert json.loads(box.read("/var/lib/crashready/proof.json"))["proven"] is True


def test_facts_say_proven_until_something_changes(box: t.Any) -> None:
    assert box.facts()["proven"] is True, box.facts()["unread"]
    box.sh("sed -i.before 's/panic=10/panic=11/' /etc/default/kdump-tools")
    try:
        capture = box.facts()
        assert capture["proven"] is False
        assert "has lapsed: the capture settings" in capture["unread"]["proven"]
    finally:
        box.sh("mv /etc/default/kdump-tools.before /etc/default/kdump-tools")
    assert box.facts()["proven"] is True


def test_a_controller_lost_after_the_panic_is_replaced(trixie: t.Any) -> None:
    process = trixie.start()
    trixie.wait_for_console("Kernel panic - not syncing: sysrq triggered crash")
    trixie.lose(process)
    drilled = trixie.drill()
    if drilled.outcome["state"] == "unreachable":  # still on its way back
        trixie.wait_boot()
        drilled = trixie.drill()
    assert_proven(drilled)
    assert "no further panic is made" in " ".join(drilled.outcome["notes"])
    assert trixie.console().count("sysrq: Trigger a crash") == 0


def test_nmi_from_outside(bookworm: t.Any, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "nmi.py"
    script.write_text(
        "import pathlib, sys\nfrom crashready.lab import qmp\nqmp.execute(pathlib.Path(sys.argv[1]), 'inject-nmi')\n",
        encoding="utf-8",
    )
    command = "{0} {1} {2}".format(sys.executable, script, bookworm.folder)
    drilled = bookworm.drill("--kind", "nmi", "-e", json.dumps({"crash_drill_nmi_command": command}))
    assert_proven(drilled)
    assert "Kernel panic - not syncing: NMI" in bookworm.console()


def test_panic_with_the_nic_under_load(trixie: t.Any) -> None:
    """UDP into the network of the card under test; nobody has to answer."""
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "while True:\n"
        '  try: s.sendto(bytes(1400), ("10.0.101.2", 9))\n'
        "  except OSError: pass\n"
    )
    load = "exec python3 -c '{0}'".format(program)
    assert_proven(trixie.drill("--kind", "under_load", "-e", json.dumps({"crash_drill_load_command": load})))
