# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready metrics`: what `crashready check` sees of a rack, for Prometheus.

The families are those of `_core.metrics`, with the label `host`. Once to standard output or into a file, or again
and again for whoever asks at an address: there the last good answer stays, with its age, when a gather fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time
import typing as t

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from ._core import metrics
from ._core.text import clean
from .check import Judge
from .exits import UNKNOWN, USAGE, WELL, ToolError
from .inventory_arguments import add_rack_arguments, asked_of, limits_of
from .inventory_hosts import JUDGE_VARIABLES, Asked, NoHosts, read_rack

__all__ = ["Answer", "Exporter", "add_arguments", "ask", "render", "run", "serve"]

_SUBSETS = ("nics", "kernel", "capture", "crashes")
_INTERVAL_S = 300.0

#: Values by family and labels, the host's name first.
Values = dict[str, dict[tuple[str, ...], float]]


class Answer(t.NamedTuple):
    """What one gather gave."""

    values: Values
    hosts: int
    answered: int
    gathered_s: float  #: when it was complete, in seconds since 1970
    took_s: float
    interrupted: bool = False


def _place(text: str) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not colon or not address or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise argparse.ArgumentTypeError("{0!r} is not ADDRESS:PORT, such as 127.0.0.1:9765 or [::]:9765".format(text))
    return address, int(port)


def _interval(text: str) -> float:
    value = float(text)
    if not 10 <= value <= 86400:
        raise argparse.ArgumentTypeError("{0} is not between 10 and 86400 seconds".format(text))
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose metrics, and where they go."""
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--listen", metavar="ADDRESS:PORT", type=_place, help="answer Prometheus there until it is ended")
    way.add_argument("--output", metavar="FILE", type=pathlib.Path, help="replace this file, in place of printing")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=_INTERVAL_S,
        help="with --listen: from the start of one look at the rack to the next (default: 300)",
    )
    parser.add_argument(
        "--dir", metavar="FOLDER", action="append", default=[], help="pairing entries of your own, beside the shipped"
    )
    parser.add_argument("--waivers", metavar="FILE", help="YAML file with a list of waivers (crashready_waivers)")
    add_rack_arguments(parser)


# --- asking ----------------------------------------------------------------------------------------------------------


class _Quiet:
    """A watcher that says nothing: `--listen` asks every few minutes."""

    def begin(self, total: int) -> None:
        """There is nothing to show."""

    def done(self, outcome: t.Any) -> None:
        """There is nothing to show."""

    def end(self) -> None:
        """There is nothing to show."""


def ask(arguments: argparse.Namespace, asked: Asked | None, quiet: bool = False) -> Answer:
    """Ask every host once and judge it; without `asked` this machine. Raises NoHosts and ToolError."""
    start, judge = time.monotonic(), Judge(arguments)
    if asked is None:
        return _of_this_machine(judge, start)
    from .fanout.gather import gather
    from .fanout.rack_facts import ask_rack

    rack = read_rack(arguments.inventory, asked)
    outcomes = gather(rack, _SUBSETS, limits_of(arguments), _Quiet()) if quiet else ask_rack(rack, _SUBSETS, arguments)
    values: Values = {}
    now = time.time()
    for target in rack.targets:
        outcome = outcomes[target.name]
        if outcome.cause:
            samples = metrics.unanswered_samples(outcome.cause)
        else:
            samples = _samples(judge, target.name, outcome.facts(), target.variables, now)
        _add(values, target.name, samples)
    answered = sum(not outcome.cause for outcome in outcomes.values())
    interrupted = any(outcome.cause == "interrupted" for outcome in outcomes.values())
    return Answer(values, len(outcomes), answered, now, time.monotonic() - start, interrupted)


def _of_this_machine(judge: Judge, start: float) -> Answer:
    from ._host.facts import collect_facts
    from ._host.local import LocalHost

    name, values, now = clean(socket.gethostname(), 128), t.cast("Values", {}), time.time()
    _add(values, name, _samples(judge, name, collect_facts(LocalHost(), _SUBSETS), {}, now))
    return Answer(values, 1, 1, now, time.monotonic() - start)


def _samples(
    judge: Judge, host: str, facts: t.Any, variables: t.Mapping[str, t.Any], now: float
) -> list[metrics.Sample]:
    checked = judge.check(host, facts, variables)
    assert checked.judged is not None
    return [*metrics.verdict_samples(checked.state, checked.judged), *metrics.host_samples(facts, now)]


def _add(values: Values, host: str, samples: t.Iterable[metrics.Sample]) -> None:
    name = clean(host, 200)
    for sample in samples:
        values.setdefault(sample.name, {})[(name, *sample.labels)] = sample.value


# --- showing ---------------------------------------------------------------------------------------------------------


class Exporter:
    """A collector of prometheus_client: the last good answer, its age, and how often a gather has failed since."""

    def __init__(self, clock: t.Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._failed = 0

    def take(self, answer: Answer) -> bool:
        """Show this answer from now on. False: nobody answered and somebody did before, so that it is a failure."""
        with self._lock:
            lost = not answer.answered and self._answer is not None and self._answer.answered > 0
            if lost:
                self._failed += 1
            else:
                self._answer, self._failed = answer, 0
            return not lost

    def miss(self) -> None:
        """A gather has failed as a whole."""
        with self._lock:
            self._failed += 1

    def collect(self) -> t.Iterator[GaugeMetricFamily]:
        """Every family that has a value."""
        with self._lock:
            answer, failed = self._answer, self._failed
        values: Values = dict(answer.values) if answer is not None else {}
        for name, value in _about(answer, failed, self._clock()).items():
            values["crashready_rack_" + name] = {(): value}
        for family in metrics.FAMILIES:
            if family.name in values:
                yield _gauge(family, values[family.name])


def _about(answer: Answer | None, failed: int, now: float) -> dict[str, float]:
    found: dict[str, float] = {"failed_gathers": failed}
    if answer is not None:
        found.update(hosts=answer.hosts, gathered_timestamp_seconds=answer.gathered_s, gather_seconds=answer.took_s)
        found["age_seconds"] = max(0.0, now - answer.gathered_s)
    return found


def _gauge(family: metrics.Family, values: t.Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    labels = family.labels if family in metrics.EXPORTER_FAMILIES else ("host", *family.labels)
    gauge = GaugeMetricFamily(family.name, family.help, labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge


def render(exporter: Exporter) -> bytes:
    """OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/); node_exporter reads it as well."""
    registry = CollectorRegistry()
    registry.register(exporter)
    return t.cast("bytes", generate_latest(registry))  # type: ignore[no-untyped-call]


def _write(path: pathlib.Path, data: bytes) -> None:
    """Replace a file as a whole; others may read it, as an exporter that runs as its own user does."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".crashready-", dir=path.absolute().parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), 0o644)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise ToolError("the metrics cannot be written to {0}: {1}".format(path, exc.strerror or exc)) from exc


