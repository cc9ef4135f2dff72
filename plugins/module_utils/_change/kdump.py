# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Brings a host to the state that `_core.kdump` planned, and looks again."""

from __future__ import annotations

import os
import time
import typing as t

from .._core import kdump, preflight
from .._core.errors import CoreError
from .._core.plan import Change, as_diff, as_results
from .._core.problems import Problem, find_problems
from .._core.text import clean
from .._host.base import Completed, Host, Unreadable
from .._host.capture import CAPTURE_SYSCTLS, facts_of, see_capture
from .._host.kernel import collect_kernel
from .._host.preflight import see_preflight
from . import apt
from .files import Snapshot, Stopped, write_file

__all__ = ["Blocked", "converge"]

GRUB_CFG = "/boot/grub/grub.cfg"
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
    undo = Snapshot([kdump.GRUB_DROP_IN, kdump.SYSTEMD_BOOT_CMDLINE, GRUB_CFG, *_loader_entries(host)])
    packages = [change for change in view.changes if change.kind in ("package", "debconf")]
    if packages:
        _install(host, packages, lock_timeout_s)
        view = _look(host, wanted)
    rest = [change for change in view.changes if change not in packages]
    if rest:
        _apply(host, wanted, rest, undo)
        view = _look(host, wanted)
    if view.changes:
        left = ", ".join(change.name for change in view.changes)
        raise Stopped("a second look after the changes", "still to be done: " + left, "run again with -vv and --diff")
    return packages + rest, view


def _install(host: Host, changes: t.Sequence[Change], lock_timeout_s: int) -> None:
    names = [change.target for change in changes if change.kind == "package"]
    if any(change.kind == "debconf" for change in changes):
        apt.preseed(host, "kdump-tools/use_kdump", "boolean", "true")
    if "kexec-tools" in names:
        # Ours is the crash kernel alone; normal reboots keep going through the firmware.
        apt.preseed(host, "kexec-tools/load_kexec", "boolean", "false")
    if names:
        apt.install(host, names, lock_timeout_s)


def _loader_entries(host: Host) -> list[str]:
    """systemd-boot's entry files, which kernel-install rewrites one by one."""
    found = []
    for folder in ("/efi/loader/entries", "/boot/efi/loader/entries", "/boot/loader/entries"):
        try:
            found += ["{0}/{1}".format(folder, name) for name in host.listdir(folder)]
        except Unreadable:
            continue
    return found


def _apply(host: Host, wanted: kdump.Wanted, changes: t.Sequence[Change], undo: Snapshot) -> None:
    for change in changes:
        try:
            _APPLY[change.kind](host, change)
            if change.kind == "boot_loader":
                _verify_boot_entries(host, wanted)
        except OSError as exc:
            raise Stopped(change.name, str(exc), "mend that, then the same run again") from exc
        except Stopped:
            if change.kind == "boot_loader":
                _undo(undo)
            raise
    if any(change.target == kdump.DEADLINE_UNIT for change in changes) and os.path.isdir("/run/systemd/system"):
        _must(host, ["systemctl", "daemon-reload"], "systemd could not re-read its units")


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


def _must(host: Host, argv: t.Sequence[str], what: str, timeout_s: float = 300) -> Completed:
    try:
        done = host.run(argv, timeout_s=timeout_s)
    except Unreadable as exc:
        raise Stopped(what, exc.reason, "run it by hand: {0}".format(" ".join(argv))) from exc
    if done.rc != 0:
        seen = clean((done.err or done.out)[-600:], 400) or "rc {0}".format(done.rc)
        raise Stopped(what, seen, "run it by hand: {0}".format(" ".join(argv)))
    return done


def _apply_file(host: Host, change: Change) -> None:
    write_file(change.target, change.data["text"].encode("utf-8", "surrogateescape"), change.data.get("mode", 0o644))


def _apply_directory(host: Host, change: Change) -> None:
    os.makedirs(change.target, mode=0o700, exist_ok=True)
    # Through a descriptor that follows no link: whoever owns the folder above could name another.
    folder = os.open(change.target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(folder, 0, 0)
        os.fchmod(folder, 0o700)
    finally:
        os.close(folder)


def _apply_sysctl(host: Host, change: Change) -> None:
    with open("/proc/sys/" + change.target.replace(".", "/"), "w", encoding="ascii") as stream:
        stream.write(change.data["value"])


def _apply_unit(host: Host, change: Change) -> None:
    _must(host, ["systemctl", "enable", change.target], "{0} could not be enabled".format(change.target))


def _apply_boot_loader(host: Host, change: Change) -> None:
    if change.target == "grub":
        _must(host, ["update-grub"], "GRUB's configuration could not be generated (now undone)", 900)
        return
    for release in change.data["releases"]:
        image, initrd = "/boot/vmlinuz-" + release, "/boot/initrd.img-" + release
        argv = ["kernel-install", "add", release, image] + ([initrd] if host.exists(initrd) else [])
        _must(host, argv, "the boot entry of {0} could not be written (now undone)".format(release), 600)


def _apply_capture_initrd(host: Host, change: Change) -> None:
    release = change.data["release"]
    done = _must(host, [INITRD_HOOK, release], "the capture initrd of {0} could not be built".format(release), 1800)
    path = "/var/lib/kdump/initrd.img-" + release
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        seen = clean(done.err + done.out, 300) or "the hook of kdump-tools ended well and left no file"
        raise Stopped("the capture initrd of {0} could not be built".format(release), seen, "mkinitramfs by hand")
    # As kdump-config does at load; without it the first boot removes this initrd and builds it once more.
    with open(CAPTURE_SYSCTLS, "rb") as stream:
        write_file("/var/lib/kdump/latest_sysctls-" + release, stream.read())


def _apply_load(host: Host, change: Change) -> None:
    """Restart the unit, then believe the kernel alone: the unit ends well whatever happened (G2)."""
    _must(host, ["systemctl", "restart", kdump.UNIT], "the capture kernel could not be loaded", 900)
    if not _is_loaded(host):
        journal = host.run(["journalctl", "-u", kdump.UNIT, "-b", "-n", "8", "-o", "cat", "--no-pager"], timeout_s=60)
        raise Stopped(
            "the capture kernel could not be loaded",
            clean(journal.out.replace("\n", " / "), 400) or "kexec_crash_loaded is 0",
            "kdump-config load, and look at its last lines",
        )


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
    "boot_loader": _apply_boot_loader,
    "capture_initrd": _apply_capture_initrd,
    "load": _apply_load,
}
