# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What lies in the crash folder, valid or not.

kdump-tools writes <folder>/<YYYYmmddHHMM>/{dmesg,dump}.<stamp>, with a prefix
"<host>-" to the directory for NFS and SSH targets; "dump-incomplete" and
"vmcore-incomplete" are what a failure leaves (kdump_save_core of kdump-config).
It says "saved vmcore" for 0 bytes as well (G1), so each dump's head and end are read.
"""

from __future__ import annotations

import re
import typing as t

from .._core import dmesg as dmesg_text
from .._core import dump as dump_format
from .._core import elfnotes
from .._core.errors import ParseError
from .._core.text import clean
from .base import FileStatus, Host, Unreadable

__all__ = [
    "FOLDER",
    "collect_crash",
    "collect_crashes",
    "foreign_reason",
    "is_crash_name",
    "read_dump_file",
    "running_build_id",
]

FOLDER = "/var/crash"

# The prefix is a host name or an IP address; anything else was not made by kdump-tools.
_DIRECTORY = re.compile(r"(?:(?P<host>[A-Za-z0-9._:-]{1,255})-)?(?P<stamp>[0-9]{12})")
_FILE = re.compile(
    r"(?P<kind>dmesg|dump|vmcore)(?:\.(?P<stamp>[0-9]{12})|(?P<part>-incomplete))(?:\.(?:gz|bz2|lz4|xz))?"
)
_FILES_LIMIT = 64
_DMESG_TAIL = 512 * 1024
#: The file that counts, best first; what a failure left is shown but never valid.
_PREFERENCE = ("dump", "vmcore", "dump-incomplete", "vmcore-incomplete")


def is_crash_name(name: str) -> bool:
    """Whether kdump-tools could have made a directory of this name."""
    return _DIRECTORY.fullmatch(name) is not None


def collect_crashes(
    host: Host, folder: str = FOLDER, limit: int = 50, running_build_id: str | None = None
) -> list[dict[str, t.Any]]:
    """The newest `limit` crash directories, newest first; [] where there is no such folder.

    Each entry: path, stamp ("202611231305"), host (the prefix, or null), mode,
    uid, files [{name, kind, size_bytes, mode, uid}], dump (`dump_facts` and
    `path`) or null, dmesg {path, size_bytes, panic, causes, sysrq, version,
    unread} or null, valid, reason (why not valid), of_running_kernel (the build
    ids are equal) or null, foreign (of another machine) or null, exposed [what
    others than root may read, with the mode], unread.
    Raises Unreadable where the folder is there and cannot be listed (not root).
    """
    folder = host.realpath(folder)
    try:
        names = host.listdir(folder)
    except Unreadable as exc:
        if exc.reason == "not found":
            return []
        raise
    found = []
    for name in names:
        match = _DIRECTORY.fullmatch(name)
        if match is not None:
            found.append((match.group("stamp"), name))
    crashes: list[dict[str, t.Any]] = []
    for _stamp, name in sorted(found, reverse=True):
        if len(crashes) >= limit:
            break
        try:
            # A link or a plain file of such a name is none of kdump-tools': it is left out.
            if host.lstat(folder + "/" + name).kind == "directory":
                crashes.append(collect_crash(host, folder + "/" + name, running_build_id))
        except Unreadable:
            continue  # gone since it was listed: retention removed it
    return crashes


def collect_crash(host: Host, path: str, running_build_id: str | None = None) -> dict[str, t.Any]:
    """One crash directory, as `collect_crashes` gives it. Raises Unreadable where there is none."""
    status = host.lstat(path)
    if status.kind != "directory":
        raise Unreadable(path, "not a directory")
    match = _DIRECTORY.fullmatch(path.rsplit("/", 1)[-1])
    entry: dict[str, t.Any] = {
        "path": path,
        "stamp": match.group("stamp") if match is not None else None,
        "host": clean(match.group("host")) if match is not None and match.group("host") else None,
        "mode": _octal(status.mode),
        "uid": status.uid,
        "files": [],
        "dump": None,
        "dmesg": None,
        "valid": False,
        "reason": None,
        "of_running_kernel": None,
        "foreign": None,
        "exposed": [],
        "unread": {},
    }
    try:
        names = host.listdir(path)
    except Unreadable as exc:
        entry["unread"]["files"] = exc.reason
        entry["reason"] = "unreadable: {0}".format(exc.reason)
        return entry
    _list_files(host, entry, names, status)
    _add_dmesg(host, entry)
    entry["reason"] = _add_dump(host, entry, running_build_id)
    entry["valid"] = entry["reason"] is None
    return entry


def read_dump_file(host: Host, path: str, size: int, thorough: bool = False) -> dump_format.Dump:
    """Read the head and the end of one dump. Raises Unreadable and ParseError."""
    return dump_format.read_dump(lambda offset, length: host.read_bytes(path, length, offset), size, thorough)


def running_build_id(host: Host) -> str | None:
    """The build id of the kernel now running, in lower-case hex, or None."""
    try:
        return elfnotes.build_id(host.read_bytes("/sys/kernel/notes", 64 * 1024))
    except (Unreadable, ParseError):
        return None


def _octal(mode: int) -> str:
    return "{0:04o}".format(mode)


def _list_files(host: Host, entry: dict[str, t.Any], names: t.Sequence[str], folder: FileStatus) -> None:
    # Not everybody's business: a dump is the memory of the machine (Invariant 6, G5).
    if folder.mode & 0o077:
        entry["exposed"].append("{0} (mode {1}, wider than 0700)".format(entry["path"], _octal(folder.mode)))
    if len(names) > _FILES_LIMIT:
        entry["unread"]["files"] = "{0} of {1} files are listed".format(_FILES_LIMIT, len(names))
    # What kdump-tools wrote comes first, so that a full directory cannot hide it.
    for name in sorted(names, key=lambda name: (_FILE.fullmatch(name) is None, name))[:_FILES_LIMIT]:
        path = entry["path"] + "/" + name
        try:
            status = host.lstat(path)
        except Unreadable as exc:
            entry["unread"]["files"] = "{0}: {1}".format(clean(name), exc.reason)
            continue
        match = _FILE.fullmatch(name)
        kind = match.group("kind") + (match.group("part") or "") if match is not None else "other"
        if status.kind != "file":
            kind = status.kind
        shown = {"name": clean(name), "kind": kind, "size_bytes": status.size}
        entry["files"].append(dict(shown, mode=_octal(status.mode), uid=status.uid))
        if status.kind == "file" and status.mode & 0o077:
            entry["exposed"].append("{0} (mode {1}, wider than 0600)".format(clean(path, 4096), _octal(status.mode)))


def _newest(entry: t.Mapping[str, t.Any], kind: str) -> dict[str, t.Any] | None:
    files = [item for item in entry["files"] if item["kind"] == kind]
    return max(files, key=lambda item: str(item["name"]), default=None)


def _add_dmesg(host: Host, entry: dict[str, t.Any]) -> None:
    item = _newest(entry, "dmesg")
    if item is None:
        entry["unread"]["dmesg"] = "no dmesg file"
        return
    path = "{0}/{1}".format(entry["path"], item["name"])
    facts: dict[str, t.Any] = {"path": path, "size_bytes": item["size_bytes"], "unread": {}}
    text = ""
    try:
        start = max(0, item["size_bytes"] - _DMESG_TAIL)
        text = host.read_bytes(path, _DMESG_TAIL, start).decode("utf-8", "replace")
    except Unreadable as exc:
        facts["unread"]["panic"] = exc.reason
    summary = dmesg_text.summarise(text)
    facts.update(panic=summary.panic, causes=list(summary.causes), sysrq=summary.sysrq, version=summary.version)
    if summary.panic is None:
        facts["unread"].setdefault("panic", "no panic line in it")
    if summary.version is None:
        facts["unread"].setdefault("version", "no longer in the log")
    entry["dmesg"] = facts


def _add_dump(host: Host, entry: dict[str, t.Any], running_build_id: str | None) -> str | None:
    """Fill in `dump` and what follows from it; the reason why it is not valid, or None."""
    item = next(filter(None, (_newest(entry, kind) for kind in _PREFERENCE)), None)
    if item is None:
        entry["unread"]["dump"] = "no dump file"
        return "no dump file"
    path = "{0}/{1}".format(entry["path"], item["name"])
    if item["size_bytes"] == 0:
        # A failed makedumpfile is reported as success and leaves an empty file (G1).
        entry["unread"]["dump"] = "0 bytes"
        return "{0} has 0 bytes: makedumpfile failed in the capture kernel (G1)".format(item["name"])
    try:
        dump = read_dump_file(host, path, item["size_bytes"])
    except Unreadable as exc:
        entry["unread"]["dump"] = exc.reason
        return "unreadable: {0}".format(exc.reason)
    except ParseError as exc:
        entry["unread"]["dump"] = str(exc)
        return str(exc)
    entry["dump"] = dict(dump_format.dump_facts(dump), path=path)
    build_id = entry["dump"]["build_id"]
    if build_id is not None and running_build_id is not None:
        entry["of_running_kernel"] = build_id == running_build_id.lower()
    else:
        entry["unread"]["of_running_kernel"] = "one of the build ids is not known"
    entry["foreign"], foreign = foreign_reason(host, dump.utsname.nodename if dump.utsname is not None else None)
    if entry["foreign"] is None:
        entry["unread"]["foreign"] = foreign
    if item["kind"].endswith("-incomplete"):
        return "{0} is what a failed capture left (G7)".format(item["name"])
    return _not_valid(entry, item, dump, foreign)


def _not_valid(
    entry: t.Mapping[str, t.Any], item: t.Mapping[str, t.Any], dump: dump_format.Dump, foreign: str | None
) -> str | None:
    for what, uid in ((entry["path"], entry["uid"]), (item["name"], item["uid"])):
        if uid != 0:
            # /var/crash is world-writable where apport was installed: anybody could put a dump there.
            return "{0} belongs to uid {1}, not to root".format(what, uid)
    if entry["foreign"]:
        return foreign
    if dump.complete is not True:
        return dump.complete_reason or "not known whether it is complete"
    if dump.vmcoreinfo is None:
        return "VMCOREINFO could not be read: {0}".format(dump.unread.get("vmcoreinfo", "not seen"))
    return None


def foreign_reason(host: Host, nodename: str | None) -> tuple[bool | None, str | None]:
    """Whether a dump is of another machine than this one, by its host name; None with the reason."""
    if not nodename:
        return None, "the dump names no host"
    try:
        here = host.read_line("/proc/sys/kernel/hostname")
    except Unreadable as exc:
        return None, "the own host name: {0}".format(exc.reason)
    # A host may have been named in full or in short at the time.
    if nodename.split(".")[0].lower() == here.split(".")[0].lower():
        return False, None
    return True, "foreign: it is the memory of {0!r}".format(nodename)
