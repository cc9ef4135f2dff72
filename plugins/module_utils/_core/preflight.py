# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What stops the kdump role before it changes anything on a host."""

from __future__ import annotations

import typing as t

from .plan import Change
from .problems import Problem, find_problems
from .text import human_bytes

__all__ = ["find_blockers", "find_removal_blockers", "needs_dry_run"]

MIB = 1024 * 1024

#: Bytes that must be free before packages come: archives, unpacked files, capture initrds.
VAR_BYTES = 200 * MIB
#: Room for a second grub.cfg beside the first: grub-mkconfig writes grub.cfg.new, then copies (G7 in small).
BOOT_BYTES = 2 * MIB
SUPPORTED = ("12", "13")

Seen = t.Mapping[str, t.Any]


def needs_dry_run(changes: t.Iterable[Change]) -> bool:
    """Whether GRUB's configuration will be generated: by us, or by the package's postinst (G22)."""
    return any(c.kind in ("boot_loader", "package") or c.target.startswith("/etc/default/grub") for c in changes)


def find_blockers(
    preflight: Seen, capture: Seen, changes: t.Sequence[Change], crashkernel: str | None = None
) -> list[Problem]:
    """Reasons to leave this host as it is.

    `preflight` is what `_host.preflight` saw; `crashkernel` is the value wanted in the
    boot entries, None where the boot loader is not ours to manage.
    """
    return [
        *_release(preflight["os"]),
        *_root(preflight),
        *_folder(capture),
        *_boot(capture, crashkernel),
        *_kernels(preflight, changes),
        *_state(capture, changes),
        *_dpkg(preflight, changes),
        *_space(preflight, changes),
        *_grub(preflight),
    ]


def find_removal_blockers(preflight: Seen, refused: str | None, changes: t.Sequence[Change]) -> list[Problem]:
    """Reasons to leave a host with the role's changes; `refused` says why its record is not believed."""
    found = [*_release(preflight["os"]), *_root(preflight), *_kernels(preflight, changes)]
    found += [*_dpkg(preflight, changes), *_removal_space(preflight, changes), *_grub(preflight)]
    if refused:
        message = "the record of what was before the role cannot be used: {0}".format(refused)
        remedy = "look at it; without it (move it away) Debian's shipped values are taken and packages stay"
        found.append(Problem("record", "error", None, message, remedy))
    return found


