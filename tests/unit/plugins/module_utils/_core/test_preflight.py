# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What stops the role before it changes anything."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.plan import Change
from ansible_collections.rackops.crashready.plugins.module_utils._core.preflight import (
    find_blockers,
    find_removal_blockers,
    needs_dry_run,
)

from ....seen import armed

MIB = 1024 * 1024
DEBIAN = {"id": "debian", "version_id": "13", "codename": "trixie", "name": "Debian GNU/Linux 13 (trixie)"}
PACKAGE = Change("package", "kdump-tools", None, "installed", "")
GRUB = Change("boot_loader", "grub", "", "", "")
FILE = Change("file", "/etc/tmpfiles.d/crashready.conf", None, "", "")
LOAD = Change("load", "capture kernel", None, "", "")


def preflight(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "os": DEBIAN,
        "euid": 0,
        "dpkg_interrupted": None,
        "free_bytes": {"/boot": 500 * MIB, "/var": 5000 * MIB, "/etc": 500 * MIB},
        "kernels": [{"release": "6.12", "package": "linux-image-6.12", "vmlinuz": True, "initrd": True}],
        "initrd_bytes": 40 * MIB,
        "grub_dry_run": None,
        **changed,
    }


def ids(seen: dict[str, t.Any], *changes: Change, capture: dict[str, t.Any] | None = None) -> list[str]:
    found = find_blockers(seen, capture or armed(), changes)
    assert all(blocker.remedy for blocker in found)
    return [blocker.id for blocker in found]


def test_nothing_stands_in_the_way() -> None:
    assert ids(preflight(grub_dry_run={"rc": 0, "entries": 3, "said": ""}), PACKAGE, GRUB, FILE) == []


@pytest.mark.parametrize(
    ("os", "blocked"),
    [
        (DEBIAN, False),
        ({**DEBIAN, "version_id": "12"}, False),
        ({**DEBIAN, "version_id": "11"}, True),
        ({**DEBIAN, "version_id": "10"}, True),
        ({**DEBIAN, "version_id": None}, True),  # testing has none
        ({"id": "ubuntu", "version_id": "24.04", "codename": "noble", "name": "Ubuntu"}, True),
        ({"id": None, "version_id": None, "codename": None, "name": None}, True),
    ],
)
def test_release(os: dict[str, t.Any], blocked: bool) -> None:
    assert ids(preflight(os=os)) == (["release"] if blocked else [])


@pytest.mark.parametrize(
    ("seen", "changes", "expected"),
    [
        ({"euid": 1000}, (), ["root"]),
        ({"dpkg_interrupted": "x (half-configured)"}, (PACKAGE,), ["dpkg_interrupted"]),
        ({"dpkg_interrupted": "x (half-configured)"}, (GRUB,), ["dpkg_interrupted"]),
        ({"dpkg_interrupted": "x (half-configured)"}, (FILE,), []),
        # kdump-tools triggers update-initramfs: a second initrd must fit
        ({"free_bytes": {"/boot": 20 * MIB, "/var": 5000 * MIB, "/etc": 500 * MIB}}, (PACKAGE,), ["space"]),
        ({"free_bytes": {"/boot": MIB, "/var": 5000 * MIB, "/etc": 500 * MIB}}, (GRUB,), ["space"]),
        ({"free_bytes": {"/boot": MIB, "/var": 5000 * MIB, "/etc": 500 * MIB}}, (FILE,), []),
        ({"free_bytes": {"/boot": 500 * MIB, "/var": 90 * MIB, "/etc": 500 * MIB}}, (PACKAGE,), ["space"]),
        ({"free_bytes": {"/boot": 500 * MIB, "/var": 5000 * MIB, "/etc": 0}}, (FILE,), ["space"]),
        ({"free_bytes": {"/boot": None, "/var": None, "/etc": None}}, (PACKAGE, GRUB), []),
        ({"grub_dry_run": {"rc": 2, "entries": 0, "said": "x.cfg: 3: Syntax error"}}, (GRUB,), ["grub_mkconfig"]),
        ({"grub_dry_run": {"rc": 0, "entries": 0, "said": ""}}, (GRUB,), ["grub_mkconfig"]),
        ({"grub_dry_run": {"rc": None, "entries": 0, "said": "timed out"}}, (GRUB,), ["grub_mkconfig"]),
    ],
)
def test_each_blocker_alone(seen: dict[str, t.Any], changes: tuple[Change, ...], expected: list[str]) -> None:
    assert ids(preflight(**seen), *changes) == expected


