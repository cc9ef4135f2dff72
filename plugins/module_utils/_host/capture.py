# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Capture facts: is this host armed, and if not, why."""

from __future__ import annotations

import hashlib
import re
import typing as t

from .._core import cmdline as kernel_cmdline
from .._core import drillrecord, kdump, shellconf
from .._core.channels import judge_channels
from .._core.errors import CoreError
from .._core.makedumpfile import Reading, budget, reads
from .._core.problems import find_problems
from .._core.text import clean
from .base import Host, Unreadable, look
from .bootentries import collect_boot
from .channels import see_channels
from .drill import read_proof
from .packages import installed_packages
from .storage import collect_storage, nic_modules

__all__ = ["collect_capture", "collect_os", "see_capture"]

KDUMP_DIRECTORY = "/var/lib/kdump"
CAPTURE_SYSCTLS = "/etc/kdump/sysctl.conf"
GRUB_CONFFILE = "/etc/default/grub.d/kdump-tools.cfg"
MANAGED_FILES = (
    kdump.CONFIG,
    kdump.GRUB_DROP_IN,
    kdump.SYSTEMD_BOOT_CMDLINE,
    kdump.SYSCTL_DROP_IN,
    kdump.TMPFILES,
    kdump.DEADLINE_UNIT,
)
_FILE_LIMIT = 256 * 1024
_SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
_CONTAINER_MARKS = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv", "/run/host/container-manager")

# The version that a release brings, for a plan made before the package is there.
_MAKEDUMPFILE_OF_RELEASE = {"bookworm": "1.7.2", "trixie": "1.7.6"}

# What the settings file may hold, as far as facts show it; FTP_PASSWORD never.
_CONFIG_KEYS = (
    "USE_KDUMP",
    "KDUMP_COREDIR",
    "KDUMP_CMDLINE",
    "KDUMP_CMDLINE_APPEND",
    "KDUMP_KEXEC_ARGS",
    "KDUMP_KERNEL",
    "KDUMP_INITRD",
    "KDUMP_FAIL_CMD",
    "KDUMP_DUMP_DMESG",
    "KDUMP_NUM_DUMPS",
    "KDUMP_COMPRESSION",
    "MAKEDUMP_ARGS",
    "SSH",
    "NFS",
    "FTP",
    "HOSTTAG",
)

Seen = dict[str, t.Any]


def collect_os(host: Host) -> Seen:
    """os-release(5): {id, version_id, codename, name}, each None where absent."""
    unread: dict[str, str] = {}
    text = look(unread, "os", host.read, "/etc/os-release", 64 * 1024) or ""
    values = _assignments(text)
    found = {key: values.get(name) for key, name in _OS_FIELDS}
    return {**{key: clean(value, 80) if value else None for key, value in found.items()}, "unread": unread}


_OS_FIELDS = (("id", "ID"), ("version_id", "VERSION_ID"), ("codename", "VERSION_CODENAME"), ("name", "PRETTY_NAME"))


def _assignments(text: str) -> dict[str, str]:
    try:
        values = shellconf.parse_shellconf(text).values
    except CoreError:
        return {}
    return {key: value for key, value in values.items() if value is not None}


