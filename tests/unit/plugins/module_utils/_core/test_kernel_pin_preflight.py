# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What stops a kernel transaction before its first change, what stops its boot, and what a person is told."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptpins import Pin
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_preflight import (
    find_arming_blockers,
    find_blockers,
    find_notes,
    hang_protected,
    one_shot_ability,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.modfirmware import Loss

from ....seen_pin import FRESH, MIB, NEW, OFFER, OLD, VERSION, WANTED, booted, fresh, kernel, run


def ids(seen: dict[str, t.Any], wanted: kernel_pin.Wanted = WANTED) -> list[str]:
    changes = kernel_pin.plan(wanted, seen) if seen["offer"] else []
    found = find_blockers(wanted, seen, changes)
    assert all(blocker.remedy and blocker.severity == "error" for blocker in found)
    return [blocker.id for blocker in found]


def test_nothing_stands_in_the_way() -> None:
    assert ids(fresh()) == []


def pin(*packages: str) -> Pin:
    return Pin(packages, "release n=trixie", 900, "/etc/apt/preferences", 3)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"os": {"version_id": "11"}}, ["release"]),
        ({"os": {"id": "ubuntu"}}, ["release"]),
        ({"euid": 1000}, ["root"]),
        ({"state_unread": "not JSON"}, ["state"]),
        ({"dpkg_interrupted": "x (half-configured)"}, ["dpkg_interrupted"]),
        ({"applicable": False, "applicable_reason": "a container"}, ["container"]),
        ({"xen": True}, ["xen"]),
        ({"kernel": {"stream": "foreign"}}, ["foreign_kernel"]),
        ({"offer": None, "offer_unread": "the mirror was asked: no Release file"}, ["suite"]),
        ({"holds": ["linux-image-amd64"]}, ["hold"]),
        ({"holds": ["linux-image-" + NEW, "bash"]}, ["hold"]),
        ({"holds": ["bash"]}, []),
        ({"pins": [pin("linux-image-*")]}, ["pinned"]),
        ({"pins": [pin("*")]}, []),
        ({"pins": [pin("bash")]}, []),
        ({"boot": {"loader": "none"}}, ["boot_loader"]),
        ({"boot": {"loader": None}}, ["boot_loader"]),
        ({"boot": {"unread": "a quote that is never closed"}}, ["boot_unread"]),
        ({"boot": {"entries": []}}, ["no_way_back"]),
        ({"boot": {"template": None, "template_reason": "none"}}, ["boot_unknown"]),
        ({"kernel": {"installed": []}}, ["no_way_back"]),
        ({"kernel": {"installed": [{**kernel(OLD, "1"), "initrd": False}]}}, ["no_way_back"]),
        ({"one_shot": {"able": False, "reason": "lvm"}}, ["one_shot"]),
        ({"one_shot": {"able": None, "reason": "f2fs"}}, ["one_shot"]),
        ({"offer": {"signed": False}, "kernel": {"secure_boot": True}}, ["secure_boot"]),
        ({"offer": {"signed": False}, "kernel": {"secure_boot": None}}, ["secure_boot"]),
        ({"offer": {"signed": False}, "kernel": {"secure_boot": False}}, []),
        ({"dkms": {"modules": ["zfs"]}, "offer": {"headers_package": None}}, ["dkms_headers"]),
        ({"dkms": {"modules": ["zfs"]}}, []),
        ({"mkinitramfs": False}, ["no_initramfs"]),
        ({"free_bytes": {"/boot": 60 * MIB}}, ["space"]),
        ({"free_bytes": {"/usr": 60 * MIB}}, ["space"]),
        ({"free_bytes": {"/var": 60 * MIB}}, ["space"]),
        ({"free_bytes": {"/boot": None, "/usr": None, "/var": None, "/etc": None}}, []),
        ({"grub_dry_run": {"rc": 2, "entries": 0, "said": "syntax"}}, ["grub_mkconfig"]),
        ({"grub_dry_run": None}, []),
        ({"offer": {"release": OLD, "version": "6.12.117-1"}}, ["same_release"]),
        ({"offer": {"release": OLD, "version": "6.12.117-2"}}, ["same_release"]),
    ],
)
def test_blockers(changed: dict[str, t.Any], expected: list[str]) -> None:
    assert ids(fresh(**changed)) == expected


def test_all_at_once() -> None:
    changed: dict[str, t.Any] = {"mkinitramfs": False, "one_shot": {"able": False}, "free_bytes": {"/boot": 0}}
    assert ids(fresh(**changed)) == ["one_shot", "no_initramfs", "space"]


def test_versions_that_are_not_wanted() -> None:
    assert ids(fresh(), WANTED._replace(blocked_versions=(VERSION,))) == ["blocked_version"]
    seen = fresh()
    run(seen)
    seen = booted(seen, OLD)
    run(seen, WANTED._replace(step="rollback"))
    assert ids(seen) == ["failed_before"]
    seen["offer"] = {**OFFER, "version": "7.4.1-1~bpo13+1", "release": "7.4.1+deb13-amd64"}
    assert ids(seen, WANTED._replace(version="7.4.1-1~bpo13+1")) == []


