# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What keeps a host from keeping its next panic, and what to do about each."""

from __future__ import annotations

import typing as t

from .crashkernel import MIB, parse_crashkernel
from .errors import CoreError
from .text import human_bytes

__all__ = ["Problem", "find_problems"]


class Problem(t.NamedTuple):
    """One finding. `error` means: the next panic is or may be lost; `warning`: something is worse than it need be."""

    id: str
    severity: str
    gap: str | None  #: G-number of docs/kdump-on-debian.md
    message: str
    remedy: str


_ROLE = "run harden-crash.yml for this host"
_REBOOT = "reboot the host (harden-crash.yml does where kdump_reboot_ok is true)"

Seen = t.Mapping[str, t.Any]


def find_problems(seen: Seen) -> list[Problem]:
    """Every problem of a capture state, errors first. Nothing is asked of a container (G34)."""
    if not seen["applicable"]:
        return []
    found: list[Problem] = []
    for check in _CHECKS:
        found += check(seen)
    return sorted(found, key=lambda problem: problem.severity)


def _not_armed(seen: Seen) -> t.Iterator[Problem]:
    if seen["armed"] is None:
        message = "it could not be seen whether a capture kernel is loaded: {0}".format(seen["unread"].get("armed"))
        yield Problem("armed_unread", "error", "G2", message, "read /sys/kernel/kexec_crash_loaded on the host")
    elif not seen["armed"]:
        message = "no capture kernel is loaded (kexec_crash_loaded is 0), whatever the service unit says"
        yield Problem("not_armed", "error", "G2", message, _ROLE)


def _reservation(seen: Seen) -> t.Iterator[Problem]:
    values = seen["cmdline"]["crashkernel"]
    reserved = seen["reserved_bytes"]
    if not values:
        yield Problem("no_crashkernel", "error", "G19", "the running kernel has no crashkernel= parameter", _ROLE)
    elif reserved == 0:
        message = "crashkernel={0} is on the command line but the kernel reserved nothing".format(values[-1])
        remedy = "look for 'crashkernel' in dmesg; choose a smaller kdump_crashkernel or give the host more memory"
        yield Problem("nothing_reserved", "error", "G19", message, remedy)
    elif reserved is None and seen["unread"].get("reserved_bytes"):
        message = "the reserved size could not be read: {0}".format(seen["unread"]["reserved_bytes"])
        yield Problem("reservation_unread", "error", "G19", message, "read /sys/kernel/kexec_crash_size on the host")
    elif reserved and seen["suggested_bytes"] and reserved < seen["suggested_bytes"]:
        message = "{0} are reserved, {1} are suggested for this host".format(
            human_bytes(reserved), human_bytes(seen["suggested_bytes"])
        )
        yield Problem("reservation_small", "warning", "G15", message, _ROLE)
    if len(values) > 1:
        message = "the running kernel has {0} crashkernel= parameters: {1}".format(len(values), " ".join(values))
        yield Problem("several_crashkernel", "warning", "G16", message, _ROLE)
    for value in values:
        try:
            parse_crashkernel(value)
        except CoreError as exc:
            yield Problem("bad_crashkernel", "error", "G16", str(exc), _ROLE)