def see_capture(
    host: Host, kernel: t.Mapping[str, t.Any], folder: str | None = None, sysctls: t.Iterable[str] = ()
) -> Seen:
    """Everything that the plan and the problems are computed from; more than facts show.

    `kernel` are the facts of `_host.kernel`; `folder` is the crash folder wanted,
    by default the one that is configured; `sysctls` are names to read besides the usual ones.
    """
    unread: dict[str, str] = {}
    files = {path: _file(host, path, unread) for path in MANAGED_FILES}
    settings = files[kdump.CONFIG]
    config = {k: v for k, v in _assignments(settings["text"] if settings else "").items() if k in _CONFIG_KEYS}
    folder = folder or config.get("KDUMP_COREDIR") or "/var/crash"
    release = kernel["release"]
    seen: Seen = {
        **_applicable(host),
        **_memory(host, unread),
        "running_release": release,
        "secure_boot": kernel.get("secure_boot"),
        "lockdown": kernel.get("lockdown"),
        "cmdline": _cmdline(host, unread),
        "config": config,
        "files": files,
        "vendor_cmdline": _text(host, kdump.VENDOR_CMDLINE, unread),
        "folder": _folder(host, folder, unread),
        "packages": _packages(host, unread),
        "makedumpfile_to_come": _MAKEDUMPFILE_OF_RELEASE.get(collect_os(host)["codename"] or ""),
        "debconf": _debconf(host),
        "unit": _unit(host),
        "sysctl": _sysctls(host, sysctls),
        "kexec_disabled_by": _sysctl_source(host, "kernel.kexec_load_disabled"),
        "xen": host.exists("/proc/xen/capabilities"),
        "mkinitramfs": host.exists("/usr/sbin/mkinitramfs"),
        "conffile_changed": _conffile_changed(host),
        "initrds": {k: _initrd(host, k) for k in kdump.kernels_in_use(kernel)},
        "nic_modules": _all_nic_modules(host),
        "storage": collect_storage(host, folder),
        "boot": _boot(host, unread),
        "unread": unread,
    }
    seen["loaded"] = _loaded(host, folder, seen)
    _judge_size(seen)
    seen["space"] = _space(host, folder, seen)
    _add_drill(host, kernel, seen)
    seen["channels"] = judge_channels(see_channels(host, seen))
    return seen


def _add_drill(host: Host, kernel: t.Mapping[str, t.Any], seen: Seen) -> None:
    """The last drill, and whether it still proves the capture."""
    proof, unread = read_proof(host)
    seen["drill"] = {"when_s": proof.when_s, "kind": proof.kind, "proven": proof.proven} if proof else None
    if unread:
        seen["unread"]["drill"] = unread
    seen["standing"] = _standing(kernel, seen, proof, unread)


def _standing(
    kernel: t.Mapping[str, t.Any], seen: Seen, proof: drillrecord.Proof | None, unread: str | None
) -> drillrecord.Standing:
    """Whether the last drill still proves this capture."""
    if not seen["applicable"]:
        return drillrecord.Standing(None, seen["applicable_reason"])
    if unread:
        return drillrecord.Standing(None, unread)
    return drillrecord.proven_now(drillrecord.identity_of(kernel, seen), proof)


def _applicable(host: Host) -> Seen:
    """A container has no kernel of its own: its /sys and /proc/cmdline are another machine's (G34)."""
    for mark in _CONTAINER_MARKS:
        if host.exists(mark):
            reason = "a container has no kernel of its own ({0} is there)".format(mark)
            return {"applicable": False, "applicable_reason": reason}
    return {"applicable": True, "applicable_reason": None}


def _memory(host: Host, unread: dict[str, str]) -> Seen:
    armed = look(unread, "armed", host.read_line, "/sys/kernel/kexec_crash_loaded")
    size = look(unread, "reserved_bytes", host.read_line, "/sys/kernel/kexec_crash_size")
    reserved = int(size) if size is not None and size.isdigit() else None
    meminfo = look(unread, "memory_bytes", host.read, "/proc/meminfo", 64 * 1024) or ""
    match = re.search(r"^MemTotal:\s+(\d{1,15}) kB", meminfo, re.M)
    total = int(match.group(1)) * 1024 if match else None
    return {
        "armed": None if armed is None else armed == "1",
        "reserved_bytes": reserved,
        # The kernel takes the reservation out of MemTotal; the host has both.
        "memory_bytes": None if total is None else total + (reserved or 0),
        "page_size": 65536 if re.search(r"^Hugepagesize:\s+524288 kB", meminfo, re.M) else 4096,
    }


