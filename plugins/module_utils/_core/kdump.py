# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The kdump role's plan: what a host should look like, and which changes lead there.

Everything here is a function of what was seen (`capture` and `kernel` facts) and
of what is wanted (`Wanted`). Carrying it out is `_change.kdump`'s.
"""

from __future__ import annotations

import re
import typing as t

from . import cmdline as kernel_cmdline
from . import grubdropin, shellconf
from .crashkernel import MIB, Suggestion, parse_crashkernel, suggest
from .errors import CoreError
from .makedumpfile import Reading, reads
from .plan import Change

__all__ = [
    "DEFAULT_SYSCTLS",
    "Desired",
    "Wanted",
    "checked_folder",
    "desired_state",
    "kernels_in_use",
    "masked",
    "plan",
    "reboot_reasons",
    "suggestion_for",
    "systemd_boot_cmdline",
    "wanted_from",
    "wrong_entries",
]

CONFIG = "/etc/default/kdump-tools"
#: Sorts behind Debian's kdump-tools.cfg and what administrators usually name (G16, G17).
GRUB_DROP_IN = "/etc/default/grub.d/zz-crashready.cfg"
SYSTEMD_BOOT_CMDLINE = "/etc/kernel/cmdline"
#: What kernel-install(8) takes where that one is absent; the running command line comes after it.
VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
#: Behind 99-*.conf, or an administrator's older value comes back with every boot.
SYSCTL_DROP_IN = "/etc/sysctl.d/zz-crashready.conf"
TMPFILES = "/etc/tmpfiles.d/crashready.conf"
DEADLINE_UNIT_NAME = "crashready-capture-deadline.service"
DEADLINE_UNIT = "/etc/systemd/system/" + DEADLINE_UNIT_NAME
UNIT = "kdump-tools.service"

PACKAGES = ("kdump-tools", "makedumpfile", "kexec-tools", "initramfs-tools-core")

#: The capture command line of kdump-tools itself; setting the variable replaces all of it (D0, G26).
_PACKAGE_APPEND = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"

DEFAULT_SYSCTLS: t.Mapping[str, str] = {
    # kdump-config sets this one when it loads, and nothing sets it before (G31).
    "kernel.panic_on_oops": "1",
    # Where no capture kernel is loaded a panic must not hang until a hand comes.
    "kernel.panic": "30",
    "kernel.hardlockup_panic": "1",
}


class Wanted(t.NamedTuple):
    """What the user asked for; the role's variables without their prefix."""

    crashkernel: str = "auto"
    crash_folder: str = "/var/crash"
    dump_level: int | None = None
    keep_dumps: int = 0
    blocked_drivers: tuple[str, ...] | None = None
    capture_panic_s: int = 10
    capture_deadline_s: int | None = None
    sysctls: t.Mapping[str, str] = DEFAULT_SYSCTLS
    extra_packages: tuple[str, ...] = ()
    boot_loader: bool = True
    absent: bool = False  #: go back to what was before the role


class Desired(t.NamedTuple):
    """The end state for one host."""

    crashkernel: str | None  #: value of crashkernel=, or None where nothing fits
    suggestion: Suggestion
    reading: Reading
    blocked_drivers: tuple[str, ...]
    blocked_reason: str
    deadline_s: int
    config: t.Mapping[str, str]  #: assignments in /etc/default/kdump-tools
    append: str  #: KDUMP_CMDLINE_APPEND


class PlanError(CoreError):
    """The wish cannot be met on this host, whatever is changed."""


