# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Entries and hosts for tests of the judgement: the smallest that make sense, changed by each test."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.rackops.crashready.plugins.module_utils._core.coverage import read_coverage
from ansible_collections.rackops.crashready.plugins.module_utils._core.judge import Database
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_entry import read_entry

#: Ranges of CVE-2025-68301 (atlantic) as the kernel CNA and Debian's changelogs have them.
ENTRY: dict[str, t.Any] = {
    "id": "atlantic-test",
    "driver": "atlantic",
    "modules": ["atlantic"],
    "pci": [{"vendor": "1d6a", "devices": ["07b1", "94c0"]}],
    "firmware": {"part_of_pairing": False},
    "kernel": {
        "fixed_mainline": {"commit": "5ffcb7b890f6", "version": "6.18", "version_evidence": "kernel-cna"},
        "affected": [
            {"branch": "6.1", "first_bad": "6.1.0", "first_good": "6.1.159"},
            {"branch": "6.12", "first_bad": "6.12.0", "first_good": "6.12.61"},
            {"branch": "mainline", "first_bad": "5.18", "first_good": "6.18"},
        ],
    },
    "debian": {
        "bookworm": {"fixed": "6.1.159-1"},
        "trixie": {"fixed": "6.12.63-1"},
        "bookworm_security_6_12": {"fixed": "6.12.96-1~deb12u1"},
        "bookworm_backports": {"fixed": "6.12.63-1~bpo12+1"},
    },
    "symptom": {
        "class": "panic",
        "trigger": "traffic",
        "functions": ["skb_add_rx_frag_netmem"],
        "summary": "It panics.",
    },
    "remedy": {
        "kernel": "6.1.159, 6.12.61",
        "actions": [{"kind": "ethtool", "command": "ethtool -K {nic} gro off", "says": "keeps out of it"}],
    },
    "confidence": "confirmed-upstream",
    "suggested_use": "pin",
    "sources": ["kernel CNA record CVE-2025-68301"],
}

NIC: dict[str, t.Any] = {
    "name": "enp1s0",
    "mac": "00:00:5e:00:53:01",
    "pci": {"vendor": "1d6a", "device": "07b1", "subsystem_vendor": "1043", "subsystem_device": "8741", "unread": {}},
    "driver": "atlantic",
    "module": "atlantic",
    "driver_version": "6.1.0-37-amd64",
    "firmware": {"raw": "3.1.78", "parsed": None},
    "virtual": False,
    "vf_of": None,
    "unread": {},
}

KERNEL: dict[str, t.Any] = {
    "release": "6.1.0-37-amd64",
    "machine": "x86_64",
    "package_version": "6.1.140-1",
    "upstream_version": "6.1.140",
    "stream": "stable",
    "stream_reason": "the release's own kernel 6.1.140-1",
    "taint": {"value": 0, "flags": []},
    "candidates": None,
}

COVERAGE = {
    "branches": {"6.1": {"until": "6.1.192"}, "6.12": {"until": "6.12.117"}},
    "drivers": {"atlantic": {}, "mlx5_core": {}, "qede": {}, "ice": {}, "igc": {}},
}


def entry(**changes: t.Any) -> dict[str, t.Any]:
    """The mapping of ENTRY with these keys set; None takes one away."""
    found = copy.deepcopy(ENTRY)
    found.update(changes)
    return {key: value for key, value in found.items() if value is not None}


def host(nic: dict[str, t.Any] | None = None, kernel: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Facts of a host with one NIC."""
    return {
        "schema": 1,
        "nics": [{**copy.deepcopy(NIC), **(nic or {})}],
        "kernel": {**copy.deepcopy(KERNEL), **(kernel or {})},
    }


def running(version: str) -> dict[str, t.Any]:
    """Kernel facts of a Debian kernel of that package version."""
    return {"package_version": version, "upstream_version": version.partition("-")[0], "stream": "stable"}


def database(*entries: dict[str, t.Any], own: bool = False) -> Database:
    coverage, problems = read_coverage(COVERAGE)
    assert not problems
    return Database([read_entry(each, each["id"] + ".yml", own) for each in entries or (ENTRY,)], coverage)