def _cmdline(host: Host, unread: dict[str, str]) -> Seen:
    text = look(unread, "cmdline", host.read_line, "/proc/cmdline")
    return {"text": text, "crashkernel": _crashkernel(text or "")}


def _crashkernel(line: str) -> list[str]:
    return [clean(value or "", 200) for value in kernel_cmdline.values(line, "crashkernel")]


def _file(host: Host, path: str, unread: dict[str, str]) -> Seen | None:
    try:
        status = host.lstat(path)
        data = host.read_bytes(path, _FILE_LIMIT)
    except Unreadable as exc:
        if exc.reason != "not found":
            unread[path] = exc.reason
        return None
    return {
        "text": data.decode("utf-8", "surrogateescape"),
        "sha256": hashlib.sha256(data).hexdigest(),
        "mode": status.mode,
        "uid": status.uid,
        "mtime": status.mtime,
    }


def _text(host: Host, path: str, unread: dict[str, str]) -> str | None:
    found = _file(host, path, unread)
    return found["text"] if found else None


# What kdump-tools, and we, put into the crash folder.
_DUMP_NAME = re.compile(r"(?:[A-Za-z0-9.:_-]+-)?\d{12}\Z|kexec_cmd\Z|kdump_lock\Z|lost\+found\Z|\.")


def _folder(host: Host, folder: str, unread: dict[str, str]) -> Seen | None:
    try:
        status = host.lstat(folder)
    except Unreadable as exc:
        if exc.reason != "not found":
            unread["folder"] = exc.reason
        return None
    names = look(unread, "folder", host.listdir, folder) or []
    strangers = [clean(name, 60) for name in names if not _DUMP_NAME.match(name)]
    return {"path": folder, "mode": status.mode, "uid": status.uid, "kind": status.kind, "strangers": strangers[:5]}


def _packages(host: Host, unread: dict[str, str]) -> dict[str, str | None]:
    names = (*kdump.PACKAGES, "crash", "dracut")
    found = look(unread, "packages", installed_packages, host, names) or {}
    return {name: found.get(name) for name in names}


def _debconf(host: Host) -> dict[str, str]:
    """Answers that the debconf database holds for kdump-tools (debconf.conf(5), the File driver's format)."""
    try:
        text = host.read("/var/cache/debconf/config.dat")
    except Unreadable:
        return {}
    found = {}
    for match in re.finditer(r"^Name: (kdump-tools/\S+)\n((?:[^\n]+\n)*)", text, re.M):
        value = re.search(r"^Value: (.*)$", match.group(2), re.M)
        if value:
            found[match.group(1)] = clean(value.group(1), 80)
    return found


def _unit(host: Host) -> Seen:
    """State of kdump-tools.service from the links that systemctl makes (systemctl(1): enable, mask)."""
    masked = None
    for path in ("/etc/systemd/system/", "/run/systemd/system/"):
        try:
            if host.readlink(path + kdump.UNIT) == "/dev/null":
                masked = path + kdump.UNIT
        except Unreadable:
            pass
    wants = "/etc/systemd/system/{0}.wants/" + kdump.UNIT
    enabled = any(_is_link(host, wants.format(target)) for target in ("basic.target", "multi-user.target"))
    return {"name": kdump.UNIT, "enabled": enabled, "masked": masked}


def _is_link(host: Host, path: str) -> bool:
    try:
        return host.lstat(path).kind == "link"
    except Unreadable:
        return False


