# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Hosts that may not go: the reason is said, and they run on in the same boot."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest


@pytest.fixture
def refused(trixie: t.Any) -> t.Iterator[t.Callable[[t.Any], str]]:
    before = trixie.read("/proc/sys/kernel/random/boot_id")

    def check(drilled: t.Any) -> str:
        assert drilled.outcome["state"] == "refused", drilled.text[-5000:]
        assert drilled.code == 1
        assert drilled.outcome["next"]
        return drilled.why

    yield check
    assert trixie.read("/proc/sys/kernel/random/boot_id") == before, "it was booted"


def test_without_a_yes(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    assert "nobody said yes to a panic of drill-trixie" in refused(trixie.drill_without_a_yes())


def test_with_a_yes_for_another_host(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    drilled = trixie.drill_without_a_yes("-e", "crash_drill_consent=drill-bookworm")
    assert "the yes is for 'drill-bookworm'" in refused(drilled)


def test_not_armed(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    trixie.sh("kdump-config unload")
    try:
        assert "no capture kernel is loaded" in refused(trixie.drill())
    finally:
        trixie.sh("systemctl restart kdump-tools.service")
    assert trixie.read("/sys/kernel/kexec_crash_loaded") == "1"


def test_a_second_drill_at_the_same_time(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    arguments = "action=prepare name=drill-trixie consent=drill-trixie"
    first = trixie.host.ansible("rackops.crashready.crash_drill", arguments, check=False)
    assert first.get("drill_id"), first
    try:
        assert "another drill ({0}, sysrq) began".format(first["drill_id"]) in refused(trixie.drill())
    finally:
        cleared = trixie.host.ansible("rackops.crashready.crash_drill", "action=clear", check=False)
    assert len(cleared["removed"]) == 4, cleared


def test_the_only_member_of_its_group(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    why = refused(trixie.drill("-e", "crash_drill_group=trixie"))
    assert "is the only member of its redundancy group trixie" in why


def test_another_member_is_down(trixie: t.Any, refused: t.Callable[[t.Any], str], tmp_path: pathlib.Path) -> None:
    """A host of the inventory that nothing answers for."""
    ghost = {"all": {"hosts": {"drill-ghost": {"ansible_host": "127.0.0.1", "ansible_port": 9}}, "children": {}}}
    ghost["all"]["children"]["pair"] = {"hosts": {"drill-trixie": {}, "drill-ghost": {}}}
    inventory = tmp_path / "ghost.json"
    inventory.write_text(json.dumps(ghost), encoding="utf-8")
    why = refused(trixie.drill("-i", str(inventory), "-e", "crash_drill_group=pair"))
    assert "drill-ghost of the same redundancy group pair cannot take over: it does not answer" in why


def test_dpkg_at_work(trixie: t.Any, refused: t.Callable[[t.Any], str]) -> None:
    trixie.sh("cp /bin/sleep /root/dpkg")
    trixie.sh("systemd-run --unit=fake-dpkg /root/dpkg 600")
    try:
        assert "packages are being changed now (dpkg runs)" in refused(trixie.drill())
    finally:
        trixie.sh("systemctl stop fake-dpkg.service")
        trixie.sh("rm /root/dpkg")


def test_check_mode_panics_nothing(trixie: t.Any) -> None:
    before = trixie.read("/proc/sys/kernel/random/boot_id")
    drilled = trixie.drill("--check")
    assert drilled.outcome["state"] == "would go", drilled.text[-5000:]
    assert drilled.outcome["estimate"]["bytes"] > 0
    assert trixie.read("/proc/sys/kernel/random/boot_id") == before
    assert trixie.sh("test -e /var/lib/crashready/drill.json || echo gone").strip() == "gone"
