# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Brings the channels of a host to what `_core.channels` planned, and looks again."""

from __future__ import annotations

import typing as t

from .._core import channels
from .._core.channels import GRUB_DROP_IN, RECORD, SYSTEMD_BOOT_CMDLINE
from .._core.errors import CoreError
from .._core.netconsole_unit import RECEIVER, SENDER, receiver_files, sender_files
from .._core.plan import Change, as_diff, as_results
from .._core.receiver import Limits
from .._host.base import Host, Unreadable, look
from .._host.bootentries import collect_boot
from .._host.capture import see_capture
from .._host.channels import see_channels
from .._host.kernel import collect_kernel
from . import hostprogram
from .bootloader import GRUB_CFG, follow, loader_entries, must
from .files import Snapshot, Stopped
from .managed import apply_file, apply_unit, look_at, runs_systemd
from .netconsole import disarm

__all__ = ["converge", "converge_receiver"]

_NOTIFIERS = "/sys/module/kernel/parameters/crash_kexec_post_notifiers"
_VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
Result = dict[str, t.Any]


def converge(host: Host, wanted: channels.Wanted, program: bytes, check_mode: bool = False) -> Result:
    """Look, plan, change, look again: {changed, changes, diff, channels, reboot_required, reboot_reasons}.

    Raises CoreError before anything was changed, Stopped where a change failed.
    """
    seen = _look(host)
    settings = wanted.netconsole if wanted.present else None
    files = sender_files(settings, program)
    changes = channels.plan(wanted, seen)
    sender = hostprogram.converge(host, SENDER, files, check_mode=True)
    if not check_mode:
        if files is None:
            # Stopped before its target goes, or it would set it up again.
            hostprogram.converge(host, SENDER, None)
        _carry_out(host, changes)
        if files is not None:
            hostprogram.converge(host, SENDER, files)
        seen = _look(host)
        # A driver that refuses its store is told by the facts; it stops nothing.
        left = [change for change in channels.plan(wanted, seen) if change.kind != "load_module"]
        if left:
            names = ", ".join(change.name for change in left)
            raise Stopped("a second look after the changes", "still to be done: " + names, "run again with --diff")
        refused = [change.name for change in channels.plan(wanted, seen)]
        changes = [change for change in changes if change.name not in refused]
    return {
        "changed": bool(changes) or sender["changed"],
        "changes": as_results(changes) + sender["changes"],
        "diff": as_diff(changes) + sender["diff"],
        "channels": channels.judge_channels(seen),
        "reboot_required": bool(channels.reboot_reasons(wanted, seen)),
        "reboot_reasons": channels.reboot_reasons(wanted, seen),
    }


def converge_receiver(host: Host, limits: Limits | None, port: int, program: bytes, check_mode: bool = False) -> Result:
    """The receiver on this host: {changed, changes, diff}. Without `limits` it goes; what it kept stays."""
    if not 0 < port < 65536:
        raise CoreError("port: {0} is no UDP port".format(port))
    return hostprogram.converge(host, RECEIVER, receiver_files(limits, port, program), check_mode)


def _look(host: Host) -> Result:
    kernel = collect_kernel(host)
    capture = see_capture(host, kernel)
    seen = see_channels(host, capture)
    boot = collect_boot(host)
    unread: dict[str, str] = {}
    written = look(unread, "cmdline", host.read, SYSTEMD_BOOT_CMDLINE, 64 * 1024)
    if unread.get("cmdline") not in (None, "not found"):
        raise Stopped("reading {0}".format(SYSTEMD_BOOT_CMDLINE), unread["cmdline"], "run as root")
    return {
        **seen,
        "files": look_at(host, (*channels.FILES, RECORD)),
        "boot": {
            "loader": boot["loader"],
            "entries": [entry for entry in boot["entries"] if not entry["foreign"]],
            "releases": [entry["release"] for entry in kernel["installed"] or () if entry["vmlinuz"]],
        },
        "kernel_cmdline": written,
        "vendor_cmdline": look({}, "vendor", host.read, _VENDOR_CMDLINE, 64 * 1024),
    }


def _carry_out(host: Host, changes: t.Sequence[Change]) -> None:
    undo = Snapshot([GRUB_DROP_IN, SYSTEMD_BOOT_CMDLINE, GRUB_CFG, *loader_entries(host)])
    for change in changes:
        try:
            _APPLY[change.kind](host, change)
        except OSError as exc:
            raise Stopped(change.name, str(exc), "mend that, then the same run again") from exc
        except Stopped:
            if change.kind == "boot_loader":
                undo.restore()
            raise


def _file(_host: Host, change: Change) -> None:
    apply_file(change)


def _boot_loader(host: Host, change: Change) -> None:
    follow(host, change.target, change.data["releases"])


def _load_module(host: Host, change: Change) -> None:
    """A store that cannot be had (firmware without room, region in use) is told by the facts and stops nothing."""
    try:
        host.run(["modprobe", change.target])
    except Unreadable as exc:
        raise Stopped("modprobe {0}".format(change.target), exc.reason, "install kmod") from exc


def _restart(host: Host, change: Change) -> None:
    if runs_systemd(host):
        must(host, ["systemctl", "restart", change.target], "{0} could not be restarted".format(change.target))


def _notifiers(_host: Host, change: Change) -> None:
    with open(_NOTIFIERS, "w", encoding="ascii") as stream:
        stream.write(change.data["value"])


def _disarm(_host: Host, _change: Change) -> None:
    disarm()


_APPLY: t.Mapping[str, t.Callable[[Host, Change], None]] = {
    "file": _file,
    "unit": apply_unit,
    "boot_loader": _boot_loader,
    "load_module": _load_module,
    "restart": _restart,
    "notifiers": _notifiers,
    "disarm": _disarm,
}
