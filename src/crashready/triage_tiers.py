# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From the files of one crash to its record, one tier after the other. What a tier cannot do, it says.

text: the kernel log at hand, with Python's standard library alone. dmesg: the log out of the dump,
by makedumpfile. drgn: the dump itself with debug symbols, by drgn or `crash`. A tier that fails
leaves what the ones below found.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
import typing as t

from ._change.opendump import open_dump
from ._core.errors import ParseError
from ._core.oops import CrashRecord, Tables
from ._core.text import clean, human_bytes
from ._host.base import Host, Unreadable
from ._host.crashlogs import CrashSource, log_chunks, read_source
from ._host.local import LocalHost

__all__ = ["TIERS", "Crash", "Options", "read_crash", "say", "stdin_source"]

TIERS = ("text", "dmesg", "drgn")
_PROGRESS_S = 15.0
_STDIN_CHUNK = 256 * 1024


@dataclasses.dataclass(frozen=True)
class Options:
    """What the person asked for."""

    tier: str = "drgn"  #: the highest that may run
    symbols: str = "auto"  #: "auto", "never", a folder or a package
    scratch: str | None = None


@dataclasses.dataclass
class Crash:
    """A crash as far as it was read. `record` is the published object, without what the rack adds."""

    source: CrashSource
    record: dict[str, t.Any]
    event: str
    tiers: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    vmcore: dict[str, t.Any] | None = None

    @property
    def found(self) -> bool:
        """Whether there is a crash in it."""
        return bool(self.record["kind"] != "unknown")

    def tier(self, name: str, reason: str | None) -> None:
        """Note that a tier ran, or why it did not."""
        self.tiers.append({"name": name, "ran": reason is None, "reason": reason})


def say(text: str) -> None:
    """A line for the person who waits; standard output belongs to the result."""
    print("crashready: {0}".format(text), file=sys.stderr, flush=True)


class _Log(t.NamedTuple):
    """A log that was read: the record and its event."""

    record: CrashRecord
    event: str


def read_crash(source: CrashSource, tables: Tables, options: Options, host: Host | None = None) -> Crash:
    """Read one crash by every tier that is allowed and needed. Never raises for what the files hold."""
    work = _Work(source, tables, options, host or LocalHost())
    work.text()
    if options.tier != "text":
        work.dump()
    return work.crash()


def stdin_source(tables: Tables) -> Crash:
    """The log on standard input, read as it comes."""
    source = CrashSource("-", "stdin", "-")
    head = sys.stdin.buffer.read(16)
    if head.startswith((b"KDUMP   ", b"makedumpfile\0", b"\x7fELF")):
        raise ParseError("standard input is a memory dump: it cannot be seeked in. Save it to a file and name that")
    record, event = read_source(source, tables, _stdin_chunks(head))
    crash = Crash(source, record.to_dict(), event)
    crash.tier("text", None)
    crash.tier("dmesg", "standard input is a text")
    crash.tier("drgn", "standard input is a text")
    return crash


def _stdin_chunks(head: bytes) -> t.Iterator[bytes]:
    yield head
    while True:
        chunk = sys.stdin.buffer.read(_STDIN_CHUNK)
        if not chunk:
            return
        yield chunk


class _Work:
    """The tiers of one crash."""

    def __init__(self, source: CrashSource, tables: Tables, options: Options, host: Host) -> None:
        self._source = source
        self._tables = tables
        self._options = options
        self._host = host
        self._best: _Log | None = None
        self._reasons: dict[str, str | None] = {}
        self._vmcore: dict[str, t.Any] | None = None
        self._unread = dict(source.unread)

    # --- text

    def text(self) -> None:
        """The log files."""
        if not self._source.logs:
            self._reasons["text"] = "no kernel log beside the dump"
            return
        self._reasons["text"] = self._read(log_chunks(self._host, self._source.logs, self._unread))

    def _read(self, chunks: t.Iterable[bytes]) -> str | None:
        try:
            record, event = read_source(self._source, self._tables, chunks)
        except (ParseError, Unreadable) as exc:
            return clean(str(exc), 400)
        self._take(_Log(record, event))
        return None

    def _take(self, log: _Log) -> None:
        """Keep the better one of two copies of the same log."""
        if self._best is None or _worth(log) > _worth(self._best):
            self._best = log

    # --- the dump

    def dump(self) -> None:
        """The log out of the dump where the texts do not say it all, and the dump itself."""
        path = self._source.dump
        if path is None:
            self._skip("no memory dump beside the log")
            return
        if self._source.head is None:
            self._skip(dict(self._source.unread).get("dump", "the dump could not be read"))
            return
        packed = self._source.head.compression is not None
        enough = self._best is not None and _worth(self._best) == (True, True)
        if enough and not packed:
            self._reasons["dmesg"] = "not needed: the log beside the dump is whole"
            self._drgn(path)
            return
        self._open(path)

    def _skip(self, reason: str) -> None:
        for name in ("dmesg", "drgn"):
            self._reasons.setdefault(name, reason)

    def _open(self, path: str) -> None:
        """makedumpfile, in a private folder that is removed again; drgn reads what was put together there."""
        visited: list[str] = []

        def visit(core: str, log: str | None) -> None:
            visited.append(core)
            if log is not None:
                self._reasons["dmesg"] = self._read([log.encode("utf-8", "surrogatepass")])
            self._drgn(core)

        result = open_dump(self._host, path, self._options.scratch or _scratch(), (), visit)
        if self._reasons.get("dmesg", "") is not None:
            told = "; ".join(result["problems"]) or "makedumpfile gave no log"
            self._reasons["dmesg"] = clean(told, 400)
        if not visited:
            # drgn needs no makedumpfile, and opens some dumps that it cannot.
            if self._source.head is not None and self._source.head.compression is None:
                self._drgn(path)
            else:
                self._reasons.setdefault("drgn", "the dump could not be unpacked: {0}".format(self._reasons["dmesg"]))

    def _drgn(self, core: str) -> None:
        if self._options.tier != "drgn":
            return
        head = self._source.head
        record = self._best.record if self._best is not None else None
        found, reason = _read_vmcore(core, head, record, self._options)
        self._reasons["drgn"] = reason
        if found is None:
            return
        log = found.pop("dmesg", None)
        if isinstance(log, str) and (self._best is None or self._best.record.kind == "unknown"):
            self._read([log.encode("utf-8", "surrogatepass")])
        self._vmcore = found

    def crash(self) -> Crash:
        """What came of it."""
        if self._best is None:
            record, event = read_source(self._source, self._tables, [])
            self._best = _Log(record, event)
        source = self._source._replace(unread=tuple(self._unread.items()))
        crash = Crash(source, self._best.record.to_dict(), self._best.event, vmcore=self._vmcore)
        for name in TIERS:
            allowed = TIERS.index(name) <= TIERS.index(self._options.tier)
            crash.tier(
                name, self._reasons.get(name) if allowed else "not asked for (--tier {0})".format(self._options.tier)
            )
        return crash


