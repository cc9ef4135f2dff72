# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Boot loader entries of systemd-boot (UAPI.1 Boot Loader Specification) and the entry that it will boot.

Type 1 entries are small text files under loader/entries of the ESP or XBOOTLDR
partition; type 2 entries are unified kernel images (PE files with the command
line in a section of their own) under EFI/Linux. The choice of the default is
config_select_default_entry() of systemd's src/boot/boot.c.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import struct
import typing as t

from .errors import ParseError
from .text import clean

__all__ = [
    "LoaderEntry",
    "choose_default",
    "decode_efi_text",
    "is_generated",
    "parse_loader_conf",
    "parse_loader_entry",
    "parse_pe_sections",
    "sort_entries",
]

TEXT_LIMIT = 64 * 1024
#: Bytes from the start of a PE file within which the section table must lie.
PE_HEADER_BYTES = 4096

_COUNTED = re.compile(r"(.*)\+([0-9]{1,9})(?:-([0-9]{1,9}))?\Z")


class LoaderEntry(t.NamedTuple):
    """One entry of the menu."""

    id: str  #: file name without the boot counter; what `default` and the EFI variables name
    title: str
    version: str
    machine_id: str
    sort_key: str
    kernel: str  #: `linux`, or the image itself for a unified one; empty for an entry that boots something else
    cmdline: str
    initrds: tuple[str, ...]
    tries_left: int | None  #: of boot counting; None when the entry is not counted


def parse_loader_entry(file_name: str, text: str) -> LoaderEntry:
    """A type 1 entry from its file name and text; later lines of a key win, `options` and `initrd` add up."""
    keys: dict[str, str] = {}
    lists: dict[str, list[str]] = {"options": [], "initrd": []}
    for name, value in _lines(text):
        if name in lists:
            lists[name].append(value)
        else:
            keys[name] = value
    entry_id, tries_left = _strip_counter(file_name)
    return LoaderEntry(
        id=clean(entry_id),
        title=clean(keys.get("title") or entry_id),
        version=clean(keys.get("version", "")),
        machine_id=clean(keys.get("machine-id", ""), 64),
        sort_key=clean(keys.get("sort-key", ""), 64),
        kernel=clean(keys.get("linux", ""), 1024),
        cmdline=clean(" ".join(lists["options"]), 16 * 1024),
        initrds=tuple(clean(value, 1024) for value in lists["initrd"][:16]),
        tries_left=tries_left,
    )


def is_generated(entry: LoaderEntry, machine_id: str | None, tokens: t.Iterable[str]) -> bool:
    """Whether kernel-install on this host wrote the entry, and would write it again.

    It names entries <token>-<version> (kernel-install(8), KERNEL_INSTALL_ENTRY_TOKEN),
    and writes machine-id into those whose token that is. Several systems may share
    an ESP. `tokens` are those this host may use; none where they could not be read.
    """
    if not entry.version or (machine_id and entry.machine_id and entry.machine_id != machine_id):
        return False
    stem = entry.id.rpartition(".")[0]
    tokens = list(tokens)
    if not tokens:
        return stem.endswith("-" + entry.version)
    return any(stem == "{0}-{1}".format(token, entry.version) for token in tokens)


def parse_loader_conf(text: str) -> dict[str, str]:
    """Settings of loader/loader.conf (loader.conf(5))."""
    return {name: clean(value) for name, value in _lines(text)}


def _lines(text: str) -> t.Iterator[tuple[str, str]]:
    if len(text) > TEXT_LIMIT:
        raise ParseError("a boot loader file of {0} characters; {1} at most".format(len(text), TEXT_LIMIT))
    for line in text.splitlines():
        words = line.strip(" \t").split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            yield words[0], words[1].strip()


def _strip_counter(file_name: str) -> tuple[str, int | None]:
    """`name+3-1.conf` has three tries left and one done; the counter is no part of the id."""
    stem, dot, suffix = file_name.rpartition(".")
    match = _COUNTED.match(stem)
    if not match:
        return file_name, None
    return match.group(1) + dot + suffix, int(match.group(2))