def desired_state(wanted: Wanted, capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any]) -> Desired:
    """Work out the end state.

    `capture` and `kernel` are the facts of those names. Raises PlanError where the
    wish cannot be met, for example too little memory for a reservation.
    """
    blocked, blocked_reason = _blocked_drivers(wanted, capture)
    memory = capture["memory_bytes"] or 0
    suggestion = suggestion_for(wanted, capture)
    crashkernel = _crashkernel(wanted, suggestion, memory)
    reading = _reading(wanted, capture, kernel)
    deadline_s = wanted.capture_deadline_s or _deadline(memory)
    append = _append(wanted, blocked, capture["storage"]["network"] is False and not _remote(capture))
    config = {
        "USE_KDUMP": "1",
        # The packaged values, said aloud: another kernel here would never be the one that runs (G14).
        "KDUMP_KERNEL": "/var/lib/kdump/vmlinuz",
        "KDUMP_INITRD": "/var/lib/kdump/initrd.img",
        "KDUMP_COREDIR": wanted.crash_folder,
        # -F first: kdump-config looks for it there and nowhere else.
        "MAKEDUMP_ARGS": "-F -c -d {0}".format(reading.level),
        "KDUMP_DUMP_DMESG": "1",
        "KDUMP_NUM_DUMPS": str(wanted.keep_dumps),
        "KDUMP_CMDLINE_APPEND": append,
    }
    if kernel.get("lockdown") in ("integrity", "confidentiality") and kernel.get("secure_boot") is None:
        # kdump-config adds -s only where it can read the EFI variables (G20).
        config["KDUMP_KEXEC_ARGS"] = "-s"
    return Desired(crashkernel, suggestion, reading, blocked, blocked_reason, deadline_s, config, append)


def suggestion_for(wanted: Wanted, capture: t.Mapping[str, t.Any]) -> Suggestion:
    """The reservation for a host, with the NIC drivers that its capture kernel will load."""
    blocked, _reason = _blocked_drivers(wanted, capture)
    kept = [module for module in capture["nic_modules"] if module not in blocked]
    return suggest(capture["memory_bytes"] or 0, kept, capture["page_size"])


