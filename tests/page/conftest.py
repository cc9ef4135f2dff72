# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A rack for the page of `crashready report`: real cards and kernels, judged by the shipped database.

Firmware texts and PCI ids are those of the recorded machines in tests/unit/cases/trees and of
tests/unit/plugins/module_utils/_core/test_firmware.py; the hosts themselves are made up.
"""

from __future__ import annotations

import types
import typing as t

import pytest

from crashready._core import rack_view
from crashready._core.experiment import judge_experiment
from crashready._core.experimenttrial import trial_of
from crashready._core.judge import judge_host
from crashready.check import as_json, check_host
from crashready.pairings import load_database

Row = dict[str, t.Any]

TRIXIE = ("6.12.117+deb13-amd64", "6.12.117-1", "6.12.117")
BOOKWORM = ("6.1.0-37-amd64", "6.1.140-1", "6.1.140")
X710 = ("i40e", "8086", "1572", "Ethernet Controller X710 for 10GbE SFP+", "9.20 0x8000d8bd 1.3353.0")
X710_OLD = (*X710[:4], "6.01 0x8000351b 0.0.0")
CONNECTX = ("mlx5_core", "15b3", "1017", "MT27800 Family [ConnectX-5]", "16.25.1020 (MT_0000000080)")
AQUANTIA = ("atlantic", "1d6a", "07b1", "AQtion AQC107 NBase-T/IEEE 802.3an Ethernet Controller", "3.1.78")

NOT_ARMED = {
    "id": "not_armed",
    "severity": "error",
    "gap": "G2",
    "message": "no capture kernel is loaded (kexec_crash_loaded is 0), whatever the service unit says",
    "remedy": "run harden-crash.yml for this host",
}
OOPS = {
    "id": "panic_on_oops_off",
    "severity": "warning",
    "gap": "G31",
    "message": "an oops does not panic (kernel.panic_on_oops=0), so it leaves no dump",
    "remedy": "run harden-crash.yml for this host",
}


def facts_of(
    card: tuple[str, ...], kernel: tuple[str, ...] = TRIXIE, armed: bool | None = True, proven: bool | None = None
) -> Row:
    driver, vendor, device, model, firmware = card
    ids = {"vendor": vendor, "device": device, "subsystem_vendor": vendor, "subsystem_device": "0000", "unread": {}}
    nics = [
        {
            "name": "enp2s0f{0}".format(port),
            "mac": None,
            "driver": driver,
            "module": driver,
            "vf_of": None,
            "pci": {**ids, "address": "0000:02:00.{0}".format(port), "model": model},
            "unread": {},
            "driver_version": kernel[0],
            "firmware": {"raw": firmware, "parsed": None},
            "virtual": False,
        }
        for port in range(2)
    ]
    release, version, upstream = kernel
    problems = [] if armed else [NOT_ARMED, OOPS]
    unread = {} if proven else {"proven": "no drill is recorded on this host"}
    unread.update({} if armed is not None else {"armed": "permission denied (not root)"})
    return {
        "schema": 1,
        "nics": nics,
        "kernel": {
            "release": release,
            "package_version": version,
            "upstream_version": upstream,
            "machine": "x86_64",
            "stream": "stable",
            "taint": {"value": 0, "flags": []},
            "unread": {},
        },
        "capture": {
            "applicable": True,
            "armed": armed,
            "reserved_bytes": 268435456 if armed else 0,
            "proven": proven,
            "problems": problems if armed is not None else [],
            "unread": unread,
        },
        "crashes": [],
        "unread": {},
    }


@pytest.fixture(scope="session")
def row_of() -> t.Callable[..., Row]:
    """Makes a row of the report as the command does it."""
    database = load_database()

    def make(host: str, facts: t.Any, failure: str = "", **variables: t.Any) -> Row:
        place = rack_view.place_of(variables)
        if failure:
            told = {"state": "unknown", "capture": "unknown", "says": [failure], "pairings": None, "failure": failure}
            return rack_view.host_row(host, None, {**told, "cause": "no way to the host", "next": "is it up?"}, place)
        return rack_view.host_row(host, facts, as_json(check_host(host, facts, judge_host(facts, database))), place)

    return make


def crash(host: str, day: str, signature: str, **more: t.Any) -> Row:
    found = {"host": host, "event": day + host, "crashed_at": day + "T03:12:00+00:00"}
    return {**found, "signature": {"exact": signature, "similar": signature}, **more}


def soaked(number: int, phase: str, word: str, seconds: float, **more: t.Any) -> t.Any:
    """One host in a soak as an experiment counts it; the figures are those of docs/experiment.md."""
    counts = [int(seconds * 1.2e9), 0, int(seconds * 812000), int(seconds * 40000)]
    record = {
        "schema": 1,
        "id": "s-20261101T12{0:02}00-0001".format(number),
        "name": "rx-panic",
        "phase": phase,
        "side": "server",
        "host": "store4.example.org",
        "peer": "store5.example.org",
        "nic": "enp2s0f0",
        "address": "192.0.2.4",
        "peer_address": "192.0.2.5",
        "profile": {"name": "small-packets"},
        "planned_s": 3600,
        "boot_id": "00000000-0000-4000-8000-000000000001",
        "kernel": "6.16.3+deb13-amd64" if phase == "after" else TRIXIE[0],
        "kernel_package": None,
        "driver": "i40e",
        "firmware": X710_OLD[4],
        "started_at": "2026-11-01T12:{0:02}:00Z".format(number),
        "elapsed_s": seconds,
        "silent_s": seconds,
        "state": "running",
        "reason": None,
        "traffic": dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 0),
        "errors": {},
        "samples": [[seconds, *counts, 0, 61]],
        **more,
    }
    outcome = {"outcome": word, "time_to_panic_s": seconds, "last_sample_s": seconds, "dump": None, "reason": None}
    return trial_of(
        record, {**outcome, "signature": {"exact": "cr1:x:5d1f", "similar": "cr1:s:5d1f"}, "path": "nic_rx"}
    )


@pytest.fixture(scope="session")
def kit() -> types.SimpleNamespace:
    """What further racks are made of."""
    names = {"X710": X710, "CONNECTX": CONNECTX, "BOOKWORM": BOOKWORM}
    return types.SimpleNamespace(**names, facts_of=facts_of, crash=crash, soaked=soaked, judge=judge_experiment)


@pytest.fixture(scope="session")
def report(row_of: t.Callable[..., Row]) -> Row:
    """Three racks of fourteen hosts, as they are after a first run of harden-crash.yml."""
    rows = []
    for rack in range(3):
        for unit in range(1, 15):
            name = "{0}{1}.example.org".format(("store", "virt", "web")[rack], unit)
            where = {"crashready_rack_name": "Rack {0}".format("ABC"[rack]), "crashready_rack_unit": unit * 2}
            where["crashready_redundancy_group"] = ("storage", "virtualisation", "web")[rack]
            card, kernel, armed, proven = (X710, CONNECTX, X710)[rack], TRIXIE, True, unit < 9
            if (rack, unit) in ((0, 4), (2, 11)):
                card = X710_OLD
            if (rack, unit) in ((2, 2), (2, 3)):
                card, kernel = AQUANTIA, BOOKWORM
            if unit == 13:
                armed, proven = False, None
            if (rack, unit) == (1, 7):
                rows.append(row_of(name, None, "unreachable: no route to host", **where))
                continue
            known = None if (rack, unit) == (1, 9) else armed
            rows.append(row_of(name, facts_of(card, kernel, known, proven or None), **where))
    bnxt = {"kind": "page_fault", "path": "nic_rx", "driver": "atlantic", "kernel": BOOKWORM[0]}
    oom = {"kind": "oom_panic", "path": "none", "driver": None, "kernel": TRIXIE[0]}
    crashes = [
        *(crash("web2.example.org", day, "cr1:x:5d1f", **bnxt) for day in ("2026-09-03", "2026-10-11", "2026-11-02")),
        crash("web3.example.org", "2026-10-29", "cr1:x:5d1f", **bnxt),
        crash("virt3.example.org", "2026-10-02", "cr1:x:0a77", **oom),
    ]
    armed_since = {row["host"]: "2026-08-1{0}T08:00:00+00:00".format(number % 9) for number, row in enumerate(rows)}
    drilled = {"drill_id": "0", "drilled_at": "2026-11-20T10:00:00+00:00", "state": "proven", "kind": "sysrq"}
    drills = {row["host"]: drilled for row in rows if row["proven"]["state"]}
    return rack_view.make_report(rows, "2026-11-23T20:00:00+00:00", ["rack"], crashes, armed_since, drills)