def parse_pe_sections(header: bytes) -> dict[str, tuple[int, int]]:
    """Offset in the file and size in bytes of each section, from the first bytes of a PE file.

    Raises ParseError on anything else.
    """
    try:
        if header[:2] != b"MZ":
            raise ParseError("not a PE file")
        (start,) = struct.unpack_from("<I", header, 0x3C)
        if header[start : start + 4] != b"PE\0\0":
            raise ParseError("not a PE file: no PE signature at {0}".format(start))
        count, optional_size = struct.unpack_from("<H12xH", header, start + 6)
        sections: dict[str, tuple[int, int]] = {}
        for index in range(min(count, 96)):
            at = start + 24 + optional_size + 40 * index
            name, used, _address, raw_size, offset = struct.unpack_from("<8sIIII", header, at)
            sections[name.rstrip(b"\0").decode("ascii", "replace")] = (offset, min(used or raw_size, raw_size))
    except struct.error as exc:
        raise ParseError("a PE file that ends in its headers") from exc
    return sections


def decode_efi_text(data: bytes) -> str:
    """The text in a variable of efivarfs: four bytes of attributes, then UTF-16 with a NUL at the end."""
    return clean(data[4 : 4 + 2048].decode("utf-16-le", "replace").split("\0", 1)[0])


def sort_entries(entries: t.Iterable[LoaderEntry]) -> list[LoaderEntry]:
    """The order of the menu: bad ones (no tries left) last; by sort key, then the newest version first."""
    return sorted(entries, key=functools.cmp_to_key(_compare))


def choose_default(
    entries: t.Sequence[LoaderEntry], *, once: str | None, variable: str | None, pattern: str | None
) -> tuple[LoaderEntry | None, bool, str]:
    """The entry that boots by itself, whether for once alone, and how it was found.

    `once` and `variable` are the EFI variables LoaderEntryOneShot and
    LoaderEntryDefault, `pattern` is `default` of loader.conf. `entries` are in menu order.
    """
    for name, where, for_once in (
        (once, "LoaderEntryOneShot", True),
        (variable, "LoaderEntryDefault", False),
        (pattern, "default in loader.conf", False),
    ):
        if not name:
            continue
        if name.startswith("@"):
            return None, False, "{0} is {1}, which depends on the last boot".format(where, name)
        found = next((e for e in entries if fnmatch.fnmatchcase(e.id.lower(), name.lower())), None)
        if found is not None:
            return found, for_once, "by {0}".format(where)
    if not entries:
        return None, False, "there are no entries"
    return entries[0], False, "the first in menu order: nothing else is set"


def _compare(a: LoaderEntry, b: LoaderEntry) -> int:
    bad = (a.tries_left == 0) - (b.tries_left == 0)
    if bad:
        return bad
    keyed = (not a.sort_key) - (not b.sort_key)
    if keyed:
        return keyed
    if a.sort_key:
        names = _sign((a.sort_key, a.machine_id), (b.sort_key, b.machine_id))
        return names or -_compare_versions(a.version, b.version) or -_compare_versions(a.id, b.id)
    return -_compare_versions(a.id, b.id)


_SEPARATORS = re.compile(r"[^0-9A-Za-z~^.\-]+")


def _compare_versions(left: str, right: str) -> int:
    """UAPI.10 Version Format Specification: `~` before the end, then `-`, `^`, `.`; numbers before letters by value."""
    left, right = _SEPARATORS.sub("", left[:256]), _SEPARATORS.sub("", right[:256])
    while left or right:
        for sign in "~", None, "-", "^", ".":
            mine, other = (not left, not right) if sign is None else (left[:1] == sign, right[:1] == sign)
            if mine and other and sign is not None:
                left, right = left[1:], right[1:]
                break
            if mine != other:
                return -1 if mine else 1
        else:
            left, right, order = _compare_run(left, right)
            if order:
                return order
    return 0


_Value = t.TypeVar("_Value", int, str, "tuple[str, str]")


def _sign(a: _Value, b: _Value) -> int:
    return (a > b) - (a < b)


def _compare_run(left: str, right: str) -> tuple[str, str, int]:
    digits = left[:1].isdigit() or right[:1].isdigit()
    run = re.compile(r"[0-9]*" if digits else r"[A-Za-z]*")
    a = t.cast("re.Match[str]", run.match(left)).group()
    b = t.cast("re.Match[str]", run.match(right)).group()
    order = _sign(int(a or "-1"), int(b or "-1")) if digits else _sign(a, b)
    return left[len(a) :], right[len(b) :], order
