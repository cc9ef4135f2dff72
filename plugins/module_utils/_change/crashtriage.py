# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The triage on the host that crashed: logs read, records left, dumps of the same crash thinned out.

Tier 1 alone: the logs beside the dumps and in pstore, and the log out of a dump where there is no
other. No debug symbols, nothing fetched.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import stat
import typing as t

from .._core.errors import ParseError
from .._core.oops import Tables
from .._core.plan import Change, as_diff, as_results
from .._core.retention import Kept, removable
from .._core.text import clean
from .._host.base import Host, Unreadable
from .._host.crashes import is_crash_name
from .._host.crashlogs import CrashSource, find_sources, log_chunks, read_source
from .._host.crashrecords import FOLDER, collect_records, record_name
from .files import Stopped, write_file
from .opendump import open_dump

__all__ = ["PSTORE", "WHICH", "Wanted", "triage_host"]

#: systemd-pstore moves what the firmware kept; without it the records stay in the kernel's own folder.
PSTORE = ("/var/lib/systemd/pstore", "/sys/fs/pstore")
WHICH = ("unread", "newest", "all")


class Wanted(t.NamedTuple):
    """What is asked of one run."""

    folder: str = "/var/crash"
    path: str | None = None  #: this file or folder instead of the ones above
    which: str = "unread"
    records: str = FOLDER
    keep_record: bool = True  #: write the record; else only return it
    thin_out: bool = False  #: remove what `retention.removable` names


def triage_host(host: Host, wanted: Wanted, tables: Tables, check_mode: bool = False) -> dict[str, t.Any]:
    """Read the crashes, write their records, thin out. Raises Stopped where a change fails.

    Gives {changed, changes, diff, records [whole, of this run], files [{path, kind, size_bytes}] of them
    that are there afterwards, known (how many were read before), removed [folders], unread {path: reason}}.
    """
    unread: dict[str, str] = {}
    known = _known(host, wanted, unread)
    sources = _sources(host, wanted, unread)
    todo = _chosen(sources, known, wanted.which)
    read = [(source, _triage(host, source, tables)) for source in todo]
    changes = [
        change
        for change in (_record_change(wanted, source, record, known) for source, record in read if wanted.keep_record)
        if change is not None
    ]
    every = dict(known)
    every.update({record_name(source.name): record for source, record in read})
    if wanted.thin_out:
        changes += _removals(host, wanted, sources, every)
    if not check_mode:
        for change in changes:
            _apply(change)
    removed = [change.target for change in changes if change.kind == "crash folder"]
    return {
        "changed": bool(changes),
        "changes": as_results(changes),
        "diff": as_diff(changes),
        "records": [record for _source, record in read],
        "files": _files(host, changes, [source for source, _record in read if source.path not in removed]),
        "known": len(known),
        "removed": removed,
        "unread": unread,
    }


def _files(host: Host, changes: t.Sequence[Change], sources: t.Sequence[CrashSource]) -> list[dict[str, t.Any]]:
    """What may be fetched: records written now, logs, dumps."""
    found = [
        {"path": change.target, "kind": "record", "size_bytes": len(change.data["text"])}
        for change in changes
        if change.kind == "crash record"
    ]
    for source in sources:
        kinds = [(path, "dmesg") for path in source.logs] + ([(source.dump, "dump")] if source.dump else [])
        for path, kind in kinds:
            try:
                found.append({"path": path, "kind": kind, "size_bytes": host.lstat(path).size})
            except Unreadable:
                continue  # gone since it was read
    return found


def _known(host: Host, wanted: Wanted, unread: dict[str, str]) -> dict[str, dict[str, t.Any]]:
    try:
        found = collect_records(host, wanted.records)
    except Unreadable as exc:
        unread[wanted.records] = exc.reason
        return {}
    for name, record in found.items():
        if "unreadable" in record:
            unread[wanted.records + "/" + name] = str(record["unreadable"])
    return {name: record for name, record in found.items() if "unreadable" not in record}


def _sources(host: Host, wanted: Wanted, unread: dict[str, str]) -> list[CrashSource]:
    places = (wanted.folder, *PSTORE) if wanted.path is None else (wanted.path,)
    found: list[CrashSource] = []
    for place in places:
        try:
            found += find_sources(host, place)
        except Unreadable as exc:
            if wanted.path is not None or exc.reason != "not found":
                unread[place] = exc.reason
        except ParseError as exc:
            # An empty crash folder is how it should be.
            if wanted.path is not None:
                unread[place] = str(exc)
    return found


def _chosen(sources: t.Sequence[CrashSource], known: t.Container[str], which: str) -> list[CrashSource]:
    if which == "newest":
        return [max(sources, key=lambda source: (source.crashed_at or 0, source.name))] if sources else []
    return [source for source in sources if which == "all" or record_name(source.name) not in known]


