# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The plan of `state: absent`: from what the role left to what was before it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kdump, kdumpabsent, kdumpbefore, shellconf

from ....seen import KERNEL, RELEASE, armed, fresh

SHIPPED = 'USE_KDUMP=1\nKDUMP_KERNEL=/var/lib/kdump/vmlinuz\n#MAKEDUMP_ARGS="-c -d 31"\nKDUMP_COREDIR="/var/crash"\n'
CONFIG = "file /etc/default/kdump-tools"
OWN = [
    "file /etc/sysctl.d/zz-crashready.conf",
    "file /etc/tmpfiles.d/crashready.conf",
    "file /etc/systemd/system/crashready-capture-deadline.service",
]
RECORD = "file /var/lib/crashready/kdump.json"
DROP_IN = "file " + kdump.GRUB_DROP_IN


def before_of(seen: dict[str, t.Any]) -> kdumpbefore.Before:
    wish = kdump.Wanted()
    changes = kdump.plan(wish, kdump.desired_state(wish, seen, KERNEL), seen, KERNEL)
    before = kdumpbefore.begin(seen, wish.sysctls, changes)
    assert before is not None
    return before


def past(before: kdumpbefore.Before | None, **more: t.Any) -> dict[str, t.Any]:
    leaving = list(before.packages) if before else []
    folder = {"mode": 0o700, "uid": 0, "names": ["kexec_cmd", "kdump_lock"]}
    seen = {"before": before, "refused": None, "shipped": SHIPPED, "leaving": leaving, "needed": {}}
    return {**seen, "folders": {"/var/crash": folder}, **more}


def plan(capture: dict[str, t.Any], seen: dict[str, t.Any], **wanted: t.Any) -> kdumpabsent.Removal:
    return kdumpabsent.plan_removal(kdump.Wanted(absent=True, **wanted), capture, KERNEL, seen)


def names(removal: kdumpabsent.Removal) -> list[str]:
    return [change.name for change in removal.changes]


def had_kdump(text: str = SHIPPED, **more: t.Any) -> dict[str, t.Any]:
    """A host whose administrator had kdump-tools, armed by the role since; the state before it."""
    packages = {"kdump-tools": "1", "makedumpfile": "1:1.7.6-1", "kexec-tools": "1", "initramfs-tools-core": "1"}
    files = {kdump.CONFIG: {"text": text, "mode": 0o644, "uid": 0, "sha256": "", "mtime": 0}}
    unit = {"name": kdump.UNIT, "enabled": True, "masked": None}
    return fresh(packages={**fresh()["packages"], **packages}, files=files, unit=unit, **more)


def armed_from(seen: dict[str, t.Any]) -> dict[str, t.Any]:
    """`armed()`, with the settings made from this host's own."""
    wish = kdump.Wanted()
    ready = armed()
    text = seen["files"][kdump.CONFIG]["text"]
    config = shellconf.edit(text, dict(kdump.desired_state(wish, seen, KERNEL).config))
    ready["files"][kdump.CONFIG]["text"] = config
    return ready


def test_host_that_the_role_made_goes_back_in_this_order() -> None:
    removal = plan(armed(), past(before_of(fresh())))
    assert names(removal) == [
        "sysctl kernel.hardlockup_panic",
        "sysctl kernel.panic",
        "sysctl kernel.panic_on_oops",
        "unload capture kernel",
        DROP_IN,
        "package kdump-tools",
        "package makedumpfile",
        "package kexec-tools",
        "directory /var/crash",
        "boot_loader grub",
        *OWN,
        RECORD,
    ]
    assert removal.kept == []
    assert {change.after for change in removal.changes if change.kind == "sysctl"} == {"0"}


@pytest.mark.parametrize("seen", [fresh(), had_kdump()])
def test_host_without_a_trace_of_the_role_is_left_alone(seen: dict[str, t.Any]) -> None:
    """Its settings and its crashkernel= are the administrator's."""
    assert plan(seen, past(None)) == kdumpabsent.Removal([], [])


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED,
        "",
        "USE_KDUMP=0 # not yet\nKDUMP_FAIL_CMD='reboot -f'\n",
        'MAKEDUMP_ARGS="-c -d 1"\n# end',
        "USE_KDUMP=1\n" * 3,
    ],
)
def test_settings_come_back_byte_for_byte(text: str) -> None:
    seen = had_kdump(text)
    removal = plan(armed_from(seen), past(before_of(seen)))
    change = next(change for change in removal.changes if change.name == CONFIG)
    assert change.data["text"] == text
    assert "package kdump-tools" not in names(removal)


