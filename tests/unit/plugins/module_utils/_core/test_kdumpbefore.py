# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record of what a host was before the role: what goes into it, and what is not taken back from it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kdump, kdumpbefore
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

from ....seen import KERNEL, armed, fresh

CONFIG = {"text": 'USE_KDUMP=0\nFTP_PASSWORD="caf\udce9"\n', "mode": 0o640, "uid": 0, "sha256": "", "mtime": 0}


def record(seen: dict[str, t.Any], **wanted: t.Any) -> kdumpbefore.Before | None:
    wish = kdump.Wanted(**wanted)
    changes = kdump.plan(wish, kdump.desired_state(wish, seen, KERNEL), seen, KERNEL)
    return kdumpbefore.begin(seen, wish.sysctls, changes)


def begun(seen: dict[str, t.Any], **wanted: t.Any) -> kdumpbefore.Before:
    before = record(seen, **wanted)
    assert before is not None
    return before


def test_first_record_has_all_that_is_about_to_change() -> None:
    seen = fresh(files={kdump.CONFIG: CONFIG}, debconf={"kdump-tools/use_kdump": "false"})
    before = begun(seen)
    assert before.packages == ("kdump-tools", "makedumpfile", "kexec-tools")
    assert before.files == {
        kdump.CONFIG: kdumpbefore.FileBefore(CONFIG["text"], 0o640, 0),
        kdump.SYSTEMD_BOOT_CMDLINE: None,
    }
    assert before.folders == {"/var/crash": None}
    assert before.sysctls == {"kernel.panic_on_oops": "0", "kernel.panic": "0", "kernel.hardlockup_panic": "0"}
    assert before.debconf == {"kdump-tools/use_kdump": "false"}
    assert before.unit_enabled is False
    assert before.crashkernel == ()


def test_state_of_an_earlier_role_is_no_before() -> None:
    """What is there is the role's own work: written down it would come back at a removal."""
    assert record(armed()) is None
    assert record(armed(), crashkernel="512M") is None


def test_sysctls_of_a_container_are_another_machine_s() -> None:
    assert begun(fresh(applicable=False)).sysctls == {}


def test_later_runs_add_what_they_touch_first_and_keep_the_rest() -> None:
    before = begun(fresh())
    seen = armed(folder={"path": "/srv/crash", "mode": 0o755, "uid": 33, "kind": "directory", "strangers": []})
    seen["sysctl"] = {**seen["sysctl"], "kernel.panic_on_warn": "0"}
    wish = kdump.Wanted(
        crash_folder="/srv/crash",
        sysctls={"kernel.panic": "5", "kernel.panic_on_warn": "1"},
        extra_packages=("crash",),
    )
    changes = kdump.plan(wish, kdump.desired_state(wish, seen, KERNEL), seen, KERNEL)
    later = kdumpbefore.extend(before, seen, wish.sysctls, changes)
    assert later.packages == (*before.packages, "crash")
    assert later.folders == {"/var/crash": None, "/srv/crash": kdumpbefore.FileBefore(None, 0o755, 33)}
    assert later.sysctls == {**before.sysctls, "kernel.panic_on_warn": "0"}, "kernel.panic is the role's 30 by now"
    assert later.files == before.files
    assert kdumpbefore.extend(later, seen, wish.sysctls, changes) == later


def test_folder_that_the_role_made_is_not_one_that_was_there() -> None:
    """Somebody opened it since: the change is one, and what was before stays nothing."""
    before = begun(fresh())
    seen = armed(folder={"path": "/var/crash", "mode": 0o755, "uid": 0, "kind": "directory", "strangers": []})
    wish = kdump.Wanted()
    changes = kdump.plan(wish, kdump.desired_state(wish, seen, KERNEL), seen, KERNEL)
    assert [change.kind for change in changes] == ["directory"]
    assert kdumpbefore.extend(before, seen, wish.sysctls, changes) == before


@pytest.mark.parametrize("seen", [fresh(), fresh(files={kdump.CONFIG: CONFIG}), fresh(applicable=False)])
def test_what_is_written_is_read(seen: dict[str, t.Any]) -> None:
    before = kdumpbefore.with_packages(begun(seen), ["libdw1t64", "gcc-14-base:i386"])
    assert kdumpbefore.parse(kdumpbefore.render(before)) == before


GOOD: dict[str, t.Any] = json.loads(kdumpbefore.render(begun(fresh(files={kdump.CONFIG: CONFIG}))))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("schema", None),
        ("more", 1),
        ("packages", "kdump-tools"),
        ("packages", ["-o=x"]),
        ("packages", ["kdump-tools; reboot"]),
        ("packages", ["a"] * 3000),
        ("packages", [1]),
        ("files", {"/etc/shadow": ["root::", 420, 0]}),
        ("files", {kdump.CONFIG: ["x", 0o20644, 0]}),
        ("files", {kdump.CONFIG: ["x", True, 0]}),
        ("files", {kdump.CONFIG: ["x" * 300_000, 420, 0]}),
        ("files", {kdump.CONFIG: "x"}),
        ("files", {kdump.CONFIG: [None, 420, 0]}),
        ("folders", {"/etc": None}),
        ("folders", {"/var/../etc/x": None}),
        ("folders", {"/var/crash": ["text", 448, 0]}),
        ("folders", {"/var/crash": [None, 448, -1]}),
        ("sysctls", {"kernel.core_pattern": "|/bin/sh"}),
        ("sysctls", {"kernel.panic": 1}),
        ("sysctls", []),
        ("debconf", {"passwd/root-password": "x"}),
        ("debconf", {"kdump-tools/use_kdump": "true\nx"}),
        ("unit_enabled", 1),
        ("crashkernel", ["256M reboot"]),
    ],
)
def test_record_that_the_role_would_not_write_is_refused(key: str, value: t.Any) -> None:
    with pytest.raises(ParseError):
        kdumpbefore.parse(json.dumps({**GOOD, key: value}))


@pytest.mark.parametrize("key", sorted(GOOD))
def test_every_key_is_needed(key: str) -> None:
    with pytest.raises(ParseError):
        kdumpbefore.parse(json.dumps({name: value for name, value in GOOD.items() if name != key}))


@given(st.one_of(st.text(), st.just("[" * 100_000), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_garbage_is_a_reason_and_never_a_traceback(text: str) -> None:
    with pytest.raises(ParseError):
        kdumpbefore.parse(text)
