# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Facts about the kernels of a host: the running one, the installed ones, the next one.

Everything comes from /proc, /sys, /boot and dpkg's status file; a process is
started only for the machine's name on kernels before 6.1, and for candidates.
"""

from __future__ import annotations

import re
import typing as t

from .._core import debversion, elfnotes, kernelrelease
from .._core.dpkg import Package
from .._core.errors import CoreError, ParseError
from .._core.text import clean
from .apt import kernel_candidates
from .base import Host, Unreadable, look
from .bootentries import EFIVARS, collect_boot
from .packages import known_packages
from .pinstate import collect_pin

__all__ = ["collect_kernel"]

Facts = dict[str, t.Any]

_GLOBAL_GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # EFI_GLOBAL_VARIABLE
_BOOT_FILES = 4096
# Names under which kernels are packaged: Debian and Ubuntu, unsigned ones, Proxmox since 8.1 and before.
_PACKAGE = re.compile(
    r"(?:linux-image(?:-unsigned)?|proxmox-kernel|pve-kernel)-([0-9]+\.[0-9].*?)(?:-unsigned|-signed)?\Z"
)


def collect_kernel(host: Host, with_candidates: bool = False) -> Facts:
    """The value of `crashready.kernel`; every field is there, None where `unread` says why.

    release, machine, package, package_version (of the running kernel, from /proc/version),
    upstream_version, stream and stream_reason, installed [{release, package, package_version,
    vmlinuz, initrd}] newest first, candidates ({suite: [...]}; None when not asked for), next_boot
    {index, entry, release, once, reason} (index into collect_boot's entries), boot_loader,
    firmware_type, secure_boot, lockdown, taint {value, flags}, build_id, pin (`pinstate`), unread.
    """
    unread: dict[str, str] = {}
    release = look(unread, "release", host.read_line, "/proc/sys/kernel/osrelease")
    release = clean(release, 128) if release else None
    packages = look(unread, "installed", known_packages, host, _is_kernel) or []
    facts: Facts = {"release": release, "machine": look(unread, "machine", _machine, host)}
    facts.update(_running(host, release, packages, unread))
    facts["installed"] = _installed(host, packages, unread)
    facts["candidates"] = _candidates(host, release, unread) if with_candidates else None
    boot = collect_boot(host)
    facts["next_boot"] = boot["next"]
    facts["boot_loader"] = boot["loader"]
    unread.update(boot["unread"])
    facts["firmware_type"] = look(unread, "firmware_type", _firmware_type, host, facts["machine"])
    facts["secure_boot"] = look(unread, "secure_boot", _secure_boot, host, facts["firmware_type"])
    facts["lockdown"] = look(unread, "lockdown", _lockdown, host)
    facts["taint"] = look(unread, "taint", _taint, host)
    facts["build_id"] = look(unread, "build_id", _build_id, host)
    facts["pin"] = collect_pin(host, unread)
    facts["unread"] = unread
    return facts


def _is_kernel(name: str) -> bool:
    return name.startswith(("linux-image-", "proxmox-kernel-", "pve-kernel-")) and _PACKAGE.match(name) is not None


def _machine(host: Host) -> str:
    """`uname -m`; the file is there from Linux 6.1 on (kernel/utsname_sysctl.c)."""
    try:
        return clean(host.read_line("/proc/sys/kernel/arch"), 64)
    except Unreadable:
        done = host.run(["uname", "-m"], timeout_s=10)
    if done.rc != 0 or not done.out.strip():
        raise Unreadable("uname -m", "ended with {0}".format(done.rc))
    return clean(done.out, 64)


def _running(host: Host, release: str | None, packages: list[Package], unread: dict[str, str]) -> Facts:
    """Which package the running kernel is, by its own word; dpkg may hold a newer build of the same name already."""
    facts: Facts = dict.fromkeys(("package", "package_version", "upstream_version", "stream", "stream_reason"))
    version = look(unread, "package_version", _proc_version, host)
    owner = _owner(release, packages)
    if owner is not None:
        facts["package"] = owner.name
    elif "package" not in unread:
        missing = unread.get("release") or unread.get("installed")
        unread["package"] = missing or "no installed package is named after this kernel"
    if version is None:
        unread["stream"] = unread["upstream_version"] = unread["package_version"]
        return facts
    stream = kernelrelease.find_stream(version.release, version.package_version, owner.source if owner else None)
    facts["stream"], facts["stream_reason"] = stream
    facts["package_version"] = version.package_version or (owner.version if owner else None)
    if facts["package_version"] is None:
        unread["package_version"] = stream.reason
    if stream.name == kernelrelease.FOREIGN:
        unread["upstream_version"] = stream.reason
    elif version.package_version is not None:
        facts["upstream_version"] = debversion.upstream(version.package_version)
    return facts


def _proc_version(host: Host) -> kernelrelease.KernelVersion:
    try:
        return kernelrelease.parse_proc_version(host.read_line("/proc/version"))
    except ParseError as exc:
        raise Unreadable("/proc/version", str(exc)) from exc


def _owner(release: str | None, packages: list[Package]) -> Package | None:
    mine = [p for p in packages if _unpacked(p) and _release_of(p.name) == release]
    return mine[0] if mine and release else None


def _unpacked(package: Package) -> bool:
    """Its files are there, configured or not: a broken run of dpkg does not take a kernel from /boot."""
    return package.state not in ("", "not-installed", "config-files")


def _release_of(package: str) -> str:
    match = _PACKAGE.match(package)
    return match.group(1) if match else ""


def _installed(host: Host, packages: list[Package], unread: dict[str, str]) -> list[Facts] | None:
    """Kernels that lie in /boot or that dpkg calls installed; a kernel without its initrd is one that may not boot."""
    names = look(unread, "installed", host.listdir, "/boot")
    if names is None:
        return None
    there = set(names[:_BOOT_FILES])
    releases = {name[len("vmlinuz-") :] for name in there if name.startswith("vmlinuz-")}
    owners = {_release_of(p.name): p for p in reversed(packages) if _unpacked(p)}
    found: list[Facts] = []
    for release in releases | {release for release in owners if release}:
        owner = owners.get(release)
        found.append(
            {
                "release": clean(release, 128),
                "package": owner.name if owner else None,
                "package_version": owner.version if owner else None,
                "vmlinuz": "vmlinuz-" + release in there,
                "initrd": "initrd.img-" + release in there,
            }
        )
    return sorted(found, key=_age, reverse=True)


def _age(kernel: Facts) -> tuple[t.Any, str]:
    """GRUB and kernel-install order by the release; dpkg's order is the same for every kernel that Debian names."""
    try:
        return debversion.parse(kernel["release"].replace("_", "+")), kernel["release"]
    except CoreError:
        return debversion.parse("0"), kernel["release"]


def _candidates(host: Host, release: str | None, unread: dict[str, str]) -> Facts | None:
    flavour = kernelrelease.flavour(release or "") or _default_flavour(host)
    return look(unread, "candidates", kernel_candidates, host, flavour)


def _default_flavour(host: Host) -> str:
    """The flavour that Debian's installer would choose, for a host that runs somebody else's kernel."""
    try:
        architecture = next((p.architecture for p in known_packages(host, ("dpkg",))), "amd64")
    except Unreadable:
        return "amd64"
    return {"i386": "686-pae", "armhf": "armmp", "ppc64el": "powerpc64le"}.get(architecture, architecture)


def _firmware_type(host: Host, machine: str | None) -> str:
    names = host.listdir("/sys/firmware")
    if "efi" in names:
        return "uefi"
    if not names:  # container runtimes lay an empty directory over it
        raise Unreadable("/sys/firmware", "it is empty, as in a container")
    if machine not in ("x86_64", "i686", "i586"):
        raise Unreadable(
            "/sys/firmware/efi", "not booted by UEFI, and {0} has no BIOS".format(machine or "this machine")
        )
    return "bios"


def _secure_boot(host: Host, firmware_type: str | None) -> bool:
    """UEFI 2.10, 3.3: one byte, behind the four bytes of attributes that efivarfs puts first."""
    if firmware_type == "bios":
        return False
    name = "SecureBoot-" + _GLOBAL_GUID
    try:
        names = host.listdir(EFIVARS)
    except Unreadable as exc:
        raise Unreadable(EFIVARS, "efivarfs is not mounted" if exc.reason == "not found" else exc.reason) from exc
    if not names:
        raise Unreadable(EFIVARS, "efivarfs is not mounted")
    if name not in names:
        return False  # the firmware has variables and not this one: it knows no Secure Boot
    data = host.read_bytes(EFIVARS + "/" + name, 16)
    if len(data) < 5:
        raise Unreadable(EFIVARS + "/" + name, "{0} bytes instead of 5".format(len(data)))
    return data[4] == 1


def _lockdown(host: Host) -> str:
    """`none [integrity] confidentiality` (security/lockdown/lockdown.c); the file is absent without the LSM."""
    line = host.read_line("/sys/kernel/security/lockdown")
    match = re.search(r"\[(none|integrity|confidentiality)\]", line)
    if not match:
        raise Unreadable("/sys/kernel/security/lockdown", "not understood: {0}".format(clean(line, 80)))
    return match.group(1)


def _taint(host: Host) -> Facts:
    line = host.read_line("/proc/sys/kernel/tainted")
    try:
        value = int(line[:20])
        return {"value": value, "flags": kernelrelease.decode_taint(value)}
    except (ValueError, ParseError) as exc:
        raise Unreadable("/proc/sys/kernel/tainted", "not understood: {0}".format(clean(line, 40))) from exc


def _build_id(host: Host) -> str:
    try:
        found = elfnotes.build_id(host.read_bytes("/sys/kernel/notes", elfnotes.NOTES_LIMIT))
    except ParseError as exc:
        raise Unreadable("/sys/kernel/notes", str(exc)) from exc
    if found is None:
        raise Unreadable("/sys/kernel/notes", "no build id in it")
    return found
