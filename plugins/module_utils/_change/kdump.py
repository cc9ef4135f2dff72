# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Brings a host to the state that `_core.kdump` planned, and looks again."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .._core import kdump, kdumpabsent, kdumpbefore, preflight
from .._core.errors import CoreError, ParseError
from .._core.plan import Change, as_diff, as_results
from .._core.problems import Problem, find_problems
from .._core.text import clean
from .._host.base import Host, Unreadable
from .._host.capture import CAPTURE_SYSCTLS, facts_of, see_capture
from .._host.kdumpbefore import read_before, see_past
from .._host.kernel import collect_kernel
from .._host.packages import installed_packages
from .._host.preflight import see_preflight
from . import apt
from .bootloader import GRUB_CFG, follow, loader_entries, must
from .files import Snapshot, Stopped, write_file

__all__ = ["Blocked", "converge"]

INITRD_HOOK = "/etc/kernel/postinst.d/kdump-tools"


class Blocked(CoreError):
    """The host was left as it is; carries every reason at once."""

    def __init__(self, blockers: t.Sequence[Problem]) -> None:
        super().__init__("; ".join("{0}. Next: {1}".format(b.message, b.remedy) for b in blockers))
        self.blockers = tuple(blockers)


class _View(t.NamedTuple):
    """One look at the host, and what would have to change."""

    kernel: dict[str, t.Any]
    capture: dict[str, t.Any]
    desired: kdump.Desired
    changes: list[Change]


def converge(host: Host, wanted: kdump.Wanted, check_mode: bool, lock_timeout_s: int = 120) -> dict[str, t.Any]:
    """Plan, refuse or carry out, look again. Returns what the module `kdump` returns.

    Raises Blocked where nothing was changed, Stopped where a change failed.
    """
    if wanted.absent:
        return _withdraw(host, wanted, check_mode, lock_timeout_s)
    view = _look(host, wanted)
    dry_run = preflight.needs_dry_run(view.changes)
    crashkernel = view.desired.crashkernel if wanted.boot_loader else None
    seen = see_preflight(host, view.kernel, dry_run)
    blockers = preflight.find_blockers(seen, view.capture, view.changes, crashkernel)
    if blockers:
        raise Blocked(blockers)
    done = view.changes
    if not check_mode:
        done, view = _carry_out(host, wanted, view, lock_timeout_s)
    return {
        "changed": bool(done),
        "changes": as_results(done),
        "diff": as_diff(done),
        "state": "present",
        **_state(wanted, view, predicted=check_mode and bool(done)),
    }


def _look(host: Host, wanted: kdump.Wanted) -> _View:
    kernel = collect_kernel(host)
    capture = see_capture(host, kernel, wanted.crash_folder, wanted.sysctls)
    desired = kdump.desired_state(wanted, capture, kernel)
    return _View(kernel, capture, desired, kdump.plan(wanted, desired, capture, kernel))


def _state(wanted: kdump.Wanted, view: _View, predicted: bool) -> dict[str, t.Any]:
    reasons = kdump.reboot_reasons(wanted, view.desired, view.capture)
    facts = facts_of(view.capture)
    return {
        "reboot_required": bool(reasons),
        "reboot_reasons": reasons,
        "crashkernel": view.desired.crashkernel,
        "reservation": view.desired.suggestion.reason,
        "dump_level": view.desired.reading.level,
        "dump_level_reason": view.desired.reading.reason,
        "blocked_drivers": list(view.desired.blocked_drivers),
        "blocked_reason": view.desired.blocked_reason,
        "applicable": facts["applicable"],
        "armed": facts["armed"],
        "problems": [] if predicted else [problem._asdict() for problem in find_problems(view.capture)],
        "capture": facts,
    }


def _carry_out(host: Host, wanted: kdump.Wanted, view: _View, lock_timeout_s: int) -> tuple[list[Change], _View]:
    """Packages first; what they bring is looked at before the rest is done."""
    undo = Snapshot([kdump.GRUB_DROP_IN, kdump.SYSTEMD_BOOT_CMDLINE, GRUB_CFG, *loader_entries(host)])
    packages = [change for change in view.changes if change.kind in ("package", "debconf")]
    before = _remember(host, wanted, view)
    if packages:
        _install_remembered(host, packages, lock_timeout_s, before)
        view = _look(host, wanted)
    rest = [change for change in view.changes if change not in packages]
    if rest:
        _apply(host, wanted, rest, undo)
        view = _look(host, wanted)
    if view.changes:
        left = ", ".join(change.name for change in view.changes)
        raise Stopped("a second look after the changes", "still to be done: " + left, "run again with -vv and --diff")
    return packages + rest, view


def _remember(host: Host, wanted: kdump.Wanted, view: _View) -> kdumpbefore.Before | None:
    """Write down what is about to change, before it does. A record that is not ours to believe is left alone."""
    if not view.changes:
        return None
    try:
        there = read_before(host)
    except ParseError:
        return None
    if there is None:
        before = kdumpbefore.begin(view.capture, wanted.sysctls, view.changes)
    else:
        before = kdumpbefore.extend(there, view.capture, wanted.sysctls, view.changes)
    if before is not None and before != there:
        _write_record(before)
    return before


