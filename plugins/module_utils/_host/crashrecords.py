# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The crash records that a triage on the host left: one JSON file a crash, root's alone."""

from __future__ import annotations

import json
import re
import typing as t

from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["FOLDER", "brief", "collect_records", "record_name", "with_records"]

FOLDER = "/var/lib/crashready/crashes"

#: A record with 64 frames and a list of 300 modules has some 20 kB.
_FILE_LIMIT = 1024 * 1024
_FILES_LIMIT = 1000
#: Records without a folder that facts show.
_ALONE_LIMIT = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}\.json")

#: What facts carry of a record; the whole one is fetched where it is wanted.
_BRIEF = (
    *("schema", "kind", "function", "module", "path", "driver", "confidence", "kernel", "signature"),
    *("event", "crashed_at", "host", "cause_line"),
)


def record_name(source: str) -> str:
    """The file of a crash's record, by the name of its folder or pstore group."""
    return re.sub(r"[^A-Za-z0-9._:-]", "_", source).lstrip("._-:")[:180] + ".json"


def brief(record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The fields of a record that facts carry, texts cleaned: the file may be anybody's."""
    return {key: _cleaned(record.get(key)) for key in _BRIEF}


def _cleaned(value: t.Any, depth: int = 0) -> t.Any:
    if isinstance(value, str):
        return clean(value, 400)
    if isinstance(value, dict) and depth < 2:
        return {clean(str(key), 40): _cleaned(each, depth + 1) for key, each in list(value.items())[:20]}
    return value if value is None or isinstance(value, (bool, int, float)) else None


def collect_records(host: Host, folder: str = FOLDER) -> dict[str, dict[str, t.Any]]:
    """Every record by the name of its file, whole. What cannot be read as one has {"unreadable": reason} alone.

    Raises Unreadable where the folder is there and cannot be listed (not root); {} where it is not there.
    """
    try:
        names = [name for name in host.listdir(folder) if _NAME.fullmatch(name)][:_FILES_LIMIT]
    except Unreadable as exc:
        if exc.reason == "not found":
            return {}
        raise
    return {name: _read(host, folder + "/" + name) for name in names}


def _read(host: Host, path: str) -> dict[str, t.Any]:
    try:
        value = json.loads(host.read_bytes(path, _FILE_LIMIT).decode("utf-8", "replace"))
    except Unreadable as exc:
        return {"unreadable": exc.reason}
    except (ValueError, RecursionError):
        return {"unreadable": "not a record: no JSON"}
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return {"unreadable": "not a record: no kind"}
    return value


def with_records(host: Host, crashes: list[dict[str, t.Any]], folder: str = FOLDER) -> list[dict[str, t.Any]]:
    """The crash folders as `crashes.collect_crashes` gives them, each with its `record` (`brief`) or null.

    A record whose folder is gone (retention, or a crash that pstore alone kept) comes as an entry of
    its own: not valid, since there is no dump.
    """
    try:
        records = collect_records(host, folder)
        missing = "no triage has read it"
    except Unreadable as exc:
        records, missing = {}, exc.reason
    for crash in crashes:
        record = records.pop(record_name(crash["path"].rsplit("/", 1)[-1]), None)
        reason = missing if record is None else record.get("unreadable")
        crash["record"] = None if reason is not None else brief(record or {})
        if reason is not None:
            crash["unread"]["record"] = clean(str(reason))
    alone = [
        _alone(folder + "/" + name, record) for name, record in sorted(records.items()) if "unreadable" not in record
    ]
    return crashes + alone[-_ALONE_LIMIT:]


def _alone(path: str, record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    shown = brief(record)
    told = "only its record is kept"
    return {
        "path": path,
        "stamp": None,
        "host": shown["host"],
        "mode": None,
        "uid": None,
        "files": [],
        "dump": None,
        "dmesg": None,
        "valid": False,
        "reason": told,
        "of_running_kernel": None,
        "foreign": None,
        "exposed": [],
        "record": shown,
        "unread": dict.fromkeys(("stamp", "mode", "uid", "dump", "dmesg", "of_running_kernel", "foreign"), told),
    }