def test_line_that_was_written_since_stays_and_ours_go_back() -> None:
    seen = had_kdump('USE_KDUMP=0\nMAKEDUMP_ARGS="-c -d 1"\n')
    capture = armed_from(seen)
    capture["files"][kdump.CONFIG]["text"] += "HOSTTAG=ip\n"
    change = next(c for c in plan(capture, past(before_of(seen))).changes if c.name == CONFIG)
    values = shellconf.parse_shellconf(change.data["text"]).values
    assert values == {"USE_KDUMP": "0", "MAKEDUMP_ARGS": "-c -d 1", "HOSTTAG": "ip"}


def test_kdump_that_was_in_use_is_loaded_again_with_its_own_settings() -> None:
    seen = had_kdump()
    found = names(plan(armed_from(seen), past(before_of(seen))))
    assert found.index("load capture kernel") > found.index("boot_loader grub")
    assert "unload capture kernel" not in found
    assert "unit kdump-tools.service" not in found


def test_kdump_that_was_switched_off_is_unloaded() -> None:
    seen = had_kdump("USE_KDUMP=0\n")
    found = names(plan(armed_from(seen), past(before_of(seen))))
    assert "unload capture kernel" in found
    assert "load capture kernel" not in found
    seen = had_kdump()
    seen["unit"] = {"name": kdump.UNIT, "enabled": False, "masked": None}
    found = names(plan(armed_from(seen), past(before_of(seen))))
    assert found.count("unload capture kernel") == 1
    assert "unit kdump-tools.service" in found
    assert "load capture kernel" not in found, "its settings ask for one, its unit never did"


def test_kexec_disabled_leaves_what_is_loaded_and_says_so() -> None:
    capture = armed()
    capture["sysctl"]["kernel.kexec_load_disabled"] = "1"
    removal = plan(capture, past(before_of(fresh())))
    assert "unload capture kernel" not in names(removal)
    assert any("kexec is disabled" in line for line in removal.kept)


def test_sysctl_that_somebody_set_since_stays() -> None:
    capture = armed()
    capture["sysctl"]["kernel.panic"] = "77"
    assert "sysctl kernel.panic" not in names(plan(capture, past(before_of(fresh()))))


def test_container_leaves_the_machine_s_sysctls_alone() -> None:
    before = before_of(fresh(applicable=False))
    removal = plan({**armed(), "applicable": False, "armed": None}, past(before))
    assert {change.kind for change in removal.changes} == {"file", "package", "directory", "boot_loader"}
    assert kdumpabsent.leaves_reservation({**armed(), "applicable": False}, removal, before) == []


@pytest.mark.parametrize(
    ("then", "now", "expected", "kept"),
    [
        (None, {"mode": 0o700, "uid": 0, "names": []}, [None], 0),
        (None, {"mode": 0o700, "uid": 0, "names": ["kexec_cmd"]}, [None], 0),
        (None, {"mode": 0o700, "uid": 0, "names": ["202601010000"]}, [], 1),
        (None, None, [], 0),
        ((0o755, 0), {"mode": 0o700, "uid": 0, "names": []}, ["mode 0755, owner 0"], 0),
        ((0o755, 0), {"mode": 0o700, "uid": 0, "names": ["202601010000"]}, [], 1),
        ((0o700, 0), {"mode": 0o700, "uid": 0, "names": ["202601010000"]}, [], 0),
    ],
)
def test_crash_folder(
    then: tuple[int, int] | None, now: dict[str, t.Any] | None, expected: list[str | None], kept: int
) -> None:
    """Dumps are never removed, and a folder that has some stays closed."""
    folders = {"/var/crash": kdumpbefore.FileBefore(None, *then) if then else None}
    before = before_of(fresh())._replace(folders=folders)
    removal = plan(armed(), past(before, folders={"/var/crash": now}))
    assert [change.after for change in removal.changes if change.kind == "directory"] == expected
    assert len(removal.kept) == kept


def test_package_that_something_needs_by_now_stays_and_is_named() -> None:
    before = before_of(fresh())
    removal = plan(armed(), past(before, leaving=["makedumpfile"], needed={"kexec-tools": "somebody-s-tool"}))
    assert [c.target for c in removal.changes if c.kind == "package"] == ["makedumpfile"]
    assert "package kexec-tools: somebody-s-tool needs it" in removal.kept


def test_package_of_ours_that_stays_gets_the_shipped_settings() -> None:
    before = before_of(fresh())
    removal = plan(armed(), past(before, leaving=[], needed={"kdump-tools": "somebody-s-tool"}))
    values = shellconf.parse_shellconf(next(c for c in removal.changes if c.name == CONFIG).data["text"]).values
    assert values == shellconf.parse_shellconf(SHIPPED).values


def test_without_a_record_our_files_go_and_packages_stay() -> None:
    removal = plan(armed(), past(None))
    assert names(removal) == [CONFIG, DROP_IN, "boot_loader grub", "load capture kernel", *OWN]
    assert any(line.startswith("packages: no record") for line in removal.kept)
    assert any(line.startswith("sysctls") for line in removal.kept)


