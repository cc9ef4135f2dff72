# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The shipped database on the last bad and the first good kernel of each stream.

The versions are those of pairing research of 2026-11-23: Debian's changelogs and the kernel CNA.
"""

from __future__ import annotations

import functools
import pathlib
import re
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge, remedy
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_database import build_database
from ansible_collections.rackops.crashready.plugins.plugin_utils import pairings

from ...pairings_seen import host, running


@functools.lru_cache(maxsize=1)
def shipped() -> judge.Database:
    documents, faults = pairings.read_folders()
    coverage, more = pairings.read_coverage()
    return build_database(documents, coverage, [*faults, *more])


def nic(driver: str, ids: str, firmware: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    vendor, device = ids.split(":")
    pci = {"vendor": vendor, "device": device, "subsystem_vendor": vendor, "subsystem_device": "0001"}
    return {"driver": driver, "module": driver, "pci": pci, "firmware": {"raw": firmware}, **more}


AQC107 = nic("atlantic", "1d6a:07b1", "3.1.78")
QL41 = nic("qede", "1077:8070", "mbi 15.20.16 [mfw 8.58.3.0]")
BCM57414 = nic("bnxt_en", "14e4:16d7", "233.0.151.0/pkg 233.1.135.7")
I225 = nic("igc", "8086:15f3", "1082:8770")
E810 = nic("ice", "8086:1593", "4.40 0x8001c967 1.3534.0")
CX6 = nic("mlx5_core", "15b3:101b", "20.40.1000 (MT_0000000224)")
CX6_NEW = nic("mlx5_core", "15b3:101b", "20.43.1014 (MT_0000000224)")
CX6_DELL = nic("mlx5_core", "15b3:101b", "20.40.1000 (DEL0000000027)")
I350 = nic("igb", "8086:1521", "1.63, 0x80000a05")
VIRTIO = nic("virtio_net", "1af4:1041", driver_version="1.0.0")
DDP = "intel/ice/ddp/ice.pkg"


def found(card: dict[str, t.Any], version: str, entry: str) -> str | None:
    """What one entry says of a card on a kernel: None where it does not match."""
    facts = host(card, {**running(version), "release": "6.1.0-37-amd64"})
    (judged,) = judge.judge_host(facts, shipped())["nics"]
    verdicts = [reason["verdict"] for reason in judged["reasons"] if reason["entry"] == entry]
    return verdicts[0] if verdicts else None


@pytest.mark.parametrize(
    ("entry", "card", "bad", "good"),
    [
        # Debian 12: linux 6.1
        ("atlantic-rx-frag-overflow", AQC107, "6.1.158-1", "6.1.159-1"),
        ("qede-tpa-null", QL41, "6.1.187-1", "6.1.190-1"),
        ("bnxt-padded-small-tx", BCM57414, "6.1.190-1", "6.1.192-1"),
        ("igc-tx-timeout-panic", I225, "6.1.38-1", "6.1.52-1"),
        ("igc-kdump-ptm-hang", I225, "6.1.133-1", "6.1.135-1"),
        ("igb-aer-double-up", I350, "6.1.112-1", "6.1.115-1"),
        ("virtio-net-big-packet-len", VIRTIO, "6.1.177-1", "6.1.180-1"),
        # Debian 13: linux 6.12
        ("atlantic-rx-frag-overflow", AQC107, "6.12.57-1", "6.12.63-1"),
        ("qede-tpa-null", QL41, "6.12.107-1", "6.12.111-1"),
        ("bnxt-padded-small-tx", BCM57414, "6.12.111-1", "6.12.113-1"),
        ("mlx5-multiplane-old-fw", CX6, "6.12.8-1", "6.12.9-1"),
        # Debian 12, source linux-6.12 in its security archive
        ("qede-tpa-null", QL41, "6.12.107-1~deb12u1", "6.12.111-1~deb12u1"),
        ("bnxt-padded-small-tx", BCM57414, "6.12.111-1~deb12u1", "6.12.113-1~deb12u1"),
        # backports
        ("atlantic-rx-frag-overflow", AQC107, "6.12.57-1~bpo12+1", "6.12.63-1~bpo12+1"),
        ("mlx5-multiplane-old-fw", CX6, "6.12.8-1~bpo12+1", "6.12.9-1~bpo12+1"),
        ("virtio-net-big-packet-len", VIRTIO, "7.0.13-1~bpo13+1", "7.1.7-1~bpo13+1"),
        # Debian 11, linux 6.1 in its security archive
        ("atlantic-rx-frag-overflow", AQC107, "6.1.158-1~deb11u1", "6.1.159-1~deb11u1"),
    ],
)
def test_last_bad_and_first_good(entry: str, card: dict[str, t.Any], bad: str, good: str) -> None:
    assert found(card, bad, entry) == "bad"
    assert found(card, good, entry) is None


@pytest.mark.parametrize(
    ("entry", "card", "good", "bad"),
    [
        ("igc-tx-timeout-panic", I225, "6.1.11-1", "6.1.12-1"),
        ("virtio-net-big-packet-len", VIRTIO, "6.1.158-1", "6.1.159-1"),
        ("virtio-net-big-packet-len", VIRTIO, "6.12.57-1", "6.12.63-1"),
        ("igb-aer-double-up", I350, "6.1.38-1", "6.1.52-1"),
    ],
)
def test_what_a_stable_update_brought(entry: str, card: dict[str, t.Any], good: str, bad: str) -> None:
    assert found(card, good, entry) is None
    assert found(card, bad, entry) == "bad"


@pytest.mark.parametrize(
    ("entry", "card", "version", "expected"),
    [
        ("qede-tpa-null", QL41, "6.12.95-1~bpo12+1", "bad"),  # the frozen backport never gets the fix
        ("mlx5-multiplane-old-fw", CX6_NEW, "6.12.8-1", None),
        ("mlx5-multiplane-old-fw", CX6_DELL, "6.12.8-1", "suspect"),  # an OEM's own train of releases
        ("mlx5-multiplane-old-fw", {**CX6, "firmware": {"raw": None}}, "6.12.8-1", "suspect"),
        ("mlx5-multiplane-old-fw", CX6, "6.1.100-1", None),
        # no number upstream: never more than suspect
        ("bnxt-fw-resource-change-ifdown", BCM57414, "6.12.38-1", "suspect"),
        ("mlx5-cq-default-arm", CX6, "6.12.111-1", "suspect"),
        # reported by users: never more than suspect, on any kernel
        ("igc-pcie-link-lost", I225, "6.1.192-2", "suspect"),
        ("ixgbe-x550-fwsm-old-nvm", nic("ixgbe", "8086:1563", "0x800007b5"), "6.1.192-2", "suspect"),
        ("ixgbe-x550-fwsm-old-nvm", nic("ixgbe", "8086:1563", "0x80000c67, 1.1276.0"), "6.1.192-2", None),
        # a firmware file
        ("ice-ddp-missing-probe-fails", {**E810, "firmware_files": {DDP: False}}, "6.11.3-1", "bad"),
        ("ice-ddp-missing-probe-fails", {**E810, "firmware_files": {DDP: True}}, "6.11.3-1", None),
        ("ice-ddp-missing-probe-fails", E810, "6.11.3-1", "suspect"),
        ("ice-ddp-missing-probe-fails", {**E810, "firmware_files": {DDP: False}}, "6.11.4-1", None),
        # another card of the vendor
        ("qede-tpa-null", nic("qede", "1077:ffff"), "6.1.187-1", None),
        ("igc-tx-timeout-panic", nic("igc", "8086:ffff"), "6.1.38-1", None),
    ],
)
def test_firmware_files_and_evidence(entry: str, card: dict[str, t.Any], version: str, expected: str | None) -> None:
    assert found(card, version, entry) == expected


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("6.1.192-2", "clear"),
        ("6.12.117-1", "clear"),
        ("6.12.117-1~deb12u1", "clear"),
        ("6.1.193-1", "unknown"),
        ("6.12.118-1", "unknown"),
        ("7.3.4-1~bpo13+1", "unknown"),
        ("5.10.262-1", "unknown"),
        ("6.12.95-1~bpo12+1", "clear"),
    ],
)
def test_clear_ends_where_the_review_ended(version: str, verdict: str) -> None:
    assert judge.judge_host(host(AQC107, running(version)), shipped())["verdict"] == verdict


def test_the_story_of_the_research() -> None:
    """6.12.95 of backports carries more known rows than the newest point releases of either branch."""
    facts = host(QL41, running("6.1.180-1"))
    offers = {
        "bookworm-security": ["6.1.192-2", "6.12.117-1~deb12u1"],
        "bookworm-backports": ["6.12.95-1~bpo12+1"],
    }
    facts["kernel"]["candidates"] = {
        suite: [{"package": "linux-image-amd64", "version": version} for version in versions]
        for suite, versions in offers.items()
    }
    plan = remedy.choose_remedy(facts, shipped())
    assert plan["choice"]["version"] == "6.1.192-2"
    reasons = {each["version"]: each["reason"] for each in plan["refused"]}
    assert "does not carry the fix: qede-tpa-null" in reasons["6.12.95-1~bpo12+1"]
    only = remedy.choose_remedy(facts, shipped(), ["bookworm-backports"])
    assert only["choice"] is None
    assert only["says"].startswith("no kernel in reach fixes qede-tpa-null")


def test_rows_of_whole_kernels() -> None:
    """As in the research: the newest point release carries far fewer known faults than a stale one."""
    counts = {}
    for version in ("6.1.119-1", "6.1.170-1", "6.1.192-2", "6.12.38-1", "6.12.95-1~bpo12+1", "6.12.117-1"):
        kernel = judge.running_kernel(host(kernel=running(version))["kernel"])
        results = [shipped().kernel_result(entry, kernel, "") for entry in shipped().entries.values()]
        counts[version] = sum(each.result == "bad" for each in results)
    assert counts["6.1.192-2"] < counts["6.1.170-1"] < counts["6.1.119-1"]
    assert counts["6.12.117-1"] < counts["6.12.95-1~bpo12+1"] < counts["6.12.38-1"]


def test_every_driver_of_an_entry_is_covered() -> None:
    missing = [
        entry.id
        for entry in shipped().entries.values()
        if "covers" in shipped().coverage.gap(entry.raw["driver"], judge.running_kernel({}))
    ]
    limits = shipped().coverage.limits
    from ansible_collections.rackops.crashready.plugins.module_utils._core.firmware import grammar_of

    missing += [entry.id for entry in shipped().entries.values() if grammar_of(entry.raw["driver"]) not in limits]
    assert missing == []


def test_the_annotated_entry_is_the_shipped_one() -> None:
    """README.md shows a real entry; its comments are all that differs."""
    folder = pathlib.Path(pairings.SHIPPED)
    (shown,) = re.findall(r"```yaml\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    entry = yaml.safe_load(shown)
    assert entry == yaml.safe_load((folder / (entry["id"] + ".yml")).read_text(encoding="utf-8"))