def _write_record(before: kdumpbefore.Before) -> None:
    try:
        os.makedirs(os.path.dirname(kdumpbefore.PATH), mode=0o700, exist_ok=True)
        # It holds settings that may have a password in them.
        write_file(kdumpbefore.PATH, kdumpbefore.render(before).encode("utf-8"), 0o600)
    except OSError as exc:
        raise Stopped("the record of what was before", str(exc), "mend that, then the same run again") from exc


def _install_remembered(
    host: Host, changes: t.Sequence[Change], lock_timeout_s: int, before: kdumpbefore.Before | None
) -> None:
    """Install, and add what the packages brought along to the record, however the installation ended."""
    there = installed_packages(host, _every) if before else {}
    try:
        _install(host, changes, lock_timeout_s)
    finally:
        if before:
            brought = sorted(set(installed_packages(host, _every)) - set(there))
            _write_record(kdumpbefore.with_packages(before, brought))


def _every(name: str) -> bool:
    return True


def _install(host: Host, changes: t.Sequence[Change], lock_timeout_s: int) -> None:
    names = [change.target for change in changes if change.kind == "package"]
    if any(change.kind == "debconf" for change in changes):
        apt.preseed(host, "kdump-tools/use_kdump", "boolean", "true")
    if "kexec-tools" in names:
        # Ours is the crash kernel alone; normal reboots keep going through the firmware.
        apt.preseed(host, "kexec-tools/load_kexec", "boolean", "false")
    if names:
        apt.install(host, names, lock_timeout_s)


def _apply(host: Host, wanted: kdump.Wanted, changes: t.Sequence[Change], undo: Snapshot) -> None:
    for change in changes:
        _apply_one(host, change, undo)
        if change.kind == "boot_loader":
            try:
                _verify_boot_entries(host, wanted)
            except Stopped:
                _undo(undo)
                raise
    _reload_units(host, changes)


def _apply_one(host: Host, change: Change, undo: Snapshot) -> None:
    try:
        _APPLY[change.kind](host, change)
    except OSError as exc:
        raise Stopped(change.name, str(exc), "mend that, then the same run again") from exc
    except Stopped:
        if change.kind == "boot_loader":
            _undo(undo)
        raise


def _reload_units(host: Host, changes: t.Sequence[Change]) -> None:
    if any(change.target == kdump.DEADLINE_UNIT for change in changes) and os.path.isdir("/run/systemd/system"):
        must(host, ["systemctl", "daemon-reload"], "systemd could not re-read its units")


def _undo(snapshot: Snapshot) -> None:
    try:
        snapshot.restore()
    except OSError as exc:
        step = "free space below /boot and run update-grub before this host boots again"
        raise Stopped("the boot loader's files could not be put back", str(exc), step) from exc


def _verify_boot_entries(host: Host, wanted: kdump.Wanted) -> None:
    view = _look(host, wanted)
    wrong = kdump.wrong_entries(view.desired, view.capture)
    if wrong:
        seen = "{0} still has another crashkernel= than {1}".format(wrong[0], view.desired.crashkernel)
        step = "look for a later file in /etc/default/grub.d or a script in /etc/grub.d that sets it"
        raise Stopped("boot entries after the change (now undone)", seen, step)


def _apply_file(host: Host, change: Change) -> None:
    if change.after is not None:
        text = change.data["text"].encode("utf-8", "surrogateescape")
        write_file(change.target, text, change.data.get("mode", 0o644))
        return
    os.unlink(change.target)
    if change.target == kdumpbefore.PATH:
        with contextlib.suppress(OSError):  # other records lie there too
            os.rmdir(os.path.dirname(change.target))


