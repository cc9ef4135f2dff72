# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is said of a host that would lose its next panic: each trap is found alone, and has a remedy."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.problems import find_problems

from ....seen import GIB, RELEASE, armed, fresh


def ids(seen: dict[str, t.Any]) -> list[str]:
    return [problem.id for problem in find_problems(seen)]


def entry(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "title": "Debian",
        "release": RELEASE,
        "crashkernel": ["256M"],
        "generated": True,
        "is_next": True,
        **changed,
    }


def boot(*entries: dict[str, t.Any], loader: str | None = "grub") -> dict[str, t.Any]:
    return {"boot": {"loader": loader, "entries": list(entries)}}


def test_armed_host_has_none() -> None:
    assert ids(armed()) == []


def test_fresh_host_says_everything_at_once() -> None:
    assert set(ids(fresh())) == {"not_armed", "no_crashkernel", "kdump_tools_missing", "panic_on_oops_off"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"armed": False, "loaded": None}, ["not_armed"]),
        ({"armed": None, "unread": {"armed": "not found"}}, ["armed_unread"]),
        ({"reserved_bytes": 0}, ["nothing_reserved"]),
        ({"reserved_bytes": None, "unread": {"reserved_bytes": "busy"}}, ["reservation_unread"]),
        ({"reserved_bytes": 128 * 1024**2}, ["reservation_small"]),
        ({"cmdline": {"text": "", "crashkernel": ["128M", "256M"]}}, ["several_crashkernel"]),
        ({"cmdline": {"text": "", "crashkernel": ["lots"]}, **boot(entry(crashkernel=["lots"]))}, ["bad_crashkernel"]),
        (boot(entry(crashkernel=[])), ["boot_entry"]),
        (boot(entry(), entry(title="recovery", crashkernel=[], is_next=False)), ["boot_entry"]),
        (boot(entry(crashkernel=["512M"])), ["reboot_pending"]),
        (boot(loader="none"), ["boot_loader_unknown"]),
        ({"config": {}}, ["kdump_disabled"]),
        ({"config": {"USE_KDUMP": "0"}}, ["kdump_disabled"]),
        ({"config": {"USE_KDUMP": "1", "SSH": "root@server"}}, ["remote_only"]),
        ({"packages": {"kdump-tools": "1", "makedumpfile": None}}, ["makedumpfile_missing"]),
        ({"mkinitramfs": False}, ["mkinitramfs_missing"]),
        ({"unit": {"masked": "/etc/systemd/system/kdump-tools.service", "enabled": False}}, ["unit_masked"]),
        ({"unit": {"masked": None, "enabled": False}}, ["unit_disabled"]),
        ({"conffile_changed": True}, ["conffile_changed"]),
        ({"initrds": {RELEASE: {"present": False}}}, ["initrd_missing"]),
        ({"loaded": None}, ["loaded_unknown"]),
        ({"loaded": None, "unread": {"loaded": "permission denied (not root)"}}, []),
        ({"unread": {"boot_entries": "too large"}}, ["boot_entries_unread"]),
        ({"folder": {"mode": 0o755, "uid": 0}}, ["folder_open"]),
        ({"folder": {"mode": 0o700, "uid": 7}}, ["folder_open"]),
        ({"lockdown": "integrity", "secure_boot": None}, ["kexec_needs_signature"]),
    ],
)
def test_each_trap_alone(changed: dict[str, t.Any], expected: list[str]) -> None:
    found = find_problems(armed(**changed))
    assert [problem.id for problem in found] == expected
    assert all(problem.message and problem.remedy for problem in found)


def test_kexec_disabled_is_an_error_until_armed_and_names_its_file() -> None:
    """Loaded first and locked afterwards lasts until the next change (G21)."""
    for is_armed, severity in ((True, "warning"), (False, "error")):
        seen = armed(armed=is_armed, kexec_disabled_by="/etc/sysctl.d/99-x.conf")
        seen["sysctl"]["kernel.kexec_load_disabled"] = "1"
        found = next(problem for problem in find_problems(seen) if problem.id == "kexec_disabled")
        assert found.severity == severity
        assert "/etc/sysctl.d/99-x.conf" in found.message


@pytest.mark.parametrize(("free", "expected"), [(8 * GIB, []), (GIB, ["space"]), (1, ["space"]), (None, [])])
def test_space(free: int | None, expected: list[str]) -> None:
    seen = armed()
    seen["space"]["free_bytes"] = free
    assert ids(seen) == expected
    if expected:
        severity = find_problems(seen)[0].severity
        assert severity == ("error" if free == 1 else "warning")


def test_stale_load() -> None:
    seen = armed()
    for stale, expected in (
        ({"release": "6.1.0-1-amd64"}, ["loaded_other_kernel"]),
        ({"older_than_initrd": True}, ["loaded_stale"]),
        ({"older_than_config": True}, ["loaded_stale"]),
    ):
        assert ids({**seen, "loaded": {**seen["loaded"], **stale}}) == expected


def test_errors_come_first() -> None:
    severities = [problem.severity for problem in find_problems(fresh())]
    assert severities == sorted(severities)
    assert severities[0] == "error"


def test_container_is_asked_nothing() -> None:
    assert ids(fresh(applicable=False)) == []