def _sysctls(host: Host, more: t.Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in dict.fromkeys(("kernel.kexec_load_disabled", *sorted(kdump.DEFAULT_SYSCTLS), *_LOCKUP_SYSCTLS, *more)):
        try:
            found[name] = host.read_line("/proc/sys/" + name.replace(".", "/"))
        except Unreadable:
            found[name] = None
    return found


_LOCKUP_SYSCTLS = (
    "kernel.softlockup_panic",
    "kernel.hung_task_panic",
    "kernel.panic_on_rcu_stall",
    "kernel.panic_on_unrecovered_nmi",
    "kernel.panic_on_warn",
    "vm.panic_on_oom",
)


def _sysctl_source(host: Host, name: str) -> str | None:
    """The last file that sets a sysctl to 1 at boot, in the order of sysctl.d(5)."""
    setting = re.compile(r"^\s*-?{0}\s*=\s*1\b".format(re.escape(name)).replace(r"\.", "[./]"), re.M)
    files = []
    for folder in _SYSCTL_FOLDERS:
        try:
            files += [folder + "/" + entry for entry in host.listdir(folder) if entry.endswith(".conf")]
        except Unreadable:
            continue
    found = None
    for path in [*sorted(files, key=lambda p: p.rsplit("/", 1)[-1]), "/etc/sysctl.conf"]:
        try:
            if setting.search(host.read(path, _FILE_LIMIT)):
                found = path
        except Unreadable:
            continue
    return found


def _conffile_changed(host: Host) -> bool | None:
    """Whether the packaged GRUB drop-in differs from what dpkg installed (G17); None where that is unknown."""
    try:
        status = host.read("/var/lib/dpkg/status")
        data = host.read_bytes(GRUB_CONFFILE, _FILE_LIMIT)
    except Unreadable:
        return None
    match = re.search(r"^ {0} ([0-9a-f]{{32}})".format(re.escape(GRUB_CONFFILE)), status, re.M)
    if match is None:
        return None
    return hashlib.md5(data, usedforsecurity=False).hexdigest() != match.group(1)  # dpkg's own digest


def _initrd(host: Host, release: str) -> Seen:
    """The capture initrd of one kernel; `kept` says whether kdump-config will load it as it is.

    At load it compares /etc/kdump/sysctl.conf with its copy of last time, and where
    they differ or the copy is absent it removes the initrd and builds another: at the
    first boot after an installation, for minutes on a slow host.
    """
    path = "{0}/initrd.img-{1}".format(KDUMP_DIRECTORY, release)
    copy = "{0}/latest_sysctls-{1}".format(KDUMP_DIRECTORY, release)
    try:
        status = host.lstat(path)
    except Unreadable:
        return {"path": path, "present": False, "kept": False, "bytes": None, "mtime": None}
    try:
        kept = host.read_bytes(CAPTURE_SYSCTLS, _FILE_LIMIT) == host.read_bytes(copy, _FILE_LIMIT)
    except Unreadable:
        kept = False
    return {"path": path, "present": status.size > 0, "kept": kept, "bytes": status.size, "mtime": status.mtime}


def _all_nic_modules(host: Host) -> list[str]:
    try:
        names = host.listdir("/sys/class/net")
    except Unreadable:
        return []
    return sorted({module for name in names for module in nic_modules(host, name)})


def _boot(host: Host, unread: dict[str, str]) -> Seen:
    boot = collect_boot(host)
    unread.update(boot["unread"])
    next_index = boot["next"]["index"]
    entries = [
        {
            "title": clean(entry["title"], 120),
            "release": entry["release"],
            "crashkernel": _crashkernel(entry["cmdline"]),
            "generated": entry["generated"],
            "is_next": next_index is not None and index == next_index,
        }
        for index, entry in enumerate(boot["entries"])
        # Another system on the same ESP matters only where it boots next.
        if not entry["foreign"] or index == next_index
    ]
    return {"loader": boot["loader"], "entries": entries}


def _loaded(host: Host, folder: str, seen: Seen) -> Seen | None:
    """What kdump-config says it loaded: it leaves its kexec command in the crash folder."""
    path = folder + "/kexec_cmd"
    try:
        line, mtime = host.read_line(path), host.lstat(path).mtime
    except Unreadable as exc:
        if seen["armed"]:
            seen["unread"]["loaded"] = exc.reason
        return None
    match = re.search(r'--command-line="(.*)" --initrd=(\S+) (\S+)\s*$', line)
    if match is None or not seen["armed"]:
        return None
    kernel = host.realpath(match.group(3)).rsplit("/", 1)[-1]
    initrd_mtime = (seen["initrds"].get(seen["running_release"]) or {}).get("mtime")
    append = seen["config"].get("KDUMP_CMDLINE_APPEND") or ""
    return {
        "cmdline": clean(match.group(1), 4096),
        "initrd": match.group(2),
        "release": kernel.partition("-")[2] or None,
        "older_than_initrd": bool(initrd_mtime and initrd_mtime > mtime),
        "older_than_config": not clean(match.group(1), 4096).endswith(append),
    }


def _judge_size(seen: Seen) -> None:
    suggestion = kdump.suggestion_for(kdump.Wanted(), seen)
    seen["suggested_bytes"] = suggestion.total_bytes
    seen["suggested_parts"] = [{"for": what, "bytes": size} for what, size in suggestion.parts]
    try:
        reading = reads(seen["packages"]["makedumpfile"] or seen["makedumpfile_to_come"], seen["running_release"])
    except CoreError as exc:
        reading = Reading(17, False, str(exc))
    seen["reading"] = reading


def _space(host: Host, folder: str, seen: Seen) -> Seen:
    need = budget(seen["reading"], seen["memory_bytes"] or 0)
    unread: dict[str, str] = {}
    space = look(unread, "space", host.space, folder)
    return {
        "path": folder,
        "total_bytes": space.total if space else None,
        "free_bytes": space.free if space else None,
        "needed_bytes": need.needed_bytes,
        "minimum_bytes": need.minimum_bytes,
        "reason": need.reason,
        "unread": unread,
    }


def collect_capture(host: Host, kernel: t.Mapping[str, t.Any]) -> Seen:
    """The `capture` facts of DESIGN.md."""
    return facts_of(see_capture(host, kernel))


def facts_of(seen: Seen) -> Seen:
    """What facts show of a capture state: digests in place of texts, problems with remedies."""
    standing: drillrecord.Standing = seen["standing"]
    if not seen["applicable"]:
        seen = {**seen, "armed": None, "reserved_bytes": None}
        seen["unread"] = {**seen["unread"], "armed": seen["applicable_reason"]}
    return {
        "applicable": seen["applicable"],
        "applicable_reason": seen["applicable_reason"],
        "armed": seen["armed"],
        "reserved_bytes": seen["reserved_bytes"],
        "suggested_bytes": seen["suggested_bytes"],
        "suggested_parts": seen["suggested_parts"],
        "memory_bytes": seen["memory_bytes"],
        "cmdline": seen["cmdline"],
        "boot": seen["boot"],
        "config": dict(seen["config"]),
        "loaded": seen["loaded"],
        "initrds": seen["initrds"],
        "tools": _tools(seen),
        "managed": {
            "files": {path: found["sha256"] if found else None for path, found in seen["files"].items()},
            "packages": seen["packages"],
            "units": {kdump.UNIT: {"enabled": seen["unit"]["enabled"], "masked": seen["unit"]["masked"]}},
            "sysctls": seen["sysctl"],
        },
        "storage": seen["storage"],
        "nic_modules": seen["nic_modules"],
        "folder": seen["folder"],
        "space": seen["space"],
        "problems": [problem._asdict() for problem in find_problems(seen)],
        "drill": seen["drill"],
        "channels": seen["channels"],
        "proven": standing.proven,
        # The reason stands here for false as well: what lapsed, or why the last drill was none.
        "unread": {**seen["unread"], **({} if standing.proven else {"proven": standing.reason})},
    }


def _tools(seen: Seen) -> Seen:
    reading: Reading = seen["reading"]
    return {
        "makedumpfile": seen["packages"]["makedumpfile"],
        "dump_level": reading.level,
        "finds_free_pages": reading.finds_free_pages,
        "reason": reading.reason,
    }