def test_settings_that_cannot_be_put_back_are_said() -> None:
    removal = plan(armed(), past(None, shipped=None))
    assert CONFIG not in names(removal)
    assert any("/etc/default/kdump-tools" in line for line in removal.kept)


def test_boot_loader_that_is_not_ours_to_manage_stays() -> None:
    found = names(plan(armed(), past(before_of(fresh())), boot_loader=False))
    assert DROP_IN not in found
    assert "boot_loader grub" not in found


def test_password_in_the_settings_is_never_shown() -> None:
    seen = had_kdump("FTP_PASSWORD=s3cret\n")
    for change in plan(armed_from(seen), past(before_of(seen))).changes:
        assert "s3cret" not in (change.before or "") + (change.after or "")


# --- systemd-boot -----------------------------------------------------------------


def on_systemd_boot(text: str | None, vendor: str | None = None) -> dict[str, t.Any]:
    entries = [{"title": "D", "release": RELEASE, "crashkernel": [], "generated": True, "is_next": True}]
    files = {kdump.SYSTEMD_BOOT_CMDLINE: {"text": text, "mode": 0o600, "uid": 0}} if text is not None else {}
    return fresh(boot={"loader": "systemd-boot", "entries": entries}, files=files, vendor_cmdline=vendor)


@pytest.mark.parametrize("text", ["root=UUID=0 ro\n", "root=UUID=0  ro crashkernel=64M\n\n", "ro BOOT_IMAGE=/x quiet"])
def test_command_line_of_kernel_install_comes_back_byte_for_byte(text: str) -> None:
    seen = on_systemd_boot(text)
    capture = {**armed(), "boot": seen["boot"]}
    written = {"text": kdump.systemd_boot_cmdline(seen, "256M"), "mode": 0o644, "uid": 0}
    capture["files"][kdump.SYSTEMD_BOOT_CMDLINE] = written
    change = next(c for c in plan(capture, past(before_of(seen))).changes if c.target == kdump.SYSTEMD_BOOT_CMDLINE)
    assert (change.data["text"], change.data["mode"]) == (text, 0o600)
    written["text"] = written["text"].replace("ro", "rw")
    change = next(c for c in plan(capture, past(before_of(seen))).changes if c.target == kdump.SYSTEMD_BOOT_CMDLINE)
    assert "rw" in change.data["text"], "a later word of the administrator"
    assert "256M" not in change.data["text"]
    assert ("crashkernel=64M" in change.data["text"]) == ("crashkernel=64M" in text)


def test_command_line_file_of_ours_stays_where_the_running_line_would_replace_it() -> None:
    """kernel-install falls back to /proc/cmdline, and that has crashkernel= until the next boot."""
    seen = on_systemd_boot(None)
    capture = {**armed(), "boot": seen["boot"]}
    text = kdump.systemd_boot_cmdline(seen, "256M")
    capture["files"][kdump.SYSTEMD_BOOT_CMDLINE] = {"text": text, "mode": 0o644, "uid": 0}
    removal = plan(capture, past(before_of(seen)))
    change = next(c for c in removal.changes if c.target == kdump.SYSTEMD_BOOT_CMDLINE)
    assert change.after == "root=UUID=0 ro quiet\n"
    assert any(kdump.SYSTEMD_BOOT_CMDLINE in line for line in removal.kept)
    removal = plan({**capture, "vendor_cmdline": "ro\n"}, past(before_of(seen)))
    assert next(c for c in removal.changes if c.target == kdump.SYSTEMD_BOOT_CMDLINE).after is None


# --- the boot that gives the memory back ---------------------------------------------


def test_reservation_stays_until_the_next_boot() -> None:
    before = before_of(fresh())
    capture = armed()
    assert kdumpabsent.leaves_reservation(capture, kdumpabsent.Removal([], []), before) == [], "it boots as it runs"
    removal = plan(capture, past(before))
    foretold = kdumpabsent.leaves_reservation(capture, removal, before)
    assert len(foretold) == 1
    assert "crashkernel=256M, the next no crashkernel=" in foretold[0]
    capture["boot"]["entries"][0]["crashkernel"] = []
    assert kdumpabsent.leaves_reservation(capture, kdumpabsent.Removal([], []), None) == foretold, "and then it is so"
    capture["cmdline"]["crashkernel"] = []
    assert kdumpabsent.leaves_reservation(capture, kdumpabsent.Removal([], []), None) == []


def test_unknown_next_boot_is_not_guessed() -> None:
    capture = armed()
    capture["boot"]["entries"][0]["is_next"] = False
    assert kdumpabsent.leaves_reservation(capture, kdumpabsent.Removal([], []), None) == []