def _triage(host: Host, source: CrashSource, tables: Tables) -> dict[str, t.Any]:
    """One record, as it is published, with what only the host knows of it."""
    reasons: dict[str, str] = dict(source.unread)
    found = None
    if source.logs:
        try:
            found = read_source(source, tables, log_chunks(host, source.logs, reasons))
        except (ParseError, Unreadable) as exc:
            reasons["log"] = clean(str(exc), 400)
    if source.dump is not None and (found is None or found[0].kind == "unknown"):
        log, told = _log_of_dump(host, source.dump)
        if log is not None:
            found = read_source(source, tables, [log.encode("utf-8", "surrogatepass")])
        else:
            reasons["dump"] = told
    if found is None:
        found = read_source(source, tables, [])
    record, event = found
    crashed_at = None
    if source.crashed_at is not None:
        crashed_at = dt.datetime.fromtimestamp(source.crashed_at, dt.timezone.utc).isoformat()
    return {
        **record.to_dict(),
        "host": source.host or _own_name(host),
        "crashed_at": crashed_at,
        "crashed_at_from": source.crashed_at_from,
        "event": event,
        "path_of_crash": clean(source.path, 4096),
        "dump": source.dump,
        "logs": list(source.logs),
        "files_unread": reasons,
    }


def _log_of_dump(host: Host, path: str) -> tuple[str | None, str]:
    logs: list[str] = []

    def visit(_core: str, log: str | None) -> None:
        if log is not None:
            logs.append(log)

    result = open_dump(host, path, "/var/tmp", (), visit)  # noqa: S108 - a private directory is made in it
    return (logs[0], "") if logs else (None, clean("; ".join(result["problems"]), 400) or "no log in it")


def _own_name(host: Host) -> str | None:
    try:
        return clean(host.read_line("/proc/sys/kernel/hostname"), 255) or None
    except Unreadable:
        return None


def _text(record: t.Mapping[str, t.Any]) -> str:
    return json.dumps(record, sort_keys=True, indent=1, ensure_ascii=True) + "\n"


def _says(record: t.Mapping[str, t.Any]) -> str:
    signature = record.get("signature") or {}
    words = [str(record.get(key)) for key in ("kind", "path", "driver") if record.get(key) is not None]
    return clean("{0} ({1})".format(" ".join(words), signature.get("exact") or "no signature"), 200)


def _record_change(
    wanted: Wanted, source: CrashSource, record: t.Mapping[str, t.Any], known: t.Mapping[str, t.Mapping[str, t.Any]]
) -> Change | None:
    name = record_name(source.name)
    before = known.get(name)
    if before is not None and dict(before) == dict(record):
        return None
    path = "{0}/{1}".format(wanted.records, name)
    why = "the crash {0} has no record yet".format(source.name) if before is None else "the crash is read anew"
    shown = None if before is None else _says(before)
    return Change("crash record", path, shown, _says(record), clean(why, 300), {"text": _text(record)})


def _removals(
    host: Host, wanted: Wanted, sources: t.Sequence[CrashSource], records: t.Mapping[str, t.Mapping[str, t.Any]]
) -> list[Change]:
    """Folders of kdump-tools directly in the crash folder, whose record is kept, and no others."""
    folder = host.realpath(wanted.folder)
    kept = []
    for source in sources:
        record = records.get(record_name(source.name))
        if source.kind != "kdump" or record is None or source.path.rsplit("/", 1)[0] != folder:
            continue
        exact = (record.get("signature") or {}).get("exact")
        kept.append(Kept(source.path, exact, source.name[-12:]))
    why = "the first and the last crash of this signature are kept, and the record of this one"
    return [
        Change("crash folder", crash.path, "signature {0}".format(crash.signature), None, why)
        for crash in removable(kept)
    ]


def _apply(change: Change) -> None:
    try:
        if change.kind == "crash record":
            folder = os.path.dirname(change.target)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.chmod(folder, 0o700)
            write_file(change.target, change.data["text"].encode("ascii"), 0o600)
        else:
            _remove_folder(change.target)
    except OSError as exc:
        what = "writing" if change.kind == "crash record" else "removing"
        raise Stopped(
            "{0} {1}".format(what, change.target), str(exc), "look at the filesystem with df and mount, run again"
        ) from exc


def _remove_folder(path: str) -> None:
    status = os.lstat(path)
    if not is_crash_name(os.path.basename(path)) or not stat.S_ISDIR(status.st_mode):
        raise OSError("not a folder of kdump-tools")
    shutil.rmtree(path)
