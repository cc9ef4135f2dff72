# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Opens a dump with the tools of the machine: the proof that it can be read later.

makedumpfile reads a flattened dump for nothing but `-R`, from standard input
(rearrange_dumpdata), so Debian's dumps are put together in a private directory
first (G11), which is removed again. Nothing else is written.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import signal
import stat
import tempfile
import time
import typing as t

from .._core import dmesg as dmesg_text
from .._core.dump import Dump, dump_facts
from .._core.dumpcheck import Expectation, unmet
from .._core.errors import ParseError
from .._core.text import clean, human_bytes
from .._host.base import Completed, Host, Unreadable
from .._host.crashes import collect_crash, collect_crashes, foreign_reason, read_dump_file

__all__ = ["Visit", "find_dump", "open_dump", "prove_dump"]

#: Called while the dump is open: a path that can be seeked in, and its kernel log where that was read.
Visit = t.Callable[[str, t.Optional[str]], None]

#: Left free beside what the opening needs: this is often the root filesystem.
_RESERVE = 128 * 1024 * 1024
_PREFIX = ".crashready-open-"
_STALE_S = 24 * 3600
_SLOWEST = 5 * 1024 * 1024  #: bytes a second of the slowest disk that is waited for
_DMESG_LIMIT = 16 * 1024 * 1024
_DECOMPRESS = {"gzip": "gzip", "bzip2": "bzip2", "xz": "xz", "lz4": "lz4", "zstd": "zstd"}

# Host.run gives a process no file as standard input, so a shell opens it: the script is fixed, and what
# differs comes as arguments. The limit (in blocks of 512 bytes) stops a hostile dump that says
# "1 TiB of zeros" before it fills the disk.
_FEED = 'ulimit -f "$1" || exit 126; in=$2; shift 2; exec "$@" < "$in"'
_FEED_TO = 'ulimit -f "$1" || exit 126; in=$2; out=$3; shift 3; exec "$@" < "$in" > "$out"'

_NOISE = re.compile(r"^(?:|The (?:dmesg log|dumpfile) is saved to .*|makedumpfile Completed\.)$")


class _NotOpenedError(Exception):
    """A step failed; the text is the problem to show."""


def open_dump(
    host: Host, path: str, workdir: str, markers: t.Sequence[str] = (), visit: Visit | None = None
) -> dict[str, t.Any]:
    """Open one dump file of the local machine, to the panic line in its kernel log.

    `workdir`: a directory with room for the dump reassembled; a private one is made in it and removed.
    `visit` is called before that, where the dump could be put together.
    Gives {file, opened, problems [text], dump (`dump_facts`) or null, dmesg {size_bytes, panic, causes,
    sysrq, version, markers {text: found}} or null, tool {version, warnings}, scratch_bytes, unread}.
    Never raises for what is wrong with the dump, the tools or the space: that is in `problems`.
    """
    result: dict[str, t.Any] = {
        "file": path,
        "opened": False,
        "problems": [],
        "dump": None,
        "dmesg": None,
        "tool": {"version": None, "warnings": []},
        "scratch_bytes": 0,
        "unread": {},
    }
    try:
        dump = _look(host, path, result)
        _tool_version(host, result)
        _with_scratch(host, path, dump, workdir, result, markers, visit)
    except _NotOpenedError as exc:
        result["problems"].append(str(exc))
    for key in ("dump", "dmesg"):
        if result[key] is None:
            result["unread"][key] = result["problems"][0] if result["problems"] else "not seen"
    result["opened"] = not result["problems"]
    return result


def find_dump(
    host: Host, path: str | None, folder: str, running_build_id: str | None
) -> tuple[str | None, dict[str, t.Any] | None, str | None]:
    """Find the dump file meant: (file, crash entry, problem).

    `path` is a dump file or a crash directory; None: the newest directory of `folder`.
    """
    try:
        if path is None:
            crashes = collect_crashes(host, folder, 1, running_build_id)
            if not crashes:
                return None, None, "no crash directory in {0}".format(folder)
            entry = crashes[0]
        elif host.lstat(path).kind == "directory":
            entry = collect_crash(host, path.rstrip("/") or "/", running_build_id)
        else:
            return path, None, None
    except Unreadable as exc:
        return None, None, "{0}: {1}".format(exc.path, exc.reason)
    if entry["dump"] is None:
        return None, entry, "{0}: {1}".format(entry["path"], entry["reason"])
    return entry["dump"]["path"], entry, None if entry["valid"] else entry["reason"]


