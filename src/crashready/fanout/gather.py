# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""All hosts of a rack, some at a time. Each host costs its own time only, and what came before Ctrl-C is kept."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
import typing as t

from ..inventory_hosts import Rack, Target
from .connect import Connector
from .conversation import converse
from .outcome import CAUSES, Failure, Outcome
from .program import Program, build_program
from .stream import ChannelStream, ProcessStream
from .through_ansible import ask_through_ansible

__all__ = ["Limits", "Watcher", "gather"]

_RETRY_PAUSE_S = 1.0
#: After Ctrl-C the hosts that are being asked get this long to end.
_LAST_WORDS_S = 2.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many hosts at a time, how long each, how often."""

    forks: int = 50
    timeout_s: float = 60
    connect_timeout_s: float | None = None  #: None: what the inventory and ssh's files say (10 s)
    retries: int = 1


class Watcher(t.Protocol):
    """Hears of each host as it is begun and done."""

    def begin(self, total: int) -> None:
        """So many hosts there are."""

    def done(self, outcome: Outcome) -> None:
        """What came of one of them."""

    def end(self) -> None:
        """There are no more, or nobody waits for them."""


class _Run:
    """The state of one run, shared by its threads."""

    def __init__(self, program: Program, limits: Limits, connector: Connector) -> None:
        self.program = program
        self.limits = limits
        self.connector = connector
        self.stop = threading.Event()
        self.done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()


def gather(rack: Rack, subsets: t.Sequence[str], limits: Limits, watcher: Watcher) -> dict[str, Outcome]:
    """Ask every host for the facts of `subsets`: {host: outcome}, in the rack's order.

    Ctrl-C ends it early: the hosts without an answer get the cause "interrupted".
    """
    run = _Run(build_program(subsets, limits.timeout_s), limits, Connector())
    found: dict[str, Outcome] = {}
    watcher.begin(len(rack.targets))
    try:
        workers = _start(run, rack, subsets)
        while workers:
            outcome = run.done.get()
            if outcome is None:
                workers -= 1
                continue
            found[outcome.host] = outcome
            watcher.done(outcome)
    except KeyboardInterrupt:
        _stop(run, found)
    finally:
        run.stop.set()
        run.connector.close()
        watcher.end()
    for target in rack.targets:
        if target.name not in found:
            found[target.name] = Outcome(
                target.name, "ssh", cause="interrupted", says="no answer before the end", address=target.address
            )
    return {target.name: found[target.name] for target in rack.targets}


def _start(run: _Run, rack: Rack, subsets: t.Sequence[str]) -> int:
    """Start the threads; each puts a None when it ends. Returns how many there are."""
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    theirs = []
    for target in rack.targets:
        if target.problem:
            run.done.put(Outcome(target.name, "ssh", cause="inventory", says=target.problem, address=target.address))
        elif target.by_ansible:
            theirs.append(target)
        else:
            waiting.put(target)
    count = min(run.limits.forks, waiting.qsize())
    threads = [
        threading.Thread(target=_work, args=(run, waiting), daemon=True, name="crashready-{0}".format(number))
        for number in range(count)
    ]
    if theirs:
        names = {target.name: target.by_ansible for target in theirs}
        threads.append(threading.Thread(target=_leave_to_ansible, args=(run, rack, names, subsets), daemon=True))
    if not threads:
        run.done.put(None)
        return 1
    for thread in threads:
        thread.start()
    return len(threads)


def _stop(run: _Run, found: dict[str, Outcome]) -> None:
    """Take what comes within a moment; nobody is asked any more."""
    run.stop.set()
    run.connector.close()
    deadline = time.monotonic() + _LAST_WORDS_S
    while time.monotonic() < deadline:
        try:
            outcome = run.done.get(timeout=0.2)
        except queue.Empty:
            return
        if outcome is not None and outcome.packed is not None:
            found[outcome.host] = outcome


def _work(run: _Run, waiting: queue.SimpleQueue[Target]) -> None:
    try:
        while not run.stop.is_set():
            try:
                target = waiting.get_nowait()
            except queue.Empty:
                return
            run.done.put(_ask(run, target))
    finally:
        run.done.put(None)


def _ask(run: _Run, target: Target) -> Outcome:
    """One host, as often as the limits say. Never raises: a bug here is that host's failure."""
    start, attempt, note = time.monotonic(), 0, ""
    while True:
        attempt += 1
        try:
            packed, note = _once(run, target)
            return _outcome(target, start, attempt, packed=packed, note=note)
        except Failure as exc:
            again = CAUSES[exc.cause].retry and attempt <= run.limits.retries and not run.stop.is_set()
            if not again:
                return _outcome(target, start, attempt, cause=exc.cause, says=exc.says, note=exc.by_system_ssh)
        except Exception as exc:  # noqa: BLE001  paramiko raises what it meets in a hostile packet
            says = "{0}: {1}".format(type(exc).__name__, exc)
            return _outcome(target, start, attempt, cause="lost", says=Failure("lost", says).says)
        run.stop.wait(_RETRY_PAUSE_S * attempt)


