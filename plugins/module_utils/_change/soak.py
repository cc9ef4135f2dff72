# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One side of a soak on its host: keeps iperf3 at work, samples the host, keeps the record, stops where it does damage.

systemd starts it, detached from whoever asked for it. It lives in a zip beside the parts of this package that it
needs. The record is whole on disk after every sample, so that a panic leaves the last one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import typing as t

from .._core import soakprofile, soakrecord
from .._core.errors import CoreError
from .._core.soak import Plan, parse_plan
from .._core.soakprofile import Piece
from .._core.soakwatch import Verdict, Watch
from .._core.text import clean
from .._host.base import Host, Unreadable
from .._host.local import LocalHost
from .._host.soak import nic_bytes, see_sample
from .files import write_file

__all__ = ["Child", "Client", "Server", "main", "run"]

_LOCKS = "/run/crashready-soak"
_PLAN_LIMIT = 512 * 1024
_OUTPUT_LIMIT = 4 * 1024 * 1024
#: How long the first packet may take: the other side is started after this one, by a controller that may be slow.
_WAITS_S = 300.0
#: The client ends by itself; one that does not after this much more hangs.
_HANGS_S = 45.0
#: Between two tries to reach a peer, and two starts of a server that ends.
_RETRY_S = 2.0
#: A server that ends so often without any traffic will not come up.
_STARTS_MAX = 5
_TICK_S = 0.25
#: The share of what iperf3 says to have moved that the NIC itself has to have counted; headers come on top of it.
_SHARE_LEAST = 0.5
#: Below this the counters of a NIC, which some drivers renew once a second or two, say nothing.
_SURE_BYTES = 10_000_000

#: Bytes that the NIC has counted, in and out; None where that cannot be read.
Counted = t.Callable[[], t.Optional[int]]


