# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A soak as tests see it: the two hosts, the record of one, the look at the other."""

from __future__ import annotations

import typing as t

from ansible_collections.rackops.crashready.plugins.module_utils._core import soakprofile, soakrecord

__all__ = ["BOOT", "ID", "LATER", "OTHER", "crash", "looked", "record"]

BOOT, OTHER, LATER = ("00000000-0000-4000-8000-00000000000{0}".format(number) for number in (1, 2, 3))
ID = "s-20261123T130500-0a1b"


def record(**more: t.Any) -> dict[str, t.Any]:
    """Of a client that has run for 90 s of 120."""
    found: dict[str, t.Any] = {
        "schema": 1,
        "id": ID,
        "name": "store-rx",
        "phase": "before",
        "side": "client",
        "host": "store1",
        "peer": "store2",
        "nic": "enp3s0",
        "address": "192.0.2.1",
        "peer_address": "192.0.2.2",
        "profile": soakprofile.make_profile("bulk", {"rate_mbps": 900}),
        "planned_s": 120,
        "boot_id": BOOT,
        "kernel": "6.1.0-56-amd64",
        "kernel_package": "linux-image-6.1.0-56-amd64 6.1.192-2",
        "driver": "igb",
        "firmware": None,
        "started_at": "2026-11-23T13:05:02Z",
        "elapsed_s": 90.0,
        "silent_s": 88.0,
        "state": "running",
        "reason": None,
        "traffic": {"rx_bytes": 10, "tx_bytes": 20, "rx_packets": 1, "tx_packets": 2},
        "errors": {"rx_crc_errors": 3},
        "samples": [[0.0, 0, 0, 0, 0, 0, None], [90.0, 10, 20, 1, 2, 3, 41.5]],
        "interval_s": 2,
        "crashes_before": ["/var/crash/202611010000"],
        "ethtool": {"rx_missed": 4},
        "interrupts": {"45 enp3s0-TxRx-0": 1000},
        "unread": {"firmware": "the driver names none"},
    }
    found.update(more)
    return soakrecord.parse(soakrecord.render(found))


def crash(**more: t.Any) -> dict[str, t.Any]:
    """As facts show a dump that came 91 s after the start of the record above."""
    found: dict[str, t.Any] = {
        "path": "/var/crash/202611231306",
        "stamp": "202611231306",
        "files": [{"name": "dump.202611231306", "kind": "dump", "size_bytes": 34000000}],
        "dump": {"path": "/var/crash/202611231306/dump.202611231306", "crash_time": 1795439193},
        "dmesg": {"panic": "Kernel panic - not syncing: Fatal exception in interrupt"},
        "valid": True,
        "reason": None,
        "foreign": False,
        "record": {
            "signature": {"exact": "e1", "similar": "s1"},
            "path": "nic_rx",
            "crashed_at": "2026-11-23T13:06:33+00:00",
        },
    }
    found.update(more)
    return found


def looked(**more: t.Any) -> dict[str, t.Any]:
    """What `_change.soakhost.look_at` gives for a host where nothing stands in the way."""
    nic = {
        "name": "enp3s0",
        "exists": True,
        "up": True,
        "carrier": True,
        "mtu": 1500,
        "speed_mbps": 10000,
        "addresses": [["192.0.2.1", 24], ["2001:db8::1", 64]],
        "lower": [],
        "unread": {},
    }
    found: dict[str, t.Any] = {
        "euid": 0,
        "boot_id": BOOT,
        "applicable": True,
        "applicable_reason": None,
        "armed": True,
        "nic": {**nic, **more.pop("nic", {})},
        "routes": {"192.0.2.2": "enp3s0"},
        "management": {"devices": {"enp1s0": "the default route leaves by it"}, "unread": {}},
        "iperf3": True,
        "records": {"newest": None, "running": [], "refused": {}},
        "identity": {
            "kernel": "6.1.0-56-amd64",
            "kernel_package": None,
            "driver": "igb",
            "firmware": "3.25",
            "unread": {"kernel_package": "of no package"},
        },
        "crashes_before": [],
    }
    found.update(more)
    return found
