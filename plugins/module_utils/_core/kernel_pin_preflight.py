# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What stops a kernel transaction before it changes anything, and what a person should know before its boot."""

from __future__ import annotations

import typing as t

from . import debversion, kernel_pin
from . import kernel_pin_files as files
from .aptpins import pins_of
from .errors import CoreError
from .kernel_pin import Seen, Wanted
from .kernel_pin_state import FAILED
from .makedumpfile import reads
from .plan import Change
from .preflight import SUPPORTED
from .problems import Problem
from .text import clean, human_bytes

__all__ = ["find_arming_blockers", "find_blockers", "find_notes", "hang_protected", "one_shot_ability"]

MIB = 1024 * 1024
#: Names of grub-probe for file systems that tell GRUB the blocks of a file, which it then writes in place
#: (grub-core/commands/loadenv.c: save_env). Of others that is not known.
WRITABLE = ("ext2", "fat", "xfs")
#: Bytes of /etc and of the lists of one suite.
SMALL_BYTES = 32 * MIB
#: An initrd of MODULES=most grows with the kernel; the largest one that is there, and a third.
INITRD_SHARE = 4 / 3
GRUBENV_BYTES = 1024


def _error(name: str, message: str, remedy: str, gap: str | None = None) -> Problem:
    return Problem(name, "error", gap, message, remedy)


def find_blockers(wanted: Wanted, seen: Seen, changes: t.Sequence[Change]) -> list[Problem]:
    """Reasons to leave this host as it is, all of them at once."""
    blockers = [*_release(seen), *_root(seen), *_state(seen)]
    kinds = {change.kind for change in changes}
    if kinds & {"package", "purge"}:
        blockers += _dpkg(seen)
    if wanted.state == "present" and wanted.step == "stage" and not blockers:
        if kernel_pin.phase(seen) in ("none", "staged", "armed", "failed", "committed"):
            blockers += [*_own_kernel(seen), *_offer(wanted, seen)]
        if changes and not blockers:
            blockers += [*_way_back(seen), *_one_shot(seen), *_signed(seen), *_builds(seen), *_space(seen, changes)]
            blockers += _grub(seen)
    return blockers


def _release(seen: Seen) -> t.Iterator[Problem]:
    os = seen["os"]
    if os["id"] != "debian" or os["version_id"] not in SUPPORTED:
        message = "this is {0}; kernels are changed on Debian 12 and 13 only".format(os["name"] or "no known system")
        yield _error("release", message, "leave the host out (crashready_hosts, --limit)")


def _root(seen: Seen) -> t.Iterator[Problem]:
    if seen["euid"] != 0:
        yield _error("root", "kernels are changed by root alone", "set become: true (ansible-playbook -b)")


def _state(seen: Seen) -> t.Iterator[Problem]:
    if seen["state_unread"]:
        message = "what this host remembers of its kernel transaction cannot be used: {0}".format(seen["state_unread"])
        yield _error("state", message, "look at the file; then run with backports_kernel_state: absent and begin anew")


def _dpkg(seen: Seen) -> t.Iterator[Problem]:
    if seen["dpkg_interrupted"]:
        message = "dpkg was interrupted: {0}".format(seen["dpkg_interrupted"])
        yield _error("dpkg_interrupted", message, "dpkg --configure -a, then the same run again")


def _own_kernel(seen: Seen) -> t.Iterator[Problem]:
    """A kernel that is not this host's to choose, or not Debian's."""
    if not seen["applicable"]:
        yield _error("container", str(seen["applicable_reason"]), "change the kernel of the machine below")
    elif seen["xen"]:
        message = "this is a Xen domain: its boot entries start the hypervisor, and no trial entry is made for that"
        yield _error("xen", message, "change the kernel by hand")
    elif seen["kernel"]["stream"] == "foreign":
        message = "the running kernel is no kernel of Debian ({0})".format(seen["kernel"]["stream_reason"])
        yield _error("foreign_kernel", message, "ask whoever builds it for a fix; Debian's kernel may lack its drivers")


def _offer(wanted: Wanted, seen: Seen) -> t.Iterator[Problem]:
    offer = seen["offer"]
    if offer is None:
        if kernel_pin.phase(seen) == "committed" and not kernel_pin.is_other_wish(wanted, seen):
            return
        what = "{0} {1}".format(wanted.package, wanted.version or "").strip()
        message = "{0} cannot be had from {1}: {2}".format(what, wanted.suite, seen["offer_unread"])
        remedy = "choose a suite that has it (backports_kernel_suite), or another mirror (backports_kernel_mirror)"
        yield _error("suite", message, remedy)
        return
    if offer["version"] in wanted.blocked_versions:
        message = "{0} {1} is one of the versions known as bad".format(wanted.package, offer["version"])
        yield _error("blocked_version", message, "choose another version (backports_kernel_version)")
    state = seen["state"]
    if state and state.stage == FAILED and state.version == offer["version"]:
        message = "{0} {1} was tried on this host and came back".format(wanted.package, state.version)
        remedy = "choose another version; to try the same again, forget it: backports_kernel_state: absent"
        yield _error("failed_before", message, remedy)
    yield from _running_already(seen)
    yield from _admin(wanted, seen)


