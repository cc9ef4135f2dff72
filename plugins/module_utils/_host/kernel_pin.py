# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Everything that the plan of a kernel transaction is computed from."""

from __future__ import annotations

import re
import typing as t

from .._core import grub, modfirmware
from .._core import kernel_pin_files as files
from .._core.aptpins import Pin, parse_preferences
from .._core.aptsources import Source, find_suite, parse_deb822, parse_one_line
from .._core.errors import ParseError
from .._core.kernel_pin import Wanted, needs_headers
from .._core.kernel_pin_preflight import one_shot_ability
from .._core.text import clean
from .base import Host, Unreadable, look
from .bootentries import GRUB_CFG, GRUB_ENV, collect_boot, efi_text
from .capture import collect_os, see_capture
from .firmware_files import is_there, modinfo
from .kernel_offer import collect_firmware_offers, collect_offer, stable_version
from .packages import known_packages
from .pinstate import read_pin_state
from .preflight import see_preflight
from .storage import nic_modules

__all__ = ["see_kernel_pin"]

_FILE_LIMIT = 256 * 1024
_REPORT_LIMIT = 8 * 1024
_FILES = (
    files.SOURCE,
    files.PREFERENCES,
    files.APT_CONF,
    files.GRUB_DROP_IN,
    files.GRUB_SCRIPT,
    files.GUARD_SCRIPT,
    files.GUARD_UNIT,
)
_PACKAGES = re.compile(
    r"(?:linux-(?:image|headers|base|binary|modules|kbuild)(?:-.*)?|firmware-.*|dkms|unattended-upgrades)\Z"
)

Seen = dict[str, t.Any]


def see_kernel_pin(host: Host, wanted: Wanted, kernel: t.Mapping[str, t.Any], options: t.Sequence[str] = ()) -> Seen:
    """Look at a host for one step of a kernel transaction.

    `kernel` are the facts of `_host.kernel`; `options` are given to apt-cache where the offer of the suite is
    to be read from lists of another place. What plan and preflight read of it is named there; values that
    could not be seen are None with the reason in `<name>_unread` or in `boot["unread"]`.
    """
    capture = see_capture(host, kernel)
    preflight = see_preflight(host, kernel, False)
    state, state_unread = read_pin_state(host)
    packages, holds = _packages(host)
    seen: Seen = {
        "os": collect_os(host),
        "euid": host.euid,
        "applicable": capture["applicable"],
        "applicable_reason": capture["applicable_reason"],
        "xen": capture["xen"],
        "mkinitramfs": capture["mkinitramfs"] or capture["packages"]["dracut"] is not None,
        "kernel": kernel,
        "boot_id": _line(host, "/proc/sys/kernel/random/boot_id"),
        "state": state,
        "state_unread": state_unread,
        "packages": packages,
        "holds": holds,
        "files": {path: _file(host, path) for path in _FILES},
        "sources": _sources(host),
        "pins": _pins(host),
        "tools": {
            "makedumpfile": capture["packages"]["makedumpfile"] or capture["makedumpfile_to_come"],
            "crash": capture["packages"]["crash"],
        },
        "watchdog": _watchdog(host),
        "guard_report": _report(host),
        "dpkg_interrupted": preflight["dpkg_interrupted"],
        "free_bytes": {**preflight["free_bytes"], "/usr": _free(host, "/usr")},
        "kernel_bytes": {"image": _size(host, kernel["release"]), "initrd": preflight["initrd_bytes"]},
        "grub_dry_run": None,
        "gate": None,
    }
    seen.update(_boot(host))
    seen.update(_offer(host, wanted, seen, options))
    seen.update(_drivers(host, wanted, seen))
    return seen


def _line(host: Host, path: str) -> str | None:
    try:
        return clean(host.read_line(path), 64)
    except Unreadable:
        return None


def _size(host: Host, release: str | None) -> int:
    """Bytes of the running kernel's files in /boot beside the initrd; the new one's are about as large."""
    total = 0
    for name in ("vmlinuz-", "System.map-", "config-"):
        try:
            total += host.lstat("/boot/{0}{1}".format(name, release)).size
        except Unreadable:
            continue
    return total


def _free(host: Host, path: str) -> int | None:
    try:
        return host.space(path).free
    except Unreadable:
        return None


def _report(host: Host) -> str | None:
    """What the guard of a trial wrote down before it gave up."""
    try:
        return clean(host.read(files.GUARD_REPORT, _REPORT_LIMIT).replace("\n", " / "), 800)
    except Unreadable:
        return None


def _packages(host: Host) -> tuple[dict[str, str], list[str]]:
    try:
        known = known_packages(host, lambda name: _PACKAGES.match(name) is not None)
    except Unreadable:
        return {}, []
    installed = {package.name: package.version for package in known if package.installed}
    return installed, sorted(package.name for package in known if package.want == "hold")


def _file(host: Host, path: str) -> Seen | None:
    try:
        status = host.lstat(path)
        text = host.read_bytes(path, _FILE_LIMIT).decode("utf-8", "surrogateescape")
    except Unreadable:
        return None
    return {"text": text, "mode": status.mode, "uid": status.uid}