def _outcome(target: Target, start: float, attempt: int, **values: t.Any) -> Outcome:
    way = "system ssh" if values.get("note") else "ssh"
    seconds = round(time.monotonic() - start, 3)
    return Outcome(target.name, way, address=target.address, seconds=seconds, attempts=attempt, **values)


def _once(run: _Run, target: Target) -> tuple[bytes, str]:
    """The facts of a host and why the system's ssh was used, if it was. Raises Failure."""
    options = run.connector.files.of_target(target)
    reason = options.system_ssh or ("ssh_executable" if target.ssh_program != "ssh" else "")
    if not reason:
        try:
            return _by_paramiko(run, target, options), ""
        except Failure as exc:
            if not exc.by_system_ssh:
                raise
            reason = exc.by_system_ssh
    if target.password is not None:
        raise Failure("login-refused", "the system's ssh takes no password from a program", by_system_ssh=reason)
    try:
        facts = converse(lambda command: ProcessStream(target, command), target, run.program, run.limits.timeout_s)
    except Failure as exc:
        raise _named(exc, reason) from exc
    return facts, reason


def _by_paramiko(run: _Run, target: Target, options: t.Any) -> bytes:
    limits = run.limits
    connect_s = limits.connect_timeout_s or options.connect_timeout_s or target.connect_timeout_s
    opened = run.connector.open(options, target.password, connect_s)
    late = time.monotonic() + limits.timeout_s
    # A little longer than the conversation allows itself: this is for those waits that have no limit of their own.
    run.connector.limit(opened.transport, limits.timeout_s + 2)
    try:
        channel = run.connector.session(opened, connect_s)
        return converse(lambda command: ChannelStream(channel, command), target, run.program, limits.timeout_s)
    except Failure as exc:
        if exc.cause in ("lost", "no-exec") and time.monotonic() > late:
            raise Failure("timeout", "nothing within {0:g} s".format(limits.timeout_s)) from exc
        raise
    finally:
        opened.close()


# What the system's ssh says on standard error, in the words of ssh.c, sshconnect.c and sshconnect2.c.
_SSH_SAYS = (
    ("key-changed", ("REMOTE HOST IDENTIFICATION HAS CHANGED", "is revoked")),
    ("key-unknown", ("Host key verification failed", "No ED25519 host key is known")),
    ("login-refused", ("Permission denied (", "Too many authentication failures")),
    ("no-address", ("Could not resolve hostname",)),
    ("refused", ("Connection refused",)),
    ("connect-timeout", ("Connection timed out", "timed out during banner exchange")),
    ("unreachable", ("No route to host", "Network is unreachable")),
    ("negotiation", ("Unable to negotiate",)),
    ("proxy", ("kex_exchange_identification", "UNKNOWN port 65535")),
)


def _named(failure: Failure, reason: str) -> Failure:
    """A failure of the system's ssh under its own cause."""
    cause = failure.cause
    if cause in ("lost", "garbage", "no-python"):
        cause = next((name for name, words in _SSH_SAYS if any(word in failure.says for word in words)), cause)
    return Failure(cause, failure.says, by_system_ssh=reason)


def _leave_to_ansible(run: _Run, rack: Rack, reasons: dict[str, str], subsets: t.Sequence[str]) -> None:
    """Hosts of other connection plugins, all in one run of Ansible; a host is reported as soon as it has answered."""
    left = dict(reasons)
    start = time.monotonic()

    def report(outcome: Outcome) -> None:
        left.pop(outcome.host, None)
        seconds = round(time.monotonic() - start, 3)
        run.done.put(dataclasses.replace(outcome, note=reasons.get(outcome.host, ""), seconds=seconds))

    try:
        says = ask_through_ansible(rack, tuple(reasons), subsets, run.limits.forks, report, run.stop.is_set)
    except Exception as exc:  # noqa: BLE001  whatever it is, the hosts of the other way keep their facts
        says = "{0}: {1}".format(type(exc).__name__, exc)
    for name in list(left):
        report(Outcome(name, "ansible", cause="ansible", says=Failure("ansible", says or "it did not answer").says))
    run.done.put(None)