def test_what_an_administrator_or_hardening_decided_blocks() -> None:
    masked = armed(unit={"masked": "/etc/systemd/system/kdump-tools.service", "enabled": False})
    assert ids(preflight(), capture=masked) == ["unit_masked"]
    disabled = armed(armed=False)
    disabled["sysctl"]["kernel.kexec_load_disabled"] = "1"
    assert ids(preflight(), capture=disabled) == ["kexec_disabled"]
    locked_after_loading = {**disabled, "armed": True}
    assert ids(preflight(), capture=locked_after_loading) == []
    assert ids(preflight(), LOAD, capture=locked_after_loading) == ["kexec_disabled"], "it could not be loaded again"


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ({"package": "linux-image-7", "vmlinuz": True, "initrd": False}, ["kernel_without_initrd"]),
        ({"package": None, "vmlinuz": True, "initrd": False}, []),  # built by its owner, who knows
        ({"package": "linux-image-7", "vmlinuz": False, "initrd": False}, []),
    ],
)
def test_kernel_without_initrd_is_not_made_the_default(kernel: dict[str, t.Any], expected: list[str]) -> None:
    seen = preflight(kernels=[{"release": "7", **kernel}])
    assert ids(seen, GRUB) == expected
    assert ids(seen, FILE) == []


ENTRY = {"title": "Debian", "release": "6.12", "crashkernel": [], "generated": True, "is_next": True}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"boot": {"loader": "none", "entries": []}}, ["boot_unknown"]),
        ({"boot": {"loader": "grub", "entries": []}}, ["boot_unknown"]),
        ({"boot": {"loader": "grub", "entries": [{**ENTRY, "generated": False}]}}, ["boot_unknown"]),
        (
            {"boot": {"loader": "grub", "entries": [{**ENTRY, "generated": False}, {**ENTRY, "is_next": False}]}},
            ["boot_unknown"],
        ),
        ({"boot": {"loader": "grub", "entries": [{**ENTRY, "is_next": False}]}}, []),
        ({"unread": {"boot_entries": "too large"}}, ["boot_unknown"]),
        ({"xen": True}, ["boot_unknown"]),
        ({"xen": True, "applicable": False}, []),
        ({"xen": True, "cmdline": {"text": "", "crashkernel": ["256M"]}}, []),
    ],
)
def test_no_boot_that_would_not_bring_the_reservation(changed: dict[str, t.Any], expected: list[str]) -> None:
    seen = {**armed(cmdline={"text": "", "crashkernel": []}), "boot": {"loader": "grub", "entries": [ENTRY]}, **changed}
    assert [blocker.id for blocker in find_blockers(preflight(), seen, (), "256M")] == expected
    assert find_blockers(preflight(), seen, (), None) == [], "not ours to manage"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (None, []),
        ({"kind": "directory", "strangers": []}, []),
        ({"kind": "directory", "strangers": ["alice"]}, ["folder"]),
        ({"kind": "link", "strangers": []}, ["folder"]),
        ({"kind": "file", "strangers": []}, ["folder"]),
    ],
)
def test_crash_folder_is_nobody_elses(folder: dict[str, t.Any] | None, expected: list[str]) -> None:
    seen = armed(folder=folder and {"path": "/srv/data", "mode": 0o700, "uid": 0, **folder})
    assert ids(preflight(), capture=seen) == expected


def test_dry_run_where_grub_will_be_generated() -> None:
    assert needs_dry_run([PACKAGE])
    assert needs_dry_run([GRUB])
    assert needs_dry_run([Change("file", "/etc/default/grub.d/zz-crashready.cfg", None, "", "")])
    assert not needs_dry_run([FILE, LOAD])


# --- going back ---------------------------------------------------------------------

GOES = Change("package", "kdump-tools", "installed", None, "")


@pytest.mark.parametrize(
    ("changed", "changes", "expected"),
    [
        ({}, [GOES, GRUB, FILE], []),
        # a full /var is no reason against removing, and a host where nothing is to be done is not asked for room
        ({"free_bytes": {"/boot": 500 * MIB, "/var": 0, "/etc": 500 * MIB}}, [GOES, GRUB], []),
        ({"free_bytes": {"/boot": 0, "/var": 0, "/etc": 0}}, [], []),
        ({"free_bytes": {"/boot": MIB, "/var": 0, "/etc": 500 * MIB}}, [GRUB], ["space"]),
        ({"euid": 1000}, [GRUB], ["root"]),
        ({"os": {**DEBIAN, "version_id": "11"}}, [GRUB], ["release"]),
        ({"dpkg_interrupted": "libc6 (unpacked)"}, [GOES], ["dpkg_interrupted"]),
        ({"dpkg_interrupted": "libc6 (unpacked)"}, [FILE], []),
        ({"grub_dry_run": {"rc": 1, "entries": 0, "said": "syntax error"}}, [GRUB], ["grub_mkconfig"]),
        (
            {"kernels": [{"release": "6.12", "package": "linux-image-6.12", "vmlinuz": True, "initrd": False}]},
            [GRUB],
            ["kernel_without_initrd"],
        ),
    ],
)
def test_what_stands_against_going_back(changed: dict[str, t.Any], changes: list[Change], expected: list[str]) -> None:
    assert [blocker.id for blocker in find_removal_blockers(preflight(**changed), None, changes)] == expected


def test_record_that_is_not_believed_stands_against_it() -> None:
    (found,) = find_removal_blockers(preflight(), "it is a link", [])
    assert (found.id, "it is a link" in found.message, bool(found.remedy)) == ("record", True, True)