def _removal_space(preflight: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    """Purging frees what it needs, but a menu of the boot loader that is cut short does not boot."""
    if needs_dry_run(changes):
        yield from _short(preflight, {"/boot": BOOT_BYTES, "/etc": MIB})


def _release(seen: Seen) -> t.Iterator[Problem]:
    if seen["id"] == "debian" and seen["version_id"] in SUPPORTED:
        return
    message = "this is {0}; kdump is set up on Debian 12 and 13 only".format(seen["name"] or "not a known system")
    remedy = "leave the host out (crashready_hosts, --limit)" + (
        "; facts work on Debian 11" if seen["id"] == "debian" else ""
    )
    yield Problem("release", "error", None, message, remedy)


def _root(preflight: Seen) -> t.Iterator[Problem]:
    if preflight["euid"] != 0:
        yield Problem("root", "error", None, "kdump is set up by root alone", "set become: true (ansible-playbook -b)")


def _state(capture: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    """Problems that no change of ours mends, because an administrator or hardening decided so."""
    loads = any(change.kind == "load" for change in changes)
    for problem in find_problems(capture):
        if problem.id == "unit_masked" or (problem.id == "kexec_disabled" and (loads or problem.severity == "error")):
            yield problem


def _folder(capture: Seen) -> t.Iterator[Problem]:
    """The crash folder becomes root's alone at every boot: it must not be somebody's home."""
    folder = capture["folder"]
    if folder is None:
        return
    if folder["kind"] != "directory":
        message = "the crash folder {0} is a {1}, not a directory".format(folder["path"], folder["kind"])
        yield Problem("folder", "error", "G5", message, "set kdump_crash_folder to the directory itself")
    elif folder["strangers"]:
        message = "the crash folder {0} holds more than dumps: {1}".format(
            folder["path"], ", ".join(folder["strangers"])
        )
        remedy = "give dumps a folder of their own (kdump_crash_folder), or move these away: it becomes root's alone"
        yield Problem("folder", "error", "G5", message, remedy)


def _boot(capture: Seen, crashkernel: str | None) -> t.Iterator[Problem]:
    """A boot that does not bring the reservation is a boot for nothing, again with each run."""
    if crashkernel is None or not capture["applicable"] or capture["cmdline"]["crashkernel"] == [crashkernel]:
        return
    boot = capture["boot"]
    entries = boot["entries"]
    upcoming = [entry for entry in entries if entry["is_next"]]
    if capture["xen"]:
        message = "this is a Xen domain: the hypervisor reserves crash memory, not this kernel"
    elif boot["loader"] not in ("grub", "systemd-boot"):
        message = "neither GRUB nor systemd-boot was found"
    elif capture["unread"].get("boot_entries"):
        message = "the boot entries could not be read: {0}".format(capture["unread"]["boot_entries"])
    elif not any(entry["generated"] for entry in entries):
        message = "no boot entry is a generated one"
    elif upcoming and not upcoming[0]["generated"] and upcoming[0]["crashkernel"] != [crashkernel]:
        message = "the entry that boots next, {0!r}, is not a generated one".format(upcoming[0]["title"])
    else:
        return
    remedy = "set crashkernel={0} where this host boots from, and kdump_manage_boot_loader: false".format(crashkernel)
    yield Problem("boot_unknown", "error", "G18", message, remedy)


def _kernels(preflight: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    """Generating the menu makes the newest kernel the default, and one without its initrd finds no root."""
    if not any(change.kind in ("package", "boot_loader") for change in changes):
        return
    for kernel in preflight["kernels"]:
        if kernel["package"] and kernel["vmlinuz"] and not kernel["initrd"]:
            message = "kernel {0} has no initrd (an upgrade that broke off?) and may be booted next"
            remedy = "update-initramfs -c -k {0}, or remove {1}".format(kernel["release"], kernel["package"])
            yield Problem("kernel_without_initrd", "error", "G36", message.format(kernel["release"]), remedy)


def _dpkg(preflight: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    if not any(change.kind in ("package", "boot_loader") for change in changes):
        return
    if preflight["dpkg_interrupted"]:
        message = "dpkg was interrupted: {0}".format(preflight["dpkg_interrupted"])
        yield Problem("dpkg_interrupted", "error", None, message, "dpkg --configure -a, then the same run again")


def _space(preflight: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    wanted = {}
    if any(change.kind in ("package", "capture_initrd") for change in changes):
        wanted["/var"] = VAR_BYTES
    if needs_dry_run(changes):
        wanted["/boot"] = BOOT_BYTES
    if any(change.kind == "package" for change in changes):
        # kdump-tools triggers update-initramfs, which writes a new initrd beside the old one.
        wanted["/boot"] = BOOT_BYTES + preflight["initrd_bytes"] * 11 // 10
    if changes:
        wanted["/etc"] = MIB
    yield from _short(preflight, wanted)


def _short(preflight: Seen, wanted: t.Mapping[str, int]) -> t.Iterator[Problem]:
    for path, needed in wanted.items():
        free = preflight["free_bytes"][path]
        if free is not None and free < needed:
            message = "{0} has {1} free, {2} are needed".format(path, human_bytes(free), human_bytes(needed))
            yield Problem("space", "error", None, message, "free space below {0}, then the same run again".format(path))


def _grub(preflight: Seen) -> t.Iterator[Problem]:
    seen = preflight["grub_dry_run"]
    if seen is None or (seen["rc"] == 0 and seen["entries"] > 0):
        return
    said = seen["said"] or "it printed no boot entry"
    message = "a dry run of grub-mkconfig failed (rc {0}): {1}".format(seen["rc"], said)
    remedy = "mend the file it names (/etc/default/grub, /etc/default/grub.d, /etc/grub.d); see it with: grub-mkconfig"
    yield Problem("grub_mkconfig", "error", None, message, remedy)