def prove_dump(
    host: Host,
    path: str | None,
    folder: str,
    workdir: str | None,
    expected: Expectation,
    running_build_id: str | None,
) -> dict[str, t.Any]:
    """Find, open and compare: `open_dump`'s result with the crash entry under `crash`.

    `opened` is true only where the dump could be opened and is the panic that was expected.
    """
    file, entry, problem = find_dump(host, path, folder, running_build_id)
    if file is None:
        told = problem or "no dump file"
        return {
            "file": path,
            "opened": False,
            "problems": [told],
            "dump": None,
            "dmesg": None,
            "tool": {"version": None, "warnings": []},
            "scratch_bytes": 0,
            "crash": entry,
            "unread": {"dump": told, "dmesg": told},
        }
    if workdir is None:
        workdir = folder if host.exists(folder) else "/var/tmp"  # noqa: S108 - a private directory is made in it
    markers = (expected.marker,) if expected.marker is not None else ()
    result = open_dump(host, file, workdir, markers)
    if entry is not None:
        result["problems"] += _entry_problems(host, entry, problem, result)
    if result["dump"] is not None:
        result["problems"] += unmet(result["dump"], result["dmesg"], expected)
    result["opened"] = not result["problems"]
    result["crash"] = entry
    return result


def _entry_problems(
    host: Host, entry: t.Mapping[str, t.Any], problem: str | None, result: t.Mapping[str, t.Any]
) -> list[str]:
    """What is wrong with the crash entry and was not told, or refuted, by the opening."""
    found = []
    if problem is not None and problem != entry["dump"]["complete_reason"]:
        found.append(problem)
    utsname = (result["dump"] or {}).get("utsname")
    foreign, reason = foreign_reason(host, utsname["nodename"] if utsname is not None else None)
    if foreign and reason is not None:
        found.append(reason)  # a compressed dump names its host only now
    return [text for text in dict.fromkeys(found) if text not in result["problems"]]


def _look(host: Host, path: str, result: dict[str, t.Any]) -> Dump:
    """Read the head, and walk all records of a flattened dump.

    That comes before any tool: `makedumpfile -R` waits ten minutes at the end of
    a truncated one (TIMEOUT_STDIN) before it says so.
    """
    try:
        status = host.lstat(path)
        if status.kind != "file":
            raise _NotOpenedError("{0} is not a plain file".format(path))
        dump = read_dump_file(host, path, status.size, thorough=True)
    except Unreadable as exc:
        raise _NotOpenedError("{0}: {1}".format(path, exc.reason)) from exc
    except ParseError as exc:
        raise _NotOpenedError("{0}: {1}".format(path, exc)) from exc
    result["dump"] = dump_facts(dump)
    if dump.complete is False or dump.format in ("empty", "lkcd", "unknown"):
        raise _NotOpenedError(dump.complete_reason or "the format {0} is not opened".format(dump.format))
    if dump.complete is None and dump.compression is None:
        raise _NotOpenedError("not known whether it is complete: {0}".format(dump.complete_reason))
    return dump


def _tool_version(host: Host, result: dict[str, t.Any]) -> None:
    try:
        done = host.run(["makedumpfile", "-v"])
    except Unreadable as exc:
        result["unread"]["tool"] = exc.reason
        if exc.reason == "not found":
            raise _NotOpenedError("makedumpfile is not installed (apt-get install makedumpfile)") from exc
        raise _NotOpenedError("makedumpfile: {0}".format(exc.reason)) from exc
    match = re.search(r"version (\d[\w.]{0,20})", done.out + done.err)
    if match is None:
        result["unread"]["tool"] = "it does not tell its version"
    else:
        result["tool"]["version"] = match.group(1)


def _with_scratch(
    host: Host,
    path: str,
    dump: Dump,
    workdir: str,
    result: dict[str, t.Any],
    markers: t.Sequence[str],
    visit: Visit | None,
) -> None:
    budget = _budget(host, dump, workdir)
    try:
        _remove_stale(workdir)
        private = tempfile.mkdtemp(prefix=_PREFIX, dir=workdir)  # 0700
    except OSError as exc:
        raise _NotOpenedError("no private directory in {0}: {1}".format(workdir, exc.strerror)) from exc
    try:
        core = _readable_core(host, path, dump, private, budget, result)
        logs: list[str] = []
        try:
            _read_log(host, core, private, budget, result, markers, logs)
        finally:
            if visit is not None:
                visit(core, logs[0] if logs else None)
    finally:
        result["scratch_bytes"] = _used(private)
        shutil.rmtree(private, ignore_errors=True)