def _apply_directory(host: Host, change: Change) -> None:
    if change.after is None:
        for name in kdumpabsent.LEFT_BY_KDUMP_CONFIG:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(change.target, name))
        os.rmdir(change.target)
        return
    os.makedirs(change.target, mode=0o700, exist_ok=True)
    # Through a descriptor that follows no link: whoever owns the folder above could name another.
    folder = os.open(change.target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(folder, change.data.get("uid", 0), 0)
        os.fchmod(folder, change.data.get("mode", 0o700))
    finally:
        os.close(folder)


def _apply_sysctl(host: Host, change: Change) -> None:
    with open("/proc/sys/" + change.target.replace(".", "/"), "w", encoding="ascii") as stream:
        stream.write(change.data["value"])


def _apply_unit(host: Host, change: Change) -> None:
    verb = "enable" if change.data.get("enabled", True) else "disable"
    must(host, ["systemctl", verb, change.target], "{0} could not be {1}d".format(change.target, verb))


def _apply_debconf(host: Host, change: Change) -> None:
    apt.preseed(host, change.target, "boolean", change.data["value"])


def _apply_boot_loader(host: Host, change: Change) -> None:
    follow(host, change.target, change.data["releases"])


def _apply_capture_initrd(host: Host, change: Change) -> None:
    release = change.data["release"]
    done = must(host, [INITRD_HOOK, release], "the capture initrd of {0} could not be built".format(release), 1800)
    path = "/var/lib/kdump/initrd.img-" + release
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        seen = clean(done.err + done.out, 300) or "the hook of kdump-tools ended well and left no file"
        raise Stopped("the capture initrd of {0} could not be built".format(release), seen, "mkinitramfs by hand")
    # As kdump-config does at load; without it the first boot removes this initrd and builds it once more.
    with open(CAPTURE_SYSCTLS, "rb") as stream:
        write_file("/var/lib/kdump/latest_sysctls-" + release, stream.read())


def _apply_load(host: Host, change: Change) -> None:
    """Restart the unit, then believe the kernel alone: the unit ends well whatever happened (G2)."""
    must(host, ["systemctl", "restart", kdump.UNIT], "the capture kernel could not be loaded", 900)
    if not _is_loaded(host):
        journal = host.run(["journalctl", "-u", kdump.UNIT, "-b", "-n", "8", "-o", "cat", "--no-pager"], timeout_s=60)
        raise Stopped(
            "the capture kernel could not be loaded",
            clean(journal.out.replace("\n", " / "), 400) or "kexec_crash_loaded is 0",
            "kdump-config load, and look at its last lines",
        )


def _apply_unload(host: Host, change: Change) -> None:
    must(host, ["kdump-config", "unload"], "the capture kernel could not be unloaded")
    if _is_loaded(host):
        raise Stopped("the capture kernel could not be unloaded", "kexec_crash_loaded is still 1", "kexec -p -u")


def _is_loaded(host: Host) -> bool:
    """Ask the kernel; while kexec's lock is held it answers EBUSY, so ask again (G19)."""
    for _attempt in range(10):
        try:
            return host.read_line("/sys/kernel/kexec_crash_loaded") == "1"
        except Unreadable:
            time.sleep(0.5)
    return False


_APPLY: t.Mapping[str, t.Callable[[Host, Change], None]] = {
    "file": _apply_file,
    "directory": _apply_directory,
    "sysctl": _apply_sysctl,
    "unit": _apply_unit,
    "debconf": _apply_debconf,
    "boot_loader": _apply_boot_loader,
    "capture_initrd": _apply_capture_initrd,
    "load": _apply_load,
    "unload": _apply_unload,
}


# --- back to what was before the role -------------------------------------------


class _BackView(t.NamedTuple):
    """One look at a host that is to be as it was, and what is left of the role."""

    kernel: dict[str, t.Any]
    capture: dict[str, t.Any]
    past: dict[str, t.Any]
    removal: kdumpabsent.Removal


def _look_back(host: Host, wanted: kdump.Wanted) -> _BackView:
    kernel, past = collect_kernel(host), see_past(host)
    recorded = past["before"].sysctls if past["before"] else ()
    capture = see_capture(host, kernel, None, recorded)
    return _BackView(kernel, capture, past, kdumpabsent.plan_removal(wanted, capture, kernel, past))


def _withdraw(host: Host, wanted: kdump.Wanted, check_mode: bool, lock_timeout_s: int) -> dict[str, t.Any]:
    view = _look_back(host, wanted)
    removal = view.removal
    seen = see_preflight(host, view.kernel, preflight.needs_dry_run(removal.changes))
    blockers = preflight.find_removal_blockers(seen, view.past["refused"], removal.changes)
    if blockers:
        raise Blocked(blockers)
    if removal.changes and not check_mode:
        _go_back(host, removal.changes, lock_timeout_s)
        view = _look_back(host, wanted)
        if view.removal.changes:
            left = ", ".join(change.name for change in view.removal.changes)
            raise Stopped("a second look after the changes", "still to be done: " + left, "run again with --diff")
    facts = facts_of(view.capture)
    reasons = kdumpabsent.leaves_reservation(view.capture, view.removal, view.past["before"])
    return {
        "changed": bool(removal.changes),
        "changes": as_results(removal.changes),
        "diff": as_diff(removal.changes),
        "state": "absent",
        "kept": removal.kept,
        "reboot_required": bool(reasons),
        "reboot_reasons": reasons,
        "applicable": facts["applicable"],
        "armed": facts["armed"],
        "problems": [],
        "capture": facts,
    }


def _go_back(host: Host, changes: t.Sequence[Change], lock_timeout_s: int) -> None:
    """Every change in order; the packages together, since each may need another."""
    undo = Snapshot([kdump.GRUB_DROP_IN, kdump.SYSTEMD_BOOT_CMDLINE, GRUB_CFG, *loader_entries(host)])
    packages = [change.target for change in changes if change.kind == "package"]
    for change in changes:
        if change.kind != "package":
            _apply_one(host, change, undo)
        elif change.target == packages[0]:
            apt.purge(host, packages, lock_timeout_s)
    _reload_units(host, changes)