def _running_already(seen: Seen) -> t.Iterator[Problem]:
    if kernel_pin.phase(seen) == "committed":
        return
    release, version = seen["kernel"]["release"], seen["kernel"]["package_version"]
    offer = seen["offer"]
    if offer["release"] == release:
        same = version == offer["version"]
        how = (
            "runs"
            if same
            else "shares its release {0} with the running {1}, which it would replace".format(release, version)
        )
        message = "{0} {1}: no kernel beside the running one".format(offer["version"], how)
        yield _error("same_release", message, "nothing is to be tried here" if same else "upgrade and boot by hand")


def _admin(wanted: Wanted, seen: Seen) -> t.Iterator[Problem]:
    """What an administrator decided with apt's own means is respected."""
    names = [*seen["offer"]["packages"], wanted.package]
    held = sorted(set(names) & set(seen["holds"]))
    if held:
        message = "{0} {1} on hold".format(", ".join(held), "is" if len(held) == 1 else "are")
        yield _error("hold", message, "apt-mark unhold {0}, if that hold is not needed any more".format(" ".join(held)))
    for pin in pins_of(seen["pins"], names)[:3]:
        message = "an administrator pins kernels: {0} has {1} at {2}".format(pin.where, pin.pin, pin.priority)
        yield _error("pinned", message, "take that stanza away, if crashready is to choose the kernel")


def _way_back(seen: Seen) -> t.Iterator[Problem]:
    boot, release = seen["boot"], seen["kernel"]["release"]
    if boot["loader"] not in ("grub", "systemd-boot"):
        message = "neither GRUB nor systemd-boot was found, so no boot can be tried once"
        yield _error("boot_loader", message, "change the kernel by hand, with a console at hand")
        return
    if boot["unread"]:
        message = "the boot entries could not be read: {0}".format(boot["unread"])
        yield _error("boot_unread", message, "mend that, then the same run again")
        return
    generated = {entry["release"] for entry in boot["entries"] if entry["generated"]}
    known = [k for k in seen["kernel"]["installed"] or () if k["release"] == release and k["vmlinuz"] and k["initrd"]]
    if release not in generated or not known:
        message = "the running kernel {0} has no boot entry with its initrd any more, so there is no way back"
        remedy = "install its package again, or boot the kernel that is there and proven"
        yield _error("no_way_back", message.format(release), remedy, "G36")
    elif boot["loader"] == "grub" and not boot["template"]:
        message = "no entry of a single kernel was found in grub.cfg: {0}".format(boot["template_reason"])
        yield _error("boot_unknown", message, "update-grub, and look at /etc/grub.d/10_linux", "G36")


def _one_shot(seen: Seen) -> t.Iterator[Problem]:
    """A choice for one boot that the loader cannot take back is a loop (G35)."""
    able = seen["one_shot"]["able"]
    if able is True:
        return
    what = "cannot" if able is False else "may not be able to"
    message = "the boot loader {0} note that a trial boot was taken: {1}. The host would boot the new kernel for ever"
    remedy = "put /boot on a plain ext4 or XFS partition, or change the kernel by hand with a console at hand"
    yield _error("one_shot", message.format(what, seen["one_shot"]["reason"]), remedy, "G35")


def one_shot_ability(
    abstractions: t.Sequence[str], filesystem: str, block: t.Mapping[str, t.Any]
) -> tuple[bool | None, str]:
    """Whether GRUB can write its environment block, and why (G35).

    `abstractions` and `filesystem` are grub-probe's words about the folder of the block; `block` is
    {kind, size, used} of the file, its kind None where it is not there (grub-editenv makes it then).
    """
    layered = [name for name in abstractions if name in ("lvm", "diskfilter") or name.startswith(("mdraid", "raid"))]
    if layered:
        return False, "GRUB does not write through {0}, on which its environment block lies".format(layered[0])
    if filesystem in ("btrfs", "zfs"):
        return False, "GRUB does not write on {0}, on which its environment block lies".format(filesystem)
    if filesystem not in WRITABLE:
        return None, "its environment block lies on {0}, of which that is not known".format(clean(filesystem, 40))
    if block["kind"] not in (None, "file"):
        return None, "its environment block is a {0}, not a file".format(block["kind"])
    if block["kind"] and block["size"] != GRUBENV_BYTES:
        return None, "its environment block has {0} bytes, not {1}".format(block["size"], GRUBENV_BYTES)
    if block["used"] + len("next_entry={0}\n".format(files.TRIAL_ID)) > GRUBENV_BYTES:
        return None, "its environment block is full"
    return True, "GRUB writes its environment block on {0}".format(filesystem)