def test_a_committed_host_needs_no_archive() -> None:
    seen = fresh()
    run(seen)
    seen = booted(seen, NEW)
    seen["gate"] = []
    run(seen, WANTED._replace(step="gate"))
    run(seen, WANTED._replace(step="commit"))
    assert ids(seen) == []
    seen.update(offer=None, offer_unread="the suite is gone")
    assert ids(seen) == []
    assert ids(seen, WANTED._replace(version="7.9.1-1~bpo13+1")) == ["suite"]


def test_way_back_is_never_refused() -> None:
    """Whatever stands in the way of a new kernel: a trial that came back is taken away."""
    seen = fresh()
    run(seen)
    seen = booted(seen, OLD)
    seen.update(offer=None, holds=["linux-image-amd64"], mkinitramfs=False)
    seen["one_shot"].update(able=False)
    assert ids(seen, WANTED._replace(step="rollback")) == []
    assert ids(seen, kernel_pin.Wanted(state="absent")) == []


@pytest.mark.parametrize(
    ("abstractions", "filesystem", "block", "able"),
    [
        ([], "ext2", {}, True),
        (["cryptodisk", "luks"], "ext2", {}, True),
        ([], "xfs", {}, True),
        ([], "fat", {}, True),
        ([], "ext2", {"kind": None, "size": 0, "used": 0}, True),
        (["lvm"], "ext2", {}, False),
        (["diskfilter", "mdraid1x"], "ext2", {}, False),
        (["mdraid09"], "ext2", {}, False),
        ([], "btrfs", {}, False),
        ([], "zfs", {}, False),
        ([], "f2fs", {}, None),
        ([], "", {}, None),
        ([], "ext2", {"kind": "link"}, None),
        ([], "ext2", {"size": 0}, None),
        ([], "ext2", {"used": 1010}, None),
    ],
)
def test_one_shot(abstractions: list[str], filesystem: str, block: dict[str, t.Any], able: bool | None) -> None:
    """G35"""
    block = {"kind": "file", "size": 1024, "used": 25, **block}
    found, reason = one_shot_ability(abstractions, filesystem, block)
    assert found is able
    assert reason


LOSS = Loss("bnx2x", "s", ("bnx2x/bnx2x-e2-7.13.21.0.fw",), ("bnx2x/bnx2x-e2-7.13.15.0.fw",), ("firmware-bnx2x",))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"kernel": {"installed": [kernel(OLD, "1")]}}, ["kernel_without_initrd"]),
        ({"kernel": {"installed": [{**kernel(NEW, VERSION), "initrd": False}]}}, ["kernel_without_initrd"]),
        ({"dkms": {"missing": ["ixgbe"]}}, ["dkms_missing"]),
        ({"drivers_missing": ["e1000e"]}, ["driver_missing"]),
        ({"firmware_losses": [LOSS]}, ["firmware_missing"]),
    ],
)
def test_what_stops_the_boot(changed: dict[str, t.Any], expected: list[str]) -> None:
    seen = fresh(kernel={"installed": [kernel(NEW, VERSION), kernel(OLD, "1")]})
    for key, value in changed.items():
        seen[key] = {**seen[key], **value} if isinstance(value, dict) else value
    assert [blocker.id for blocker in find_arming_blockers(seen)] == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"makedumpfile", "firmware_unread"}),
        ({"watchdog": {"hardware": False, "identity": None}}, {"makedumpfile", "firmware_unread", "no_watchdog"}),
        ({"firmware_unread": None, "tools": {"makedumpfile": None}}, set()),
        ({"tools": {"crash": "8.0.6-1"}}, {"makedumpfile", "firmware_unread", "crash"}),
        ({"dkms": {"modules": ["zfs"]}}, {"makedumpfile", "firmware_unread", "dkms"}),
        (
            {"dkms": {"modules": ["zfs"]}, "kernel": {"secure_boot": True}},
            {"makedumpfile", "firmware_unread", "dkms", "dkms_signed"},
        ),
        ({"packages": {"unattended-upgrades": "2"}}, {"makedumpfile", "firmware_unread", "updates"}),
        ({"boot": {"default_release": "6.12.118+deb13-amd64"}}, {"makedumpfile", "firmware_unread", "other_default"}),
        ({"kernel": {"package_version": "7.4-1"}}, {"makedumpfile", "firmware_unread", "older"}),
        ({"offer": None}, set()),
    ],
)
def test_what_a_person_is_told(changed: dict[str, t.Any], expected: set[str]) -> None:
    notes = find_notes(WANTED, fresh(**changed))
    assert {note.id for note in notes} == expected
    assert all(note.severity == "warning" for note in notes)


def test_softdog_ends_no_hang() -> None:
    seen = fresh(watchdog={"hardware": False, "identity": "Software Watchdog"})
    assert not hang_protected(seen)
    (note,) = [note for note in find_notes(WANTED, seen) if note.id == "no_watchdog"]
    assert "only a software watchdog (Software Watchdog)" in note.message
    assert hang_protected(FRESH)