def _worth(log: _Log) -> tuple[bool, bool]:
    """Whether there is a crash in it, and whether the log of it is whole."""
    return log.record.kind != "unknown", bool(log.record.source.get("complete"))


def _scratch() -> str:
    """Not /tmp by itself: it is often memory, and a dump is often larger than that."""
    return os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir())  # noqa: S108


def _read_vmcore(
    core: str, head: t.Any, record: CrashRecord | None, options: Options
) -> tuple[dict[str, t.Any] | None, str | None]:
    """(what the dump tells, None), or (None, why nothing)."""
    if options.symbols == "never":
        return None, "no debug symbols are wanted (--symbols never)"
    if sys.version_info < (3, 11):
        return None, "needs crashready's own environment: ./crashready setup"
    from .vmcore import stacks, symbols

    reader = stacks.reader_at_hand()
    if reader is None:
        return None, "neither drgn (pip install 'crashready[symbols]') nor crash (apt-get install crash) is installed"
    info = head.vmcoreinfo
    if info is None or info.build_id is None:
        return None, "the dump names no build id, so that its debug symbols cannot be found"
    kernel = symbols.Kernel(
        info.build_id,
        head.release,
        record.kernel.get("package_version") if record is not None else None,
        head.machine or "x86_64",
    )
    wanted = _modules_of(record)
    progress = _Progress()
    try:
        found = symbols.find_symbols(kernel, wanted, options.symbols, progress)
        if reader == "crash":
            return dict(stacks.by_crash(core, found), reader="crash", symbols=found.origin), None
        result = stacks.by_drgn(core, found, wanted, want_log=record is None)
        missing = {
            each["name"]: each["build_id"] for each in result["modules"] if not each["symbols"] and each["build_id"]
        }
        if options.symbols == "auto" and missing and symbols.add_modules(kernel, found, missing, progress):
            result = stacks.by_drgn(core, found, wanted, want_log=record is None)
    except symbols.NoSymbols as exc:
        return None, clean("no debug symbols: {0}".format(exc), 600)
    except stacks.NotRead as exc:
        return None, clean(str(exc), 400)
    finally:
        progress.end()
    return dict(result, reader="drgn", symbols=found.origin), None


def _modules_of(record: CrashRecord | None) -> list[str]:
    """The modules in the trace, and the driver."""
    if record is None:
        return []
    names = [frame.get("module") for frame in record.frames] + [record.module, record.driver, record.context_driver]
    return sorted({str(name).replace("-", "_") for name in names if name})


class _Progress:
    """Says how far a download is: on a terminal in place, else a line now and then."""

    def __init__(self) -> None:
        self._last = 0.0
        self._open = False
        self._terminal = sys.stderr.isatty()
        self._said = ""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if what != self._said:
            self.end()
            self._said = what
            say("fetching {0}{1}".format(what, " ({0})".format(human_bytes(total)) if total else ""))
            self._last = now
        if now - self._last < (0.5 if self._terminal else _PROGRESS_S):
            return
        self._last = now
        text = "  {0} of {1}".format(human_bytes(done), human_bytes(total) if total else "?")
        self._open = self._terminal
        print(
            "\r" + text.ljust(40) if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        """Leave the line."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False
