# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The boot loader of a host, its entries with their command lines, and the entry that comes next.

What counts for a reservation is the command line that each entry will really
give to its kernel, not what any settings file asks for (G16, G18).
"""

from __future__ import annotations

import posixpath
import typing as t

from .._core import bls, grub, shellconf
from .._core.errors import ParseError
from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["GRUB_CFG", "GRUB_ENV", "collect_boot"]

GRUB_CFG = "/boot/grub/grub.cfg"
GRUB_CUSTOM = "/boot/grub/custom.cfg"  # /etc/grub.d/41_custom takes it in at the end of grub.cfg
GRUB_ENV = "/boot/grub/grubenv"
#: Where the ESP and XBOOTLDR partitions are mounted (UAPI.3 Discoverable Partitions, and Debian's installer).
ESP_MOUNTS = ("/efi", "/boot/efi", "/boot")
EFIVARS = "/sys/firmware/efi/efivars"
_LOADER_GUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"  # systemd.io/BOOT_LOADER_INTERFACE
_ENTRY_FILES = 256

Facts = dict[str, t.Any]


def collect_boot(host: Host) -> Facts:
    """{"loader", "entries", "next", "unread"}.

    - `loader`: "grub", "systemd-boot", "none", or None with the reason in `unread["boot_loader"]`
    - `entries`: those that boot a Linux kernel, in menu order: {title, id, release, kernel, cmdline, initrds,
      generated, foreign}. `cmdline` is a text; `release` is None where the kernel's file name does not tell it;
      `generated` is true for what grub-mkconfig or this host's kernel-install wrote and will write again, `foreign` for
      what says that it is another system's (machine-id)
    - `next`: {index (into `entries`), entry (title), release, once, reason}; None with a reason where only the boot
      loader can decide
    """
    unread: dict[str, str] = {}
    loader = _loader(host, unread)
    facts: Facts = {"loader": loader, "entries": [], "next": _nothing("no boot loader was found"), "unread": unread}
    if loader is None:
        facts["next"] = _nothing(unread["boot_loader"])
        return facts
    try:
        if loader == "grub":
            _add_grub(host, facts)
        elif loader == "systemd-boot":
            _add_systemd_boot(host, facts)
    except Unreadable as exc:
        unread["boot_entries"] = clean(str(exc))
    except ParseError as exc:
        unread["boot_entries"] = clean(str(exc))
    if "boot_entries" in unread:
        facts["next"] = _nothing(unread["boot_entries"])
    return facts


def _nothing(reason: str) -> Facts:
    return {"index": None, "entry": None, "release": None, "once": None, "reason": reason}


def efi_text(host: Host, name: str) -> str | None:
    """A text variable of the Boot Loader Interface; None when it is not set or cannot be read."""
    try:
        return bls.decode_efi_text(host.read_bytes("{0}/{1}-{2}".format(EFIVARS, name, _LOADER_GUID), 4096))
    except Unreadable:
        return None


def _loader(host: Host, unread: dict[str, str]) -> str | None:
    """Who started this kernel tells it (GRUB from 2.12 on does so too); else what is installed."""
    said = (efi_text(host, "LoaderInfo") or "").lower()
    if said.startswith("systemd-boot"):
        return "systemd-boot"
    if said.startswith("grub") or _there(host, GRUB_CFG, unread):
        return "grub"
    if any(_there(host, mount + "/loader/entries", unread) for mount in ESP_MOUNTS):
        unread.pop("boot_loader", None)
        return "systemd-boot"
    return None if "boot_loader" in unread else "none"


def _there(host: Host, path: str, unread: dict[str, str]) -> bool:
    try:
        host.lstat(path)
    except Unreadable as exc:
        if exc.reason not in ("not found", "not a directory"):
            unread["boot_loader"] = clean(str(exc))
        return False
    return True


# --- GRUB ------------------------------------------------------------------------------------------------------------


def _add_grub(host: Host, facts: Facts) -> None:
    text = host.read(GRUB_CFG, grub.TEXT_LIMIT + 1)
    text += _custom(host, facts["unread"]) if "custom.cfg" in text else ""
    menu = grub.parse_grub_cfg(text)
    shown = [entry for entry in menu.entries if entry.kernel]
    facts["entries"] = [_grub_entry(host, entry) for entry in shown]
    block: dict[str, str] | None = None
    try:
        block = grub.parse_grubenv(host.read_bytes(GRUB_ENV, grub.ENVBLK_LIMIT + 1))
    except Unreadable as exc:
        if exc.reason != "not found":
            facts["next"] = _nothing(clean(str(exc)))
            return
    except ParseError as exc:
        facts["next"] = _nothing(clean(str(exc)))
        return
    found = grub.next_boot(menu, block)
    if found.entry is None:
        facts["next"] = _nothing(found.reason)
        return
    index = shown.index(found.entry) if found.entry in shown else None
    facts["next"] = {
        "index": index,
        "entry": found.entry.title,
        "release": facts["entries"][index]["release"] if index is not None else None,
        "once": found.once,
        "reason": found.reason if index is not None else found.reason + ", which boots no Linux kernel",
    }


def _custom(host: Host, unread: dict[str, str]) -> str:
    try:
        return "\n### BEGIN /etc/grub.d/custom.cfg ###\n" + host.read(GRUB_CUSTOM, grub.TEXT_LIMIT)
    except Unreadable as exc:
        if exc.reason != "not found":
            unread["custom_entries"] = clean(str(exc))
        return ""


def _grub_entry(host: Host, entry: grub.MenuEntry) -> Facts:
    return {
        "title": entry.title,
        "id": entry.id,
        "release": _release(host, entry.kernel),
        "kernel": clean(entry.kernel, 1024),
        "cmdline": entry.cmdline,
        "initrds": list(entry.initrds),
        "generated": entry.section.startswith(("10_linux", "20_linux_xen")),
        "foreign": False,
    }


def _release(host: Host, kernel: str) -> str | None:
    """The release in a kernel's file name, through a link such as /vmlinuz where there is one.

    The path is that of GRUB's root: /vmlinuz-... where /boot is a filesystem of its own.
    """
    name = posixpath.basename(kernel)
    if not name.startswith("vmlinuz-"):
        for place in ("/boot/" + name, kernel):
            target = posixpath.basename(host.realpath(place)) if place.startswith("/") else ""
            if target.startswith("vmlinuz-"):
                name = target
                break
    return clean(name[len("vmlinuz-") :], 128) or None if name.startswith("vmlinuz-") else None


# --- systemd-boot ----------------------------------------------------------------------------------------------------


def _add_systemd_boot(host: Host, facts: Facts) -> None:
    entries: list[bls.LoaderEntry] = []
    pattern: str | None = None
    for mount in ESP_MOUNTS:
        entries += _type1(host, mount, facts["unread"])
        entries += _type2(host, mount, facts["unread"])
        pattern = pattern or _default_pattern(host, mount)
    if not entries and "boot_entries" in facts["unread"]:
        return
    facts["unread"].pop("boot_entries", None)
    ordered = bls.sort_entries({entry.id: entry for entry in reversed(entries)}.values())
    shown = [entry for entry in ordered if entry.kernel]
    machine_id, tokens = _own_names(host)
    facts["entries"] = [
        {
            **_bls_entry(host, entry),
            "generated": bls.is_generated(entry, machine_id, tokens),
            "foreign": bool(machine_id and entry.machine_id and entry.machine_id != machine_id),
        }
        for entry in shown
    ]
    found, once, reason = bls.choose_default(
        ordered,
        once=efi_text(host, "LoaderEntryOneShot"),
        variable=efi_text(host, "LoaderEntryDefault"),
        pattern=pattern,
    )
    index = shown.index(found) if found in shown else None
    facts["next"] = {
        "index": index,
        "entry": found.title if found else None,
        "release": facts["entries"][index]["release"] if index is not None else None,
        "once": once if found else None,
        "reason": reason,
    }


def _type1(host: Host, mount: str, unread: dict[str, str]) -> list[bls.LoaderEntry]:
    folder = mount + "/loader/entries"
    found: list[bls.LoaderEntry] = []
    for name in _names(host, folder, ".conf", unread):
        try:
            found.append(bls.parse_loader_entry(name, host.read(folder + "/" + name, bls.TEXT_LIMIT + 1)))
        except (ParseError, Unreadable) as exc:
            unread["boot_entry " + clean(name, 80)] = clean(str(exc))
    return found


def _type2(host: Host, mount: str, unread: dict[str, str]) -> list[bls.LoaderEntry]:
    folder = mount + "/EFI/Linux"
    found: list[bls.LoaderEntry] = []
    for name in _names(host, folder, ".efi", unread):
        path = folder + "/" + name
        try:
            sections = bls.parse_pe_sections(host.read_bytes(path, bls.PE_HEADER_BYTES))
            lines = ["title " + name, "linux " + path, "version " + _section(host, path, sections, ".uname")]
            lines.append("options " + _section(host, path, sections, ".cmdline"))
            found.append(bls.parse_loader_entry(name, "\n".join(lines)))
        except (ParseError, Unreadable) as exc:
            unread["boot_entry " + clean(name, 80)] = clean(str(exc))
    return found


def _section(host: Host, path: str, sections: t.Mapping[str, tuple[int, int]], name: str) -> str:
    offset, size = sections.get(name, (0, 0))
    return clean(host.read_bytes(path, min(size, 16 * 1024), offset).decode("utf-8", "replace"), 8192) if size else ""


def _names(host: Host, folder: str, suffix: str, unread: dict[str, str]) -> list[str]:
    try:
        return [name for name in host.listdir(folder) if name.endswith(suffix)][:_ENTRY_FILES]
    except Unreadable as exc:
        if exc.reason not in ("not found", "not a directory"):
            unread["boot_entries"] = clean(str(exc))
        return []


def _default_pattern(host: Host, mount: str) -> str | None:
    try:
        return bls.parse_loader_conf(host.read(mount + "/loader/loader.conf", bls.TEXT_LIMIT)).get("default")
    except (ParseError, Unreadable):
        return None


def _own_names(host: Host) -> tuple[str | None, list[str]]:
    """The machine id, and what kernel-install may name this host's entries after: kernel-install(8), --entry-token."""
    found: dict[str, str] = {}
    for path in ("/etc/kernel/entry-token", "/etc/machine-id"):
        try:
            found[path] = clean(host.read_line(path), 128)
        except Unreadable:
            continue
    machine_id = found.get("/etc/machine-id") or None
    if found.get("/etc/kernel/entry-token"):
        return machine_id, [found["/etc/kernel/entry-token"]]
    names = []
    try:
        release = shellconf.parse_shellconf(host.read("/etc/os-release", 64 * 1024)).values
        names = [release.get("IMAGE_ID"), release.get("ID")]
    except (ParseError, Unreadable):
        pass
    return machine_id, [token for token in (machine_id, *names) if token] if machine_id else []


def _bls_entry(host: Host, entry: bls.LoaderEntry) -> Facts:
    return {
        "title": entry.title,
        "id": entry.id,
        "release": entry.version or _release(host, entry.kernel),
        "kernel": entry.kernel,
        "cmdline": entry.cmdline,
        "initrds": list(entry.initrds),
    }