def _signed(seen: Seen) -> t.Iterator[Problem]:
    offer = seen["offer"]
    if offer and not offer["signed"] and seen["kernel"]["secure_boot"] is not False:
        state = "on" if seen["kernel"]["secure_boot"] else "not known"
        message = "{0} is not signed and Secure Boot is {1}: the firmware would refuse it".format(offer["image"], state)
        yield _error("secure_boot", message, "choose the signed package, or switch Secure Boot off", "G20")


def _builds(seen: Seen) -> t.Iterator[Problem]:
    offer, dkms = seen["offer"], seen["dkms"]
    if not offer:
        return
    if dkms["modules"] and not offer["headers_package"]:
        message = "DKMS builds {0} on this host and {1} has no headers for {2}"
        shown = ", ".join(dkms["modules"][:5])
        remedy = "choose a kernel with headers, or do without these modules"
        yield _error("dkms_headers", message.format(shown, offer["suite"], offer["release"]), remedy)
    if not seen["mkinitramfs"]:
        message = "neither initramfs-tools nor dracut is installed, so the new kernel would get no initrd"
        yield _error("no_initramfs", message, "apt-get install initramfs-tools", "G23")


def _space(seen: Seen, changes: t.Sequence[Change]) -> t.Iterator[Problem]:
    needed = {"/etc": MIB, "/var": SMALL_BYTES}
    offer = seen["offer"]
    if offer and any(change.kind == "package" and change.target == offer["image"] for change in changes):
        kernel = seen["kernel_bytes"]
        needed["/boot"] = int(kernel["image"] + kernel["initrd"] * INITRD_SHARE) + 4 * MIB
        needed["/var"] += offer["download_bytes"] + int(kernel["initrd"] * INITRD_SHARE)
        needed["/usr"] = offer["installed_bytes"]
    for path, size in needed.items():
        free = seen["free_bytes"][path]
        if free is not None and free < size:
            message = "{0} has {1} free, {2} are needed for a kernel more"
            remedy = (
                "remove a kernel that is neither running nor the newest (apt-get autoremove), or free space below {0}"
            )
            text = message.format(path, human_bytes(free), human_bytes(size))
            yield _error("space", text, remedy.format(path))


def _grub(seen: Seen) -> t.Iterator[Problem]:
    dry = seen["grub_dry_run"]
    if dry is None or (dry["rc"] == 0 and dry["entries"] > 0):
        return
    message = "a dry run of grub-mkconfig failed (rc {0}): {1}".format(dry["rc"], dry["said"] or "no boot entry")
    yield _error("grub_mkconfig", message, "mend the file it names; see it with: grub-mkconfig")


# --- between the packages and the boot ----------------------------------------------------------------------


def find_arming_blockers(seen: Seen) -> list[Problem]:
    """Reasons not to boot the new kernel, now that its files are there to be looked at."""
    return [*_initrd(seen), *_modules(seen), *_firmware(seen)]


def _initrd(seen: Seen) -> t.Iterator[Problem]:
    release = kernel_pin.new_release(seen)
    kernel = next((k for k in seen["kernel"]["installed"] or () if k["release"] == release), None)
    if kernel is None or not (kernel["vmlinuz"] and kernel["initrd"]):
        message = "the new kernel {0} lies in /boot without its initrd".format(release)
        yield _error("kernel_without_initrd", message, "update-initramfs -c -k {0}".format(release), "G36")


def _modules(seen: Seen) -> t.Iterator[Problem]:
    missing = seen["dkms"]["missing"]
    if seen["drivers_missing"]:
        message = "{0} has no driver {1}, which runs a NIC of this host"
        text = message.format(kernel_pin.new_release(seen), ", ".join(seen["drivers_missing"]))
        yield _error("driver_missing", text, "choose a kernel that has it, or install the package that brings it")
    if missing:
        message = "modules that run on this host were not built for {0}: {1}"
        names = ", ".join(missing[:8])
        remedy = "dkms status, and the log it names; without them the trial would lack a driver"
        yield _error("dkms_missing", message.format(kernel_pin.new_release(seen), names), remedy)