def _texts(host: Host, single: str, folder: str, ends: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    """(path, text) of a configuration file of apt and of those in its folder (apt.conf(5): no dots, known ends)."""
    try:
        names = [folder + "/" + name for name in host.listdir(folder)]
    except Unreadable:
        names = []
    plain = [name for name in names if "" in ends and "." not in name.rsplit("/", 1)[1]]
    ended = [name for name in names if any(end and name.endswith(end) for end in ends)]
    for path in [single, *plain[:200], *ended[:200]]:
        try:
            yield path, host.read(path, _FILE_LIMIT)
        except Unreadable:
            continue


def _sources(host: Host) -> list[Source]:
    found: list[Source] = []
    for path, text in _texts(host, "/etc/apt/sources.list", "/etc/apt/sources.list.d", (".list", ".sources")):
        parse = parse_deb822 if path.endswith(".sources") else parse_one_line
        try:
            found += parse(text, path)
        except ParseError:
            continue
    return found


def _pins(host: Host) -> list[Pin]:
    """Those of the administrator, ours left out."""
    found: list[Pin] = []
    for path, text in _texts(host, "/etc/apt/preferences", "/etc/apt/preferences.d", (".pref", "")):
        if path != files.PREFERENCES:
            try:
                found += parse_preferences(text, path)
            except ParseError:
                continue
    return found


def _watchdog(host: Host) -> Seen:
    """{hardware, identity}; softdog dies with the kernel that it watches (drivers/watchdog/softdog.c)."""
    try:
        names = host.listdir("/sys/class/watchdog")[:16]
    except Unreadable:
        names = []
    found = [_line(host, "/sys/class/watchdog/{0}/identity".format(name)) or "" for name in names]
    hardware = [identity for identity in found if identity and identity != "Software Watchdog"]
    return {"hardware": bool(hardware), "identity": next((name for name in hardware or found if name), None)}


# --- the boot loader -------------------------------------------------------------------------------------------


def _boot(host: Host) -> Seen:
    boot = collect_boot(host)
    seen: Seen = {
        "loader": boot["loader"],
        "entries": boot["entries"],
        "unread": boot["unread"].get("boot_entries"),
        "trial": next((e for e in boot["entries"] if e["id"] in (files.TRIAL_ID, files.TRIAL_ID + ".conf")), None),
        "default_release": None if boot["next"]["once"] else boot["next"]["release"],
        "default_pattern": None,
        "template": None,
        "template_reason": "it could not be read",
        "entry_of": {},
    }
    one_shot: Seen = {"able": None, "reason": "no boot loader that is known", "set": None}
    if boot["loader"] == "grub":
        one_shot = _grub(host, seen)
    elif boot["loader"] == "systemd-boot":
        seen["default_pattern"] = efi_text(host, "LoaderEntryDefault") or None
        seen["entry_of"] = {e["release"]: e["id"] for e in reversed(boot["entries"]) if e["generated"]}
        once = efi_text(host, "LoaderEntryOneShot") or None
        one_shot = {"able": True, "reason": "systemd-boot removes the variable before it boots", "set": once}
    return {"boot": seen, "one_shot": one_shot}


def _grub(host: Host, seen: Seen) -> Seen:
    block: dict[str, str] = {}
    raw: bytes | None = None
    reason = None
    try:
        raw = host.read_bytes(GRUB_ENV, grub.ENVBLK_LIMIT + 1)
        block = grub.parse_grubenv(raw)
    except (ParseError, Unreadable) as exc:
        reason = None if getattr(exc, "reason", "") == "not found" else clean(str(exc))
    try:
        menu = grub.parse_grub_cfg(host.read(GRUB_CFG, grub.TEXT_LIMIT + 1))
    except (ParseError, Unreadable) as exc:
        seen["unread"] = clean(str(exc))
        return {"able": None, "reason": seen["unread"], "set": None}
    _add_default(seen, menu, block)
    seen["template"], seen["template_reason"] = _template(menu)
    able, why = (None, reason) if reason else _ability(host, raw)
    return {"able": able, "reason": why, "set": block.get("next_entry") or None}


def _add_default(seen: Seen, menu: grub.GrubMenu, block: t.Mapping[str, str]) -> None:
    """What boots when no choice for one boot is set."""
    lasting = {key: value for key, value in block.items() if key not in ("next_entry", "prev_saved_entry")}
    entry = grub.next_boot(menu, lasting).entry
    releases = {e["id"]: e["release"] for e in seen["entries"]}
    seen["default_release"] = releases.get(entry.id) if entry else None


_ADVANCED = re.compile(r"gnulinux-(.+?)-advanced-")


def _template(menu: grub.GrubMenu) -> tuple[str | None, str]:
    """The path to the entry of one kernel, with {release} in place of its release."""
    for entry in menu.entries:
        match = _ADVANCED.match(entry.id)
        if match and entry.section.startswith("10_linux") and entry.kernel.endswith("vmlinuz-" + match.group(1)):
            spec = grub.spec_of(menu, entry)
            if spec.count(match.group(1)) == 1 and re.match(r"[A-Za-z0-9.+~_>/:-]+\Z", spec):
                return spec.replace(match.group(1), "{release}"), ""
    return None, "10_linux wrote no entry with an id such as gnulinux-RELEASE-advanced-UUID"


def _ability(host: Host, raw: bytes | None) -> tuple[bool | None, str]:
    """Ask grub-probe what lies below the environment block, as grub-reboot does."""
    words = {}
    for target in ("abstraction", "fs"):
        try:
            done = host.run(["grub-probe", "--target=" + target, "/boot/grub"], timeout_s=120)
        except Unreadable as exc:
            return None, "grub-probe could not run: {0}".format(exc.reason)
        if done.rc != 0:
            return None, "grub-probe failed: {0}".format(clean(done.err, 120) or done.rc)
        words[target] = done.out.split()
    block: Seen = {"kind": None, "size": 0, "used": 0}
    if raw is not None:
        status = host.lstat(GRUB_ENV)
        block = {"kind": status.kind, "size": status.size, "used": len(raw.rstrip(b"#"))}
    return one_shot_ability(words["abstraction"], (words["fs"] or [""])[0], block)


# --- the kernel to come ----------------------------------------------------------------------------------------


def _offer(host: Host, wanted: Wanted, seen: Seen, options: t.Sequence[str]) -> Seen:
    found: Seen = {"offer": None, "offer_unread": None, "stable_version": None, "firmware_offers": {}}
    if wanted.state == "absent" or not wanted.suite or wanted.step not in ("stage", "commit"):
        return found
    own = find_suite(seen["sources"], wanted.suite, seen["os"]["codename"] or "")
    written = wanted.suite if options or own is None else own.suite
    try:
        headers = needs_headers(seen)
        offer = collect_offer(host, wanted.package, wanted.version, written, headers, options)
        found["offer"] = {**offer, "suite": wanted.suite}
    except Unreadable as exc:
        found["offer_unread"] = clean(exc.reason, 300)
    try:
        found["stable_version"] = stable_version(host, wanted.package)
        firmware = [name for name in seen["packages"] if name.startswith("firmware-")]
        found["firmware_offers"] = collect_firmware_offers(host, firmware, written)
    except Unreadable:
        pass
    return found


def _drivers(host: Host, wanted: Wanted, seen: Seen) -> Seen:
    """What the drivers that run here have and want under the two kernels, as far as the new one's files are there."""
    running, coming = seen["kernel"]["release"], seen["offer"]["release"] if seen["offer"] else None
    modules = _dkms_modules(host, running)
    found: Seen = {
        "dkms": {"modules": modules, "missing": []},
        "drivers_missing": [],
        "firmware_losses": [],
        "firmware_unread": None,
    }
    if coming is None or coming == running:
        return found
    if not host.exists("/lib/modules/{0}/modules.dep".format(coming)):
        found["firmware_unread"] = "{0} is not unpacked yet".format(coming)
        return found
    built = _dkms_modules(host, coming)
    loaded = [name for name in modules if host.exists("/sys/module/" + name.replace("-", "_"))]
    found["dkms"]["missing"] = [name for name in loaded if name not in built]
    losses: list[modfirmware.Loss] = []
    for driver in _nic_drivers(host, running):
        ours, theirs = _firmware_of(host, running, driver), _firmware_of(host, coming, driver)
        if ours is not None and theirs is None:
            found["drivers_missing"].append(driver)
        elif theirs:
            there = {name for name in {*(ours or ()), *theirs} if is_there(host, coming, name)}
            losses += modfirmware.find_losses(driver, ours or [], theirs, there)
    found["firmware_losses"] = losses
    return found


def _dkms_modules(host: Host, release: str | None) -> list[str]:
    try:
        names = host.listdir("/lib/modules/{0}/updates/dkms".format(release))
    except Unreadable:
        return []
    return sorted({name.split(".ko", 1)[0] for name in names if ".ko" in name})[:256]


def _nic_drivers(host: Host, release: str) -> list[str]:
    """Modules of the NICs, and those that these build on: the firmware of qede is asked for by qed."""
    try:
        names = host.listdir("/sys/class/net")[:1024]
    except Unreadable:
        return []
    drivers = list(dict.fromkeys(module for name in names for module in nic_modules(host, name)))[:32]
    below = [word for driver in drivers for word in _modinfo(host, release, driver, "depends") or ()]
    return list(dict.fromkeys([*drivers, *(word for part in below for word in part.split(",") if word)]))[:128]


def _modinfo(host: Host, release: str, module: str, field: str) -> list[str] | None:
    """Values of a field; None where that kernel has no such module."""
    return look({}, module, modinfo, host, release, module, field)


def _firmware_of(host: Host, release: str, module: str) -> list[str] | None:
    lines = _modinfo(host, release, module, "firmware")
    return None if lines is None else modfirmware.parse_modinfo_firmware("\n".join(lines))
