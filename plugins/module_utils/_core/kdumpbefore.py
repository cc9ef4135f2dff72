# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a host was before the kdump role's first change, kept on the host so that `state: absent` can go back.

The record is written before anything else is, and grows by what later runs touch
for the first time. It lies where root alone writes; it is checked all the same,
since what it names is purged, written and set again.
"""

from __future__ import annotations

import json
import re
import typing as t

from . import kdump
from .errors import CoreError, ParseError
from .plan import Change

__all__ = ["LIMIT_BYTES", "OWN_FILES", "PATH", "Before", "FileBefore", "begin", "extend", "parse", "render"]

PATH = "/var/lib/crashready/kdump.json"
LIMIT_BYTES = 1024 * 1024
SCHEMA = 1

#: Files that are there because of the role alone. One of them without a record: a role of another time was here, and
#: what was before it is not known.
OWN_FILES = (kdump.GRUB_DROP_IN, kdump.SYSCTL_DROP_IN, kdump.TMPFILES, kdump.DEADLINE_UNIT)

_EDITED_FILES = (kdump.CONFIG, kdump.SYSTEMD_BOOT_CMDLINE)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}(?::[a-z0-9-]{2,20})?\Z")
_QUESTION = re.compile(r"kdump-tools/[a-z_]{1,40}\Z")
_NUMBER = re.compile(r"-?\d{1,10}\Z")
_TEXT_LIMIT = 256 * 1024
_COUNT_LIMIT = 2000


class FileBefore(t.NamedTuple):
    """A file or folder as it was; `text` is None for a folder."""

    text: str | None
    mode: int
    uid: int


class Before(t.NamedTuple):
    """The record. In `files` and `folders` None means: it was not there."""

    packages: tuple[str, ...]  #: installed by the role, with what they brought along
    files: t.Mapping[str, FileBefore | None]
    folders: t.Mapping[str, FileBefore | None]
    sysctls: t.Mapping[str, str]  #: of the kernel that ran then
    debconf: t.Mapping[str, str]
    unit_enabled: bool
    crashkernel: tuple[str, ...]  #: of the generated boot entries, each value once


def begin(capture: t.Mapping[str, t.Any], sysctls: t.Iterable[str], changes: t.Iterable[Change]) -> Before | None:
    """The record of a host that the role has not changed yet; None where files of the role are there already."""
    if any(capture["files"].get(path) for path in OWN_FILES):
        return None
    entries = capture["boot"]["entries"]
    start = Before(
        packages=(),
        files={path: _file(capture["files"].get(path)) for path in _EDITED_FILES},
        folders={},
        sysctls={},
        debconf=dict(capture["debconf"]),
        unit_enabled=bool(capture["unit"]["enabled"]),
        crashkernel=tuple(dict.fromkeys(v for e in entries if e["generated"] for v in e["crashkernel"])),
    )
    return extend(start, capture, sysctls, changes)


def extend(
    before: Before, capture: t.Mapping[str, t.Any], sysctls: t.Iterable[str], changes: t.Iterable[Change]
) -> Before:
    """The record with what these changes touch for the first time; what it has already stays."""
    changes = list(changes)
    packages = [c.target for c in changes if c.kind == "package"]
    folders = dict(before.folders)
    for change in changes:
        if change.kind == "directory":
            folders.setdefault(change.target, _folder(capture["folder"]))
    values = dict(before.sysctls)
    if capture["applicable"]:  # those of a container are another machine's
        for name in sysctls:
            if capture["sysctl"].get(name) is not None:
                values.setdefault(name, capture["sysctl"][name])
    return with_packages(before._replace(folders=folders, sysctls=values), packages)


def with_packages(before: Before, names: t.Iterable[str]) -> Before:
    """The record with further packages that the role installed."""
    return before._replace(packages=tuple(dict.fromkeys([*before.packages, *names])))


def _file(seen: t.Mapping[str, t.Any] | None) -> FileBefore | None:
    return FileBefore(seen["text"], seen["mode"], seen["uid"]) if seen else None


def _folder(seen: t.Mapping[str, t.Any] | None) -> FileBefore | None:
    return FileBefore(None, seen["mode"], seen["uid"]) if seen else None


def render(before: Before) -> str:
    """JSON with sorted keys. Bytes of a file that are no UTF-8 stay as lone surrogates."""
    return json.dumps({"schema": SCHEMA, **before._asdict()}, indent=1, sort_keys=True) + "\n"


# --- reading ------------------------------------------------------------------


def parse(text: str) -> Before:
    """The record in a text. Raises ParseError on anything that `render` would not write."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ParseError("not JSON: {0}".format(str(exc)[:120])) from exc
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ParseError("not a record of schema {0}".format(SCHEMA))
    if set(found) != {"schema", *Before._fields}:
        raise ParseError("it has other keys than a record has")
    if not isinstance(found["unit_enabled"], bool):
        raise ParseError("unit_enabled is neither true nor false")
    return Before(
        packages=tuple(_texts(found["packages"], _PACKAGE, "packages")),
        files={_one_of(path, _EDITED_FILES): _saved(v, True) for path, v in _mapping(found["files"], "files")},
        folders={_path(path): _saved(v, False) for path, v in _mapping(found["folders"], "folders")},
        sysctls=_pairs(found["sysctls"], kdump.SYSCTL_NAME, _NUMBER, "sysctls"),
        debconf=_pairs(found["debconf"], _QUESTION, re.compile(r"[^\n]{0,80}\Z"), "debconf"),
        unit_enabled=found["unit_enabled"],
        crashkernel=tuple(_texts(found["crashkernel"], re.compile(r"[!-~]{0,200}\Z"), "crashkernel")),
    )


def _mapping(value: t.Any, what: str) -> t.Iterable[tuple[str, t.Any]]:
    if not isinstance(value, dict) or len(value) > _COUNT_LIMIT:
        raise ParseError("{0} is not a mapping of a fitting size".format(what))
    return list(value.items())


def _texts(value: t.Any, grammar: re.Pattern[str], what: str) -> list[str]:
    if not isinstance(value, list) or len(value) > _COUNT_LIMIT:
        raise ParseError("{0} is not a list of a fitting size".format(what))
    return [_fitting(item, grammar, what) for item in value]


def _pairs(value: t.Any, name: re.Pattern[str], text: re.Pattern[str], what: str) -> dict[str, str]:
    return {_fitting(key, name, what): _fitting(item, text, what) for key, item in _mapping(value, what)}


def _fitting(value: t.Any, grammar: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not grammar.match(value):
        raise ParseError("{0}: {1!r} does not belong there".format(what, str(value)[:80]))
    return value


def _one_of(path: str, known: t.Sequence[str]) -> str:
    if path not in known:
        raise ParseError("files: {0!r} is none that the role edits".format(path[:80]))
    return path


def _path(path: str) -> str:
    try:
        return kdump.checked_folder(path)
    except CoreError as exc:
        raise ParseError("folders: {0}".format(exc)) from exc


def _saved(value: t.Any, is_file: bool) -> FileBefore | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(number, int) and not isinstance(number, bool) for number in value[1:])
    ):
        raise ParseError("a file or folder before: {0!r} is not understood".format(str(value)[:80]))
    text, mode, uid = value
    if not (isinstance(text, str) and len(text) <= _TEXT_LIMIT if is_file else text is None):
        raise ParseError("a file or folder before: its text does not fit")
    if not 0 <= mode <= 0o7777 or not 0 <= uid < 2**32:
        raise ParseError("a file or folder before: mode {0} and owner {1} do not fit".format(mode, uid))
    return FileBefore(text, mode, uid)