class Child:
    """An iperf3 that runs; what it prints is kept within bounds and read without waiting for it."""

    def __init__(self, argv: t.Sequence[str]) -> None:
        self._output = bytearray()
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        self._drain()
        code = self._process.poll()
        if code is not None:
            self._drain()
        return code

    def _drain(self) -> None:
        """Read what is there; of more than the limit the first part goes, since the end tells what went wrong."""
        pipe = self._process.stdout
        if pipe is None or pipe.closed:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    pipe.close()
                    return
                self._output += chunk
                del self._output[:-_OUTPUT_LIMIT]

    def text(self) -> str:
        """What it printed."""
        return bytes(self._output).decode("utf-8", "replace")

    def stop(self) -> None:
        """End it, by force where it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _said(text: str) -> tuple[str | None, int]:
    """(error, bytes moved in both directions) of what iperf3 printed as JSON."""
    try:
        found = json.loads(text)
        error, end = found.get("error"), found.get("end") or {}
        moved = 0
        for name in ("sum_sent", "sum_sent_bidir_reverse"):
            count = (end.get(name) or {}).get("bytes")
            moved += count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0
    except (ValueError, AttributeError, RecursionError):
        return clean(text[-300:], 300) or "iperf3 said nothing", 0
    return (clean(str(error), 300) if error else None), moved


class Server:
    """Keeps a server up: whoever listens there no more is started again."""

    def __init__(self, plan: Plan, start: t.Callable[[t.Sequence[str]], Child]) -> None:
        record = plan.record
        self._argv = soakprofile.server_argv(record["profile"], record["nic"], record["address"])
        self._start, self._next_s, self._starts = start, 0.0, 0
        self._child: Child | None = None
        self.last_error: str | None = None

    def tend(self, now_s: float, watch: Watch, _counted: Counted) -> Verdict | None:
        """Look after it."""
        if watch.flows:
            self._starts = 0
        if self._child is not None:
            if self._child.ended() is None:
                return None
            self.last_error, _moved = _said(self._child.text())
            self._child.stop()
            self._child, self._next_s = None, now_s + _RETRY_S
            if self._starts >= _STARTS_MAX:
                told = "iperf3 does not stay up as a server: {0}"
                return Verdict("failed", told.format(self.last_error or "it says no reason"))
        if now_s >= self._next_s:
            self._starts += 1
            self._child = self._start(self._argv)
        return None

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()


class Client:
    """Sends piece after piece; a peer that does not answer is tried again until the patience of the watch ends."""

    def __init__(self, plan: Plan, start: t.Callable[[t.Sequence[str]], Child]) -> None:
        self._plan, self._start = plan, start
        self._child: Child | None = None
        self._piece = Piece(1, None, 0)
        self._next_s = self._kill_s = 0.0
        self._counted_before: int | None = None
        self._patience_until_s: float | None = None
        self.last_error: str | None = None
        self._beside = 0

    def tend(self, now_s: float, watch: Watch, counted: Counted) -> Verdict | None:
        """Look after the piece that runs, or begin the next."""
        if watch.flows:
            self._patience_until_s = None
        if self._child is None:
            if now_s >= self._next_s:
                self._begin(now_s, watch, counted())
            return None
        code = self._child.ended()
        if code is None:
            if now_s < self._kill_s:
                return None
            self._child.stop()
        error, moved = _said(self._child.text())
        self._child.stop()
        self._child = None
        if code != 0 or error:
            self._next_s = now_s + _RETRY_S
            self.last_error = error or "it hung"
            return self._failed(now_s, self.last_error)
        self._next_s, self._patience_until_s, self.last_error = now_s + self._piece.pause_s, None, None
        return self._compare(moved, counted())

    def _begin(self, now_s: float, watch: Watch, counted: int | None) -> None:
        record = self._plan.record
        elapsed_s = watch.elapsed_s(now_s)
        self._piece = soakprofile.next_piece(record["profile"], elapsed_s, record["planned_s"], self._plan.speed_mbps)
        self._counted_before = counted
        self._kill_s = now_s + self._piece.seconds + _HANGS_S
        self._child = self._start(
            soakprofile.client_argv(
                record["profile"], record["nic"], record["address"], record["peer_address"], self._piece
            )
        )

    def _failed(self, now_s: float, error: str) -> Verdict | None:
        patience_s = self._plan.record["profile"]["patience_s"]
        if self._patience_until_s is None:
            self._patience_until_s = now_s + patience_s
        if now_s < self._patience_until_s:
            return None
        told = "{0} ({1}) could not be reached for {2} s: {3}"
        record = self._plan.record
        return Verdict("failed", told.format(record["peer"], record["peer_address"], patience_s, error))

    def _compare(self, said_bytes: int, counted: int | None) -> Verdict | None:
        """The counters of the NIC have the last word on where the traffic went. Twice in a row: they may lag."""
        if counted is None or self._counted_before is None or counted < self._counted_before:
            return None  # unreadable, or set to zero in between: nothing to compare
        counted_bytes = counted - self._counted_before
        beside = said_bytes >= _SURE_BYTES and counted_bytes < said_bytes * _SHARE_LEAST
        self._beside = self._beside + 1 if beside else 0
        if self._beside < 2:
            return None
        told = "the traffic does not go over {0}: iperf3 moved {1} bytes, and the NIC counted {2}"
        return Verdict("failed", told.format(self._plan.record["nic"], said_bytes, counted_bytes))

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()


class _Keeper:
    """Writes the record: whole, and on the disk itself."""

    def __init__(self, path: str, record: dict[str, t.Any]) -> None:
        self._path, self.record = path, record

    def keep(self, **more: t.Any) -> None:
        self.record.update(more)
        write_file(self._path, soakrecord.render(self.record).encode("ascii"), 0o600)
        # The rename too: after a panic nothing is written any more.
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Stop:
    """That somebody asked for the end."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_about: object) -> None:
        """Of a signal."""
        self.asked = True