# --- running ---------------------------------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> int:
    """Print or write the metrics once, 0 when every host answered, else 2; with --listen until it is ended."""
    asked = None
    if arguments.inventory and not arguments.local:
        asked = asked_of(arguments, JUDGE_VARIABLES)
    try:
        if arguments.listen is not None:
            return serve(arguments.listen, arguments.interval, lambda: ask(arguments, asked, quiet=True))
        answer = ask(arguments, asked)
    except NoHosts as exc:
        print("crashready metrics: {0}".format(exc), file=sys.stderr)
        return USAGE
    exporter = Exporter()
    exporter.take(answer)
    if arguments.output is not None:
        _write(arguments.output, render(exporter))
    else:
        sys.stdout.write(render(exporter).decode("utf-8"))
    return WELL if answer.answered == answer.hosts else UNKNOWN


def serve(
    place: tuple[str, int], interval_s: float, gather: t.Callable[[], Answer], stop: threading.Event | None = None
) -> int:
    """Answer at `place`, gather every `interval_s`. Ends with Ctrl-C, or where the first gather cannot be."""
    stop = stop or threading.Event()
    exporter, registry = Exporter(), CollectorRegistry()
    registry.register(exporter)
    try:
        server, thread = start_http_server(place[1], place[0], registry)
    except (OSError, OverflowError) as exc:
        raise ToolError("cannot listen at {0}:{1}: {2}. Choose another with --listen".format(*place, exc)) from exc
    _say("answers at {0}:{1}, asks every {2:g} s; Ctrl-C ends it".format(place[0], server.server_port, interval_s))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _gather_again(exporter, interval_s, gather, stop)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    return WELL


def _gather_again(exporter: Exporter, interval_s: float, gather: t.Callable[[], Answer], stop: threading.Event) -> None:
    first = True
    while not stop.is_set():
        start = time.monotonic()
        try:
            answer = gather()
        except (ToolError, NoHosts, OSError) as exc:
            if first:
                raise
            exporter.miss()
            _say("the gather failed, the last answer stays: {0}".format(clean(str(exc), 600)))
        else:
            if answer.interrupted:
                return
            kept = exporter.take(answer)
            told = "" if kept else "; the last answer stays"
            _say("{0.answered} of {0.hosts} hosts answered in {0.took_s:.1f} s{1}".format(answer, told))
        first = False
        stop.wait(max(0.0, interval_s - (time.monotonic() - start)))


def _say(text: str) -> None:
    print("crashready metrics: {0}".format(text), file=sys.stderr, flush=True)