def _firmware(seen: Seen) -> t.Iterator[Problem]:
    for loss in seen["firmware_losses"]:
        message = "the driver {0} of {1} asks for {2}, which is not on this host (it has {3})"
        text = message.format(loss.driver, kernel_pin.new_release(seen), " or ".join(loss.wanted[:3]), loss.had[0])
        packages = " or ".join(loss.packages) or "the package with that file"
        remedy = "install {0} from a suite as new as the kernel's, then the same run again".format(packages)
        yield _error("firmware_missing", text, remedy)


# --- what a person should know --------------------------------------------------------------------------------


def hang_protected(seen: Seen) -> bool:
    """Whether a hard hang of the trial ends without a hand."""
    return bool(seen["watchdog"]["hardware"])


def find_notes(wanted: Wanted, seen: Seen) -> list[Problem]:
    """What changes with that kernel beside the kernel; nothing of it stops the run."""
    if seen["offer"] is None:
        return []
    return [*_hang(seen), *_dump(seen), *_dkms(seen), *_updates(wanted, seen), *_unseen(seen)]


def _note(name: str, message: str, remedy: str, gap: str | None = None) -> Problem:
    return Problem(name, "warning", gap, message, remedy)


def _hang(seen: Seen) -> t.Iterator[Problem]:
    if hang_protected(seen):
        return
    found = seen["watchdog"]["identity"]
    what = "only a software watchdog ({0})".format(found) if found else "no watchdog"
    message = "this host has {0}: if the new kernel hangs hard, only a hand at its power switch brings it back"
    remedy = "have remote power or a console at hand and say yes with backports_kernel_hang_ok: true"
    yield _note("no_watchdog", message.format(what), remedy)


def _dump(seen: Seen) -> t.Iterator[Problem]:
    """What the capture tools make of the next panic (G9, G10)."""
    tools, release = seen["tools"], seen["offer"]["release"]
    if tools["makedumpfile"]:
        now = reads(tools["makedumpfile"], seen["kernel"]["release"])
        then = reads(tools["makedumpfile"], release)
        if then.level < now.level or (now.finds_free_pages and not then.finds_free_pages):
            remedy = "the role kdump sets the dump level for it; see that the crash folder has the room"
            yield _note("makedumpfile", then.reason, remedy, "G9")
    if tools["crash"] and tuple(_numbers(release)) > _numbers(seen["kernel"]["release"]):
        message = "crash {0} may not read a dump of {1}".format(tools["crash"], release)
        remedy = "open it on another machine, with drgn from PyPI or crash from sid; crash_dump_info does not need it"
        yield _note("crash", message, remedy, "G10")


def _numbers(release: str) -> tuple[int, ...]:
    parts = release.split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _dkms(seen: Seen) -> t.Iterator[Problem]:
    modules = seen["dkms"]["modules"]
    if modules:
        zfs = " (ZFS among them: the new kernel must be one that it supports)" if "zfs" in modules else ""
        message = "DKMS has to build {0} for {1}{2}"
        text = message.format(", ".join(modules[:8]), seen["offer"]["release"], zfs)
        yield _note("dkms", text, "if one cannot be built the trial is not booted")
        if seen["kernel"]["secure_boot"]:
            message = "Secure Boot is on: what DKMS builds has to be signed with a key that the firmware knows"
            yield _note("dkms_signed", message, "mokutil --list-enrolled")


def _updates(wanted: Wanted, seen: Seen) -> t.Iterator[Problem]:
    if "unattended-upgrades" in seen["packages"] and "-backports" in wanted.suite:
        message = "unattended-upgrades takes nothing from {0} by default: this kernel's security updates wait for you"
        remedy = "apt-get upgrade, or add the suite to Unattended-Upgrade::Origins-Pattern"
        yield _note("updates", message.format(wanted.suite), remedy)
    default = seen["boot"]["default_release"]
    if default and default != seen["kernel"]["release"] and kernel_pin.phase(seen) in ("none", "staged"):
        message = "{0} would boot next and {1} runs: until the gate the proven one is the default"
        text = message.format(default, seen["kernel"]["release"])
        yield _note("other_default", text, "nothing, where that is what you want", "G36")


def _unseen(seen: Seen) -> t.Iterator[Problem]:
    if seen["firmware_unread"]:
        message = "which firmware files the new kernel asks for is known after its package came ({0})"
        yield _note(
            "firmware_unread", message.format(seen["firmware_unread"]), "nothing: it is looked at before the boot"
        )
    if seen["offer"]["version"] and seen["kernel"]["package_version"]:
        try:
            older = debversion.compare(seen["offer"]["version"], seen["kernel"]["package_version"]) < 0
        except CoreError:
            older = False
        if older:
            message = "{0} is older than the running {1}"
            text = message.format(seen["offer"]["version"], seen["kernel"]["package_version"])
            yield _note("older", text, "nothing, where that is what you chose")