def _crashkernel(wanted: Wanted, suggestion: Suggestion, memory: int) -> str:
    if wanted.crashkernel == "auto":
        if suggestion.total_bytes is None:
            raise PlanError("no crash kernel reservation fits this host: {0}".format(suggestion.reason))
        return "{0}M".format(suggestion.total_bytes // MIB)
    size = parse_crashkernel(wanted.crashkernel).bytes_for(memory)
    if size == 0:
        message = "crashkernel={0} reserves nothing on a host of {1} MiB"
        raise PlanError(message.format(wanted.crashkernel, memory // MIB))
    if size < 64 * MIB:
        message = "crashkernel={0} reserves {1} bytes; no kernel of Debian starts in less than 64 MiB"
        raise PlanError(message.format(wanted.crashkernel, size))
    if memory and size > memory // 2:
        message = "crashkernel={0} takes {1} MiB of {2} MiB of memory; more than half leaves the host unfit for work"
        raise PlanError(message.format(wanted.crashkernel, size // MIB, memory // MIB))
    return wanted.crashkernel


def _blocked_drivers(wanted: Wanted, capture: t.Mapping[str, t.Any]) -> tuple[tuple[str, ...], str]:
    """NIC drivers kept out of the capture kernel (G25)."""
    if wanted.blocked_drivers is not None:
        return tuple(sorted(set(wanted.blocked_drivers))), "chosen by the administrator"
    if _remote(capture):
        return (), "the dump goes over the network"
    storage = capture["storage"]
    needed = storage["nic_modules"]
    if storage["network"] is not False and needed is None:
        return (), "kept, since {0}".format(storage["reason"])
    blocked = sorted(set(capture["nic_modules"]) - set(needed or ()))
    return tuple(blocked), "a local dump needs no NIC" if not needed else storage["reason"]


def _remote(capture: t.Mapping[str, t.Any]) -> bool:
    return any(capture["config"].get(key) for key in ("SSH", "NFS", "FTP"))


def _deadline(memory: int) -> int:
    """Seconds after which a capture boot is taken for hung and reset (G26).

    makedumpfile at level 31 with zlib on one CPU scans some 100 MB/s and more; the
    boot itself takes a minute or two on real servers. 30 minutes and one minute for
    each further 4 GiB never cut a slow dump that is still a good one.
    """
    return 1800 + 60 * (memory // (4 * 1024 * MIB))


def _append(wanted: Wanted, blocked: tuple[str, ...], local: bool) -> str:
    words = [
        _PACKAGE_APPEND,
        "panic={0}".format(wanted.capture_panic_s),
        "systemd.wants={0}".format(DEADLINE_UNIT_NAME),
    ]
    if local:
        # The dump unit wants network-online.target even for a local dump: up to two
        # minutes of waiting for a NIC that is not there.
        words.append("systemd.mask=network-online.target")
    if blocked:
        words.append("module_blacklist={0}".format(",".join(blocked)))
    return " ".join(words)


def kernels_in_use(kernel: t.Mapping[str, t.Any]) -> list[str]:
    """Releases that may panic: the running kernel and the one that boots next, as far as they are known."""
    next_boot = (kernel.get("next_boot") or {}).get("release")
    return [release for release in dict.fromkeys((kernel["release"], next_boot)) if release]


def _reading(wanted: Wanted, capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any]) -> Reading:
    """The careful choice for the kernel that runs and the one that boots next."""
    tool = capture["packages"].get("makedumpfile") or capture["makedumpfile_to_come"]
    pairs = [reads(tool, release) for release in kernels_in_use(kernel)] or [reads(tool, None)]
    worst = min(pairs, key=lambda pair: (pair.level, pair.finds_free_pages))
    if wanted.dump_level is not None:
        return Reading(wanted.dump_level, worst.finds_free_pages, "level chosen by the administrator")
    return worst


def reboot_reasons(wanted: Wanted, desired: Desired, capture: t.Mapping[str, t.Any]) -> list[str]:
    """Why the host has to boot again before it can be armed; empty when it need not.

    Preflight refuses hosts whose next boot would not bring the reservation, so that
    nothing is booted for nothing.
    """
    if not capture["applicable"] or not wanted.boot_loader:
        return []
    running = capture["cmdline"]["crashkernel"]
    if running == [desired.crashkernel]:
        return []
    shown = " ".join("crashkernel=" + value for value in running) or "no crashkernel="
    return ["the running kernel was booted with {0}, wanted is crashkernel={1}".format(shown, desired.crashkernel)]


# --- the plan ---------------------------------------------------------------


def plan(
    wanted: Wanted, desired: Desired, capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any]
) -> list[Change]:
    """Every change between what was seen and what is desired, in the order of carrying out."""
    changes = _packages(wanted, capture)
    changes += _debconf(capture)
    changes += _files(wanted, desired, capture)
    changes += _folder(wanted, capture)
    changes += _sysctls(wanted, capture)
    changes += _unit(capture)
    if wanted.boot_loader:
        changes += _boot_loader(desired, capture, kernel)
    if capture["applicable"]:
        installing = any(change.name == "package kdump-tools" for change in changes)
        changes += _capture_initrds(capture, kernel, installing)
        # An armed host that will boot again anyway keeps what it has loaded until then.
        if not (capture["armed"] and reboot_reasons(wanted, desired, capture)):
            changes += _load(desired, capture, kernel, changes)
    return changes


def _packages(wanted: Wanted, capture: t.Mapping[str, t.Any]) -> list[Change]:
    names = [*PACKAGES, *wanted.extra_packages]
    return [
        Change("package", name, None, "installed", "kdump needs it", {})
        for name in dict.fromkeys(names)
        if capture["packages"].get(name) is None
    ]


def _debconf(capture: t.Mapping[str, t.Any]) -> list[Change]:
    """The answer that the package asks for again at each upgrade."""
    if capture["debconf"].get("kdump-tools/use_kdump") in ("true", None) and capture["packages"].get("kdump-tools"):
        return []
    if capture["debconf"].get("kdump-tools/use_kdump") == "true":
        return []
    before = capture["debconf"].get("kdump-tools/use_kdump")
    return [Change("debconf", "kdump-tools/use_kdump", before, "true", "an upgrade keeps kdump on", {})]


def grub_drop_in(crashkernel: str) -> str:
    """The shell fragment that makes ours the only crashkernel= of GRUB's command lines (G16, G18)."""
    comments = (
        "Managed by rackops.crashready (role kdump); changes are overwritten.",
        "Whatever /etc/default/grub and earlier files say, one crashkernel= is left, and",
        "it stands where recovery entries have it as well. G16 and G18 of docs/kdump-on-debian.md.",
    )
    return grubdropin.drop_in(
        comments, [grubdropin.of_parameter("crashkernel")], back="crashkernel={0}".format(crashkernel)
    )


def sysctl_drop_in(sysctls: t.Mapping[str, str]) -> str:
    lines = ["# Managed by rackops.crashready (role kdump); changes are overwritten.\n"]
    return "".join(lines + ["{0} = {1}\n".format(name, sysctls[name]) for name in sorted(sysctls)])


def tmpfiles(crash_folder: str) -> str:
    return (
        "# Managed by rackops.crashready (role kdump); changes are overwritten.\n"
        "# A dump holds the memory of the host: root alone may read it (G5).\n"
        "d {0} 0700 root root -\n".format(crash_folder)
    )


def deadline_unit(seconds: int) -> str:
    """A unit that only the capture kernel's command line asks for (systemd.wants=)."""
    return (
        "# Managed by rackops.crashready (role kdump); changes are overwritten.\n"
        "# A capture kernel that hangs never comes back by itself (G26). JobTimeoutSec= on\n"
        "# kdump-tools.service would also hit the normal boot, where the same unit loads the\n"
        "# capture kernel; this unit runs in the capture kernel alone.\n"
        "[Unit]\n"
        "Description=Reset of a capture kernel that does not finish in time\n"
        "DefaultDependencies=no\n"
        "ConditionPathExists=/proc/vmcore\n"
        "\n"
        "[Service]\n"
        "Type=simple\n"
        # Not systemctl reboot: it may wait for the very disk that hangs. What can be written gets twenty seconds.
        "ExecStart=/bin/sh -c 'sleep {0}; echo crashready: capture took over {0} s, resetting >/dev/console;"
        " sync & sleep 20; echo b >/proc/sysrq-trigger'\n".format(seconds)
    )


def _files(wanted: Wanted, desired: Desired, capture: t.Mapping[str, t.Any]) -> list[Change]:
    contents = {
        TMPFILES: tmpfiles(wanted.crash_folder),
        SYSCTL_DROP_IN: sysctl_drop_in(wanted.sysctls),
        DEADLINE_UNIT: deadline_unit(desired.deadline_s),
    }
    why = {
        TMPFILES: "the crash folder stays closed at every boot",
        SYSCTL_DROP_IN: "these faults panic, and a panic without capture reboots",
        DEADLINE_UNIT: "a hung capture kernel is reset",
    }
    if wanted.boot_loader and desired.crashkernel:
        loader = capture["boot"]["loader"]
        if loader == "grub":
            contents[GRUB_DROP_IN] = grub_drop_in(desired.crashkernel)
            why[GRUB_DROP_IN] = "the kernel command line reserves crash memory"
        elif loader == "systemd-boot":
            contents[SYSTEMD_BOOT_CMDLINE] = systemd_boot_cmdline(capture, desired.crashkernel)
            why[SYSTEMD_BOOT_CMDLINE] = "the kernel command line reserves crash memory"
    seen = capture["files"]
    changes = [
        _file(path, seen.get(path), contents[path], why[path]) for path in contents if not _same(seen, path, contents)
    ]
    return changes + _config(desired, capture)


def _same(seen: t.Mapping[str, t.Any], path: str, contents: t.Mapping[str, str]) -> bool:
    found = seen.get(path)
    return bool(found and found["text"] == contents[path] and found["mode"] == 0o644 and found["uid"] == 0)


def _file(path: str, seen: t.Mapping[str, t.Any] | None, text: str, why: str) -> Change:
    before = seen["text"] if seen else None
    if before == text and seen is not None:
        before = "mode {0:04o}, owner {1}".format(seen["mode"], seen["uid"])
        return Change("file", path, before, "mode 0644, owner 0", why, {"text": text})
    return Change("file", path, before, text, why, {"text": text})


def _config(desired: Desired, capture: t.Mapping[str, t.Any]) -> list[Change]:
    """/etc/default/kdump-tools, edited in place: it is ucf's and the administrator's file (G17)."""
    seen = capture["files"].get(CONFIG)
    before = seen["text"] if seen else None
    after = shellconf.edit(before or "", dict(desired.config))
    if before == after:
        return []
    why = "kdump-tools reads its settings there"
    shown = None if before is None else masked(before)
    # The file may hold a password: a mode that the administrator narrowed stays.
    data = {"text": after, "mode": seen["mode"] if seen else 0o644}
    return [Change("file", CONFIG, shown, masked(after), why, data)]


def masked(text: str) -> str:
    """The text without the password that this file may hold in clear."""
    return re.sub(r"(?m)^(.*\bFTP_PASSWORD=).*$", r"\1(hidden)", text)


def systemd_boot_cmdline(capture: t.Mapping[str, t.Any], crashkernel: str) -> str:
    """/etc/kernel/cmdline, made of what kernel-install(8) would take: that file, the vendor's, the running line.

    Words that were meant for one boot alone do not become a habit by way of the last.
    """
    seen = capture["files"].get(SYSTEMD_BOOT_CMDLINE)
    written = seen["text"] if seen else capture["vendor_cmdline"]
    base = capture["cmdline"]["text"] or "" if written is None else written
    once = ("single", "emergency", "rescue", "init", "systemd.unit", "S", "1") if written is None else ()
    line = " ".join(base.split())
    for parameter in ("crashkernel", "BOOT_IMAGE", "initrd", *once):
        line = kernel_cmdline.remove(line, parameter)
    return "{0} crashkernel={1}\n".format(line.strip(), crashkernel).lstrip()


def _folder(wanted: Wanted, capture: t.Mapping[str, t.Any]) -> list[Change]:
    seen = capture["folder"]
    after = "mode 0700, owner 0"
    if seen is None:
        return [Change("directory", wanted.crash_folder, None, after, "dumps need a place", {})]
    before = "mode {0:04o}, owner {1}".format(seen["mode"], seen["uid"])
    if before == after:
        return []
    return [Change("directory", wanted.crash_folder, before, after, "root alone reads dumps (G5)", {})]


def _sysctls(wanted: Wanted, capture: t.Mapping[str, t.Any]) -> list[Change]:
    if not capture["applicable"]:
        return []
    seen = capture["sysctl"]
    return [
        Change("sysctl", name, seen[name], value, "the running kernel follows", {"value": value})
        for name, value in sorted(wanted.sysctls.items())
        if seen.get(name) is not None and seen[name] != value
    ]


def _unit(capture: t.Mapping[str, t.Any]) -> list[Change]:
    unit = capture["unit"]
    if unit["enabled"] or capture["packages"].get("kdump-tools") is None:
        return []  # the package enables its unit when it is installed
    return [Change("unit", UNIT, "disabled", "enabled", "the capture kernel is loaded at boot", {})]


def wrong_entries(desired: Desired, capture: t.Mapping[str, t.Any]) -> list[str]:
    """Titles of boot entries whose command line does not have exactly the one crashkernel= wanted."""
    return [
        entry["title"]
        for entry in capture["boot"]["entries"]
        if entry["generated"] and entry["crashkernel"] != [desired.crashkernel]
    ]


def _boot_loader(desired: Desired, capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any]) -> list[Change]:
    wrong = wrong_entries(desired, capture)
    if not wrong:
        return []
    seen = sorted({" ".join(e["crashkernel"]) or "none" for e in capture["boot"]["entries"] if e["generated"]})
    data = {"releases": [k["release"] for k in kernel["installed"] or () if k["vmlinuz"]]}
    after = "crashkernel={0}".format(desired.crashkernel)
    before = "crashkernel={0}".format(", ".join(seen))
    loader = capture["boot"]["loader"]
    return [Change("boot_loader", loader, before, after, "{0} boot entries follow".format(len(wrong)), data)]


def _capture_initrds(capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any], installing: bool) -> list[Change]:
    """The capture initrd of the running and of the next kernel, before a reboot needs it (G14).

    On a host where the package comes only now it may or may not build one (it does
    not in Debian 12 and 13), so the plan says it will be there in the end.
    """
    return [
        Change("capture_initrd", r, None, "built", "the capture kernel needs it at its first panic", {"release": r})
        for r in kernels_in_use(kernel)
        if installing or not (capture["initrds"].get(r, {}).get("present") and capture["initrds"][r]["kept"])
    ]


def _load(
    desired: Desired, capture: t.Mapping[str, t.Any], kernel: t.Mapping[str, t.Any], changes: list[Change]
) -> list[Change]:
    """Load or reload the capture kernel where memory is reserved for it already (G8, G14)."""
    if not capture["reserved_bytes"]:
        return []
    why = None
    before = "loaded"
    if not capture["armed"]:
        why, before = "no capture kernel is loaded", "not loaded"
    elif any(c.target == CONFIG or c.kind == "capture_initrd" for c in changes):
        why = "its settings change"
    elif not capture["loaded"]:
        why = "what is loaded cannot be told: kdump-config left no kexec_cmd in the crash folder"
    elif not _loaded_as_wanted(desired, capture):
        why = "what is loaded has another command line or kernel"
    elif capture["loaded"]["older_than_initrd"]:
        why = "its initrd is newer than what is loaded"
    if why is None:
        return []
    return [Change("load", "capture kernel", before, "loaded for {0}".format(kernel["release"]), why, {})]


def _loaded_as_wanted(desired: Desired, capture: t.Mapping[str, t.Any]) -> bool:
    loaded = capture["loaded"]
    return bool(loaded["cmdline"].endswith(desired.append) and loaded["release"] == capture["running_release"])


# --- the wish -----------------------------------------------------------------

# \Z, not $: that one also matches before a line feed at the end.
_FOLDER = re.compile(r"(?:/[A-Za-z0-9._-]+){2,8}\Z")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}\Z")
SYSCTL_NAME = re.compile(r"(?:kernel|vm)\.[a-z0-9_]{1,64}\Z")


def checked_folder(path: str) -> str:
    """The path of a crash folder, which ends up in shell files and becomes root's alone. Raises CoreError."""
    if not _FOLDER.match(path) or ".." in path:
        message = "crash_folder {0!r}: expected a path of plain names such as /var/crash; it becomes root's alone"
        raise CoreError(message.format(path[:200]))
    return path


def wanted_from(params: t.Mapping[str, t.Any]) -> Wanted:
    """Check a module's parameters and make a `Wanted` of them.

    These values end up in files that a shell sources and on a kernel command line
    that `kdump-config` hands to `eval`, so each has a grammar. Raises CoreError.
    """
    if params["crashkernel"] != "auto":
        parse_crashkernel(params["crashkernel"])
    checked_folder(params["crash_folder"])
    for key in ("capture_blocked_drivers", "extra_packages"):
        for word in params[key] or ():
            if not _WORD.match(word):
                raise CoreError("{0}: {1!r} is not a plain name".format(key, word[:80]))
    for key, low, high in _NUMBERS:
        value = params[key]
        if value is not None and not low <= value <= high:
            raise CoreError("{0}: {1} is not between {2} and {3}".format(key, value, low, high))
    blocked = params["capture_blocked_drivers"]
    return Wanted(
        crashkernel=params["crashkernel"],
        crash_folder=params["crash_folder"],
        dump_level=params["dump_level"],
        keep_dumps=params["keep_dumps"],
        blocked_drivers=None if blocked is None else tuple(blocked),
        capture_panic_s=params["capture_panic_s"],
        capture_deadline_s=params["capture_deadline_s"],
        sysctls=_wanted_sysctls(params["sysctls"]),
        extra_packages=tuple(params["extra_packages"]),
        boot_loader=params["manage_boot_loader"],
        absent=params["state"] == "absent",
    )


_NUMBERS = (
    ("dump_level", 0, 31),
    ("keep_dumps", 0, 1000),
    ("capture_panic_s", 1, 3600),
    ("capture_deadline_s", 60, 7 * 86400),
)


def _wanted_sysctls(given: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    if given is None:
        return dict(DEFAULT_SYSCTLS)
    for name, value in given.items():
        if not SYSCTL_NAME.match(name):
            raise CoreError("sysctls: {0!r} is not a setting of kernel. or vm.".format(str(name)[:80]))
        if not re.match(r"-?\d{1,10}\Z", str(value)):
            raise CoreError("sysctls: {0} is {1!r}, expected a number".format(name, str(value)[:40]))
    return {name: str(value) for name, value in given.items()}