def _budget(host: Host, dump: Dump, workdir: str) -> int:
    """Bytes that may be written, checked against what is needed at least."""
    need = _DMESG_LIMIT
    if dump.compression is not None:
        need += 2 * dump.size_bytes  # the pages in it are compressed already: it hardly grows
    elif dump.flattened:
        need += max(dump.reassembled_bytes or 0, dump.size_bytes)
    try:
        free = host.space(workdir).free - _RESERVE
    except Unreadable as exc:
        raise _NotOpenedError("free space of {0}: {1}".format(workdir, exc.reason)) from exc
    if free < need:
        told = "no room to open it in {0}: {1} needed, {2} free beside a reserve of {3}"
        raise _NotOpenedError(told.format(workdir, human_bytes(need), human_bytes(max(0, free)), human_bytes(_RESERVE)))
    return free


def _readable_core(host: Host, path: str, dump: Dump, private: str, budget: int, result: dict[str, t.Any]) -> str:
    """A file that makedumpfile can seek in: the dump itself, or a copy decompressed and reassembled."""
    if dump.compression is not None:
        plain = posixpath.join(private, "plain")
        tool = _DECOMPRESS[dump.compression]
        _run(host, _feed_to(budget, path, plain, [tool, "-dc"]), dump.size_bytes * 4, tool)
        path, dump = plain, _look(host, plain, result)
        result["dump"]["compression"] = tool
        if dump.compression is not None:
            raise _NotOpenedError("compressed twice: {0} inside {1}".format(dump.compression, tool))
        budget -= dump.size_bytes
    if not dump.flattened:
        return path
    core = posixpath.join(private, "core")
    _run(host, _feed(budget, path, ["makedumpfile", "-R", core]), dump.size_bytes, "makedumpfile -R")
    kept = result["dump"]
    inner = _look(host, core, result)
    result["dump"] = kept
    if inner.format != dump.format or inner.vmcoreinfo != dump.vmcoreinfo:
        raise _NotOpenedError("makedumpfile -R made another dump of it than its records tell")
    return core


def _read_log(
    host: Host,
    core: str,
    private: str,
    budget: int,
    result: dict[str, t.Any],
    markers: t.Sequence[str],
    logs: list[str],
) -> None:
    log = posixpath.join(private, "dmesg")
    limit = min(budget, 4 * _DMESG_LIMIT)
    argv = _feed(limit, "/dev/null", ["makedumpfile", "--dump-dmesg", core, log])
    done = _run(host, argv, 0, "makedumpfile --dump-dmesg")
    lines = [clean(line) for line in (done.out + "\n" + done.err).splitlines()]
    result["tool"]["warnings"] = [line for line in lines if not _NOISE.match(line)][:20]
    try:
        size = host.lstat(log).size
        raw = host.read_bytes(log, _DMESG_LIMIT, max(0, size - _DMESG_LIMIT))
    except Unreadable as exc:
        raise _NotOpenedError("makedumpfile --dump-dmesg wrote no log: {0}".format(exc.reason)) from exc
    logs.append(raw.decode("utf-8", "replace"))
    summary = dmesg_text.summarise(logs[0], markers)
    result["dmesg"] = dict(summary._asdict(), causes=list(summary.causes), size_bytes=size)
    if summary.panic is None:
        raise _NotOpenedError("its kernel log ({0} bytes) has no panic line".format(size))


def _feed(budget: int, source: str, argv: t.Sequence[str]) -> list[str]:
    return ["sh", "-c", _FEED, "sh", str(budget // 512), source, *argv]


def _feed_to(budget: int, source: str, target: str, argv: t.Sequence[str]) -> list[str]:
    return ["sh", "-c", _FEED_TO, "sh", str(budget // 512), source, target, *argv]


def _run(host: Host, argv: t.Sequence[str], size: int, name: str) -> Completed:
    try:
        done = host.run(argv, timeout_s=120 + size / _SLOWEST)
    except Unreadable as exc:
        raise _NotOpenedError("{0}: {1}".format(name, exc.reason)) from exc
    if done.rc != 0:
        lines = [clean(line) for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
        told = "; ".join(line for line in lines if not line.startswith("makedumpfile Failed"))
        if done.rc in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ):
            told = "it wants to write more than there is room for"
        raise _NotOpenedError("{0} ended with {1}: {2}".format(name, done.rc, clean(told, 400) or "no message"))
    return done


def _used(private: str) -> int:
    total = 0
    with os.scandir(private) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_size
    return total


def _remove_stale(workdir: str) -> None:
    """What an opening left that was killed: as large as a dump, and secret."""
    now = time.time()
    with os.scandir(workdir) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX):
                continue
            found = entry.stat(follow_symlinks=False)
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if mine and now - found.st_mtime > _STALE_S:
                shutil.rmtree(entry.path, ignore_errors=True)