def _memory(seen: Seen) -> t.Iterator[Problem]:
    memory = seen["memory_bytes"]
    if memory and not seen["suggested_bytes"]:
        message = "{0} MiB of memory are too little for a capture kernel".format(memory // MIB)
        remedy = "give the host at least 1 GiB, or use another channel (pstore, netconsole, serial)"
        yield Problem("memory_small", "error", "G34", message, remedy)


def _boot_entries(seen: Seen) -> t.Iterator[Problem]:
    boot = seen["boot"]
    if boot["loader"] not in ("grub", "systemd-boot"):
        message = "no GRUB and no systemd-boot was found; crashkernel= is set by something else"
        yield Problem("boot_loader_unknown", "warning", "G18", message, "set crashkernel= where this host boots from")
    if seen["unread"].get("boot_entries"):
        message = "the boot entries could not be read: {0}".format(seen["unread"]["boot_entries"])
        yield Problem("boot_entries_unread", "warning", "G18", message, "look at what this host will boot next")
    wanted = seen["cmdline"]["crashkernel"]
    for entry in boot["entries"]:
        if len(entry["crashkernel"]) == 1 and (not wanted or entry["crashkernel"] == wanted[-1:]):
            continue
        if not wanted and not entry["crashkernel"]:
            continue  # said once already: no crashkernel= at all
        shown = " ".join(entry["crashkernel"]) or "none"
        message = "boot entry {0!r} has crashkernel {1}, the running kernel {2}".format(
            entry["title"], shown, " ".join(wanted) or "none"
        )
        pending = entry["is_next"] and len(entry["crashkernel"]) == 1
        problem_id = "reboot_pending" if pending else "boot_entry"
        remedy = _REBOOT if pending else (_ROLE if entry["generated"] else "edit this entry, it is not a generated one")
        yield Problem(
            problem_id, "error" if entry["is_next"] else "warning", "G22" if pending else "G18", message, remedy
        )


def _settings(seen: Seen) -> t.Iterator[Problem]:
    if seen["packages"].get("kdump-tools") is None:
        yield Problem("kdump_tools_missing", "error", None, "the package kdump-tools is not installed", _ROLE)
        return
    use = seen["config"].get("USE_KDUMP")
    if use in (None, "", "0"):
        message = "USE_KDUMP is {0} in /etc/default/kdump-tools".format(use or "not set")
        yield Problem("kdump_disabled", "error", "G2", message, _ROLE)
    if seen["packages"].get("makedumpfile") is None:
        message = "makedumpfile is not installed: the dump would be a raw copy of all memory, without a dmesg"
        yield Problem("makedumpfile_missing", "error", "G24", message, _ROLE)
    if not seen["mkinitramfs"]:
        message = "mkinitramfs is not there (a dracut host?): no capture initrd is ever built"
        yield Problem("mkinitramfs_missing", "error", "G23", message, _ROLE)
    if seen["unit"]["masked"]:
        message = "kdump-tools.service is masked ({0}): nothing loads the capture kernel at boot"
        remedy = "systemctl unmask kdump-tools.service, then {0}".format(_ROLE)
        yield Problem("unit_masked", "error", "G2", message.format(seen["unit"]["masked"]), remedy)
    elif not seen["unit"]["enabled"]:
        yield Problem("unit_disabled", "error", "G2", "kdump-tools.service is not enabled", _ROLE)
    if seen["conffile_changed"]:
        message = "/etc/default/grub.d/kdump-tools.cfg, a conffile, was changed: a release upgrade will stop to ask"
        remedy = (
            "put the packaged file back: apt-get install --reinstall -o Dpkg::Options::=--force-confnew kdump-tools"
        )
        yield Problem("conffile_changed", "warning", "G17", message, remedy)


def _remote(seen: Seen) -> t.Iterator[Problem]:
    remote = [key for key in ("SSH", "FTP") if seen["config"].get(key)]
    if remote:
        message = "the dump goes to {0} alone: where that fails, kdump-tools reports success and keeps nothing"
        remedy = "unset {0} in /etc/default/kdump-tools: dump locally, and copy after the normal boot"
        yield Problem("remote_only", "warning", "G3", message.format(remote[0]), remedy.format(remote[0]))


def _kexec(seen: Seen) -> t.Iterator[Problem]:
    if seen["sysctl"].get("kernel.kexec_load_disabled") == "1":
        where = seen["kexec_disabled_by"] or "no file under /etc/sysctl.d, so by hand or by an early boot script"
        message = "kexec is disabled until the next boot (kernel.kexec_load_disabled=1, set by {0})".format(where)
        remedy = "remove that setting, reboot, then {0}".format(_ROLE)
        # Loaded first and locked afterwards is a sound hardening: it lasts until the next change.
        severity = "warning" if seen["armed"] else "error"
        yield Problem("kexec_disabled", severity, "G21", message, remedy)
    if seen["sysctl"].get("kernel.panic_on_oops") == "0":
        message = "an oops does not panic (kernel.panic_on_oops=0), so it leaves no dump"
        yield Problem("panic_on_oops_off", "warning", "G31", message, _ROLE)
    locked = seen["secure_boot"] is None and seen["lockdown"] in ("integrity", "confidentiality")
    if locked and "-s" not in (seen["config"].get("KDUMP_KEXEC_ARGS") or "").split():
        message = "the kernel is locked down and kdump-config cannot see Secure Boot: kexec needs -s"
        yield Problem("kexec_needs_signature", "error", "G20", message, _ROLE)


def _loaded(seen: Seen) -> t.Iterator[Problem]:
    initrd = seen["initrds"].get(seen["running_release"])
    if seen["packages"].get("kdump-tools") and initrd is not None and not initrd["present"]:
        message = "the capture initrd of the running kernel {0} is not there".format(seen["running_release"])
        yield Problem("initrd_missing", "error", "G14", message, _ROLE)
    loaded = seen["loaded"]
    if not seen["armed"]:
        return
    if not loaded:
        if seen["unread"].get("loaded") in (None, "not found"):
            message = "a capture kernel is loaded, but not which: kdump-config left no kexec_cmd in the crash folder"
            yield Problem("loaded_unknown", "warning", "G8", message, _ROLE)
        return
    if loaded["release"] and loaded["release"] != seen["running_release"]:
        message = "the loaded capture kernel is {0}, the running kernel {1}".format(
            loaded["release"], seen["running_release"]
        )
        yield Problem("loaded_other_kernel", "warning", "G14", message, "kdump-config reload")
    if loaded["older_than_initrd"] or loaded["older_than_config"]:
        message = "settings or initrd changed after the capture kernel was loaded"
        yield Problem("loaded_stale", "warning", "G8", message, "kdump-config reload")


def _folder(seen: Seen) -> t.Iterator[Problem]:
    folder = seen["folder"]
    if folder and (folder["mode"] & 0o077 or folder["uid"] != 0):
        message = "the crash folder is open to others (mode {0:04o}, owner {1})".format(folder["mode"], folder["uid"])
        yield Problem("folder_open", "warning", "G5", message, _ROLE)
    space = seen["space"]
    if space["free_bytes"] is not None and space["needed_bytes"] is not None:
        if space["free_bytes"] < space["minimum_bytes"]:
            severity, text = "error", "not even a small dump fits"
        elif space["free_bytes"] < space["needed_bytes"]:
            severity, text = "warning", "the largest dump of this host may not fit"
        else:
            return
        message = "{0} free below {1}, {2} needed ({3}): {4}".format(
            human_bytes(space["free_bytes"]),
            space["path"],
            human_bytes(space["needed_bytes"]),
            space["reason"],
            text,
        )
        remedy = "free space, or give {0} a filesystem of its own".format(space["path"])
        yield Problem("space", severity, "G7", message, remedy)


_CHECKS: tuple[t.Callable[[Seen], t.Iterator[Problem]], ...] = (
    _not_armed,
    _reservation,
    _memory,
    _boot_entries,
    _settings,
    _remote,
    _kexec,
    _loaded,
    _folder,
)