def run(
    host: Host,
    plan: Plan,
    path: str,
    stop: _Stop | None = None,
    now: t.Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    sleep: t.Callable[[float], None] = time.sleep,
    start: t.Callable[[t.Sequence[str]], Child] = Child,
) -> dict[str, t.Any]:
    """The soak from its first sample to its end; gives the record as it was written last. Raises OSError."""
    stop = stop or _Stop()
    record = plan.record
    worker: Server | Client = (Server if record["side"] == "server" else Client)(plan, start)
    watch = Watch(record["profile"], record["planned_s"], record["nic"], _waits_s(record))
    keeper = _Keeper(path, dict(record))
    try:
        verdict = _work(host, watch, worker, keeper, stop, now, sleep)
    finally:
        worker.stop()
    keeper.keep(state=verdict.state, reason=verdict.reason)
    return keeper.record


def _waits_s(record: t.Mapping[str, t.Any]) -> float:
    return max(_WAITS_S, float(record["profile"]["patience_s"])) if record["side"] == "server" else _WAITS_S


def _work(
    host: Host,
    watch: Watch,
    worker: Server | Client,
    keeper: _Keeper,
    stop: _Stop,
    now: t.Callable[[], float],
    sleep: t.Callable[[float], None],
) -> Verdict:
    next_s, began = 0.0, False
    nic = keeper.record["nic"]
    while True:
        now_s = now()
        if now_s >= next_s:
            next_s = now_s + keeper.record["interval_s"]
            verdict = watch.take(see_sample(host, nic, now_s))
            more: dict[str, t.Any] = watch.figures()
            if watch.began and not began:
                began = True
                # What is said to people; nothing is computed from it while the host lives.
                more["started_at"] = soakrecord.utc_text(time.time() - watch.elapsed_s(now_s))
            keeper.keep(**more)
            if verdict is not None:
                return _with_words(verdict, worker)
        if stop.asked:
            return Verdict("stopped", "it was told to: by hand, or since the host was shut down")
        verdict = worker.tend(now_s, watch, lambda: nic_bytes(host, nic))
        if verdict is not None:
            return verdict
        sleep(_TICK_S)


def _with_words(verdict: Verdict, worker: Server | Client) -> Verdict:
    """What iperf3 said last, where the soak could not go on."""
    if verdict.state != "failed" or not worker.last_error:
        return verdict
    return verdict._replace(reason="{0} (iperf3: {1})".format(verdict.reason, worker.last_error))


@contextlib.contextmanager
def _alone(nic: str, folder: str) -> t.Iterator[None]:
    """One soak at a time on a NIC, whoever started the other. Raises OSError."""
    os.makedirs(folder, mode=0o755, exist_ok=True)
    with open(os.path.join(folder, nic.replace("/", "_") + ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def main(argv: t.Sequence[str], locks: str = _LOCKS) -> int:
    """`argv`: the plan, and the record that is written."""
    try:
        with open(argv[0], encoding="utf-8") as stream:
            plan = parse_plan(stream.read(_PLAN_LIMIT))
        path = argv[1]
    except (OSError, CoreError, ValueError, IndexError) as exc:
        return _complain(str(exc) or repr(exc))
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, stop.ask)
    keeper = _Keeper(path, dict(plan.record))
    try:
        with _alone(plan.record["nic"], locks):
            found = run(LocalHost(), plan, path, stop)
    except BlockingIOError:
        keeper.keep(state="failed", reason="another soak runs over {0}".format(plan.record["nic"]))
        return _complain(keeper.record["reason"])
    except (OSError, Unreadable) as exc:
        with contextlib.suppress(OSError):
            keeper.keep(state="failed", reason=clean("the program of the soak: {0}".format(exc), 300))
        return _complain(str(exc))
    sys.stderr.write("crashready: {0} {1}\n".format(found["state"], clean(str(found["reason"] or ""), 400)))
    return 0 if found["state"] in ("done", "stopped") else 1


def _complain(text: str) -> int:
    sys.stderr.write("crashready: {0}\n".format(clean(text, 400)))
    return 1
