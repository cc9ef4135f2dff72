# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready metrics`: what is printed, written and served, as prometheus_client reads it; and what stays when
a gather fails. The way to the hosts of a rack is tested in fanout/test_rack_metrics.py."""

from __future__ import annotations

import argparse
import os
import pathlib
import queue
import socket
import threading
import typing as t
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crashready import metrics
from crashready._core.metrics import FAMILIES
from crashready.exits import USAGE, WELL, ToolError
from crashready.inventory_hosts import NoHosts
from crashready.metrics import Answer, Exporter


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    metrics.add_arguments(parser)
    return parser.parse_args(words)


def read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by family and label values; what is no OpenMetrics raises."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.name in {each.name for each in FAMILIES}
        found[family.name] = {key_of(sample): sample.value for sample in family.samples}
    return found


LABELS = {family.name: ("host", *family.labels) for family in FAMILIES}


def key_of(sample: t.Any) -> tuple[str, ...]:
    """Label values, the host first; the exposition sorts them by their names."""
    return tuple(sample.labels[name] for name in LABELS[sample.name] if name in sample.labels)


def answer(answered: int = 1, gathered_s: float = 1000.0, armed: float = 1.0) -> Answer:
    values = {"crashready_armed": {("a",): armed}} if answered else {"crashready_host_answered": {("a",): 0.0}}
    return Answer(values, 1, answered, gathered_s, 2.5)


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert metrics.run(arguments()) == WELL
    shown = capsys.readouterr()
    found = read(shown.out)
    (host,) = {key[0] for key in found["crashready_host_answered"]}
    assert found["crashready_host_answered"] == {(host,): 1}
    assert sum(found["crashready_host_state"].values()) == 1
    assert sum(found["crashready_pairing_verdict"].values()) == 1
    assert found["crashready_rack_hosts"] == {(): 1}
    assert {key[0] for name, rows in found.items() if "rack" not in name for key in rows} == {host}


def test_into_a_file(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crashready.prom"
    path.write_text("old")
    assert metrics.run(arguments("--output", str(path))) == WELL
    assert capsys.readouterr().out == ""
    assert "crashready_rack_age_seconds" in read(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(ToolError, match="cannot be written"):
        metrics._write(tmp_path / "gone" / "x", b"")
    with pytest.raises(ToolError, match="cannot be written"):
        metrics._write(tmp_path, b"")


@pytest.mark.parametrize(
    "words",
    [
        *(["--listen", place] for place in ("9765", ":9765", "localhost:", "localhost:http", "localhost:70000")),
        ["--listen", "[::1]:9765", "--output", "x"],
        ["--interval", "1"],
    ],
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(*words)
    capsys.readouterr()


def test_no_such_inventory(capsys: pytest.CaptureFixture[str]) -> None:
    assert metrics.run(arguments("-i", "/no/such/rack")) == USAGE
    assert "no inventory /no/such/rack" in capsys.readouterr().err


def test_places() -> None:
    assert arguments("--listen", "[::1]:9765").listen == ("::1", 9765)
    assert arguments("--listen", "localhost:0").listen == ("localhost", 0)


# --- what is shown ---------------------------------------------------------------------------------------------------


def shown(exporter: Exporter) -> dict[str, dict[tuple[str, ...], float]]:
    return read(metrics.render(exporter).decode())


def test_before_the_first_answer_nothing_is_known() -> None:
    assert shown(Exporter()) == {"crashready_rack_failed_gathers": {(): 0}}


def test_the_last_good_answer_stays_and_grows_old() -> None:
    now = [1000.0]
    exporter = Exporter(lambda: now[0])
    assert exporter.take(answer())
    now[0] = 1600.0
    exporter.miss()
    assert not exporter.take(answer(answered=0, gathered_s=1500.0)), "nobody answers: the network of the controller"
    found = shown(exporter)
    assert found["crashready_armed"] == {("a",): 1}
    assert found["crashready_rack_age_seconds"] == {(): 600}
    assert found["crashready_rack_failed_gathers"] == {(): 2}
    assert exporter.take(answer(gathered_s=1600.0, armed=0.0))
    found = shown(exporter)
    assert (found["crashready_armed"], found["crashready_rack_failed_gathers"]) == ({("a",): 0}, {(): 0})


def test_a_rack_of_which_nobody_ever_answered_is_shown_as_it_is() -> None:
    exporter = Exporter(lambda: 1000.0)
    assert exporter.take(answer(answered=0))
    assert exporter.take(answer(answered=0))
    assert shown(exporter)["crashready_host_answered"] == {("a",): 0}


def test_hostile_label_values_stay_one_value() -> None:
    odd = 'x"\\n\n{}'
    exporter = Exporter(lambda: 0.0)
    exporter.take(Answer({"crashready_kernel_info": {("a", odd, "stable"): 1.0}}, 1, 1, 0.0, 0.0))
    assert shown(exporter)["crashready_kernel_info"] == {("a", odd, "stable"): 1}


# --- served ----------------------------------------------------------------------------------------------------------


class Served:
    """`serve` in a thread; each gather takes the next thing of a queue: an answer, or an error to raise."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as plug:
            self.port = plug.getsockname()[1]
        self.next: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        metrics.serve(("127.0.0.1", self.port), 0.0, self._gather, self.stop)

    def _gather(self) -> Answer:
        self.asked.put(None)
        given = self.next.get()
        if isinstance(given, Exception):
            raise given
        return given

    def give(self, given: Answer | Exception) -> None:
        """Let a gather end, and wait until the next one has begun: what came of the first is shown by then."""
        self.next.put(given)
        self.asked.get(timeout=20)

    def get(self) -> dict[str, dict[tuple[str, ...], float]]:
        request = urllib.request.Request(
            "http://127.0.0.1:{0}/metrics".format(self.port), headers={"Accept": "application/openmetrics-text"}
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
            return read(reply.read().decode())


@pytest.fixture
def served(capsys: pytest.CaptureFixture[str]) -> t.Iterator[Served]:
    made = Served()
    made.thread.start()
    made.asked.get(timeout=20)
    yield made
    made.stop.set()
    made.next.put(answer())
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_prometheus_is_answered_through_every_failure(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert "crashready_armed" not in served.get()
    served.give(answer())
    assert served.get()["crashready_armed"] == {("a",): 1}
    for failure in (ToolError("the database is broken"), NoHosts("no host"), OSError("disk")):
        served.give(failure)
    found = served.get()
    assert (found["crashready_armed"], found["crashready_rack_failed_gathers"]) == ({("a",): 1}, {(): 3})
    served.give(answer(armed=0.0))
    assert served.get()["crashready_armed"] == {("a",): 0}
    said = capsys.readouterr()
    assert said.out == ""
    assert "the last answer stays: the database is broken" in said.err


def test_a_first_gather_that_cannot_be_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Answer:
        raise NoHosts("there is no inventory rack")

    with pytest.raises(NoHosts):
        metrics.serve(("127.0.0.1", 0), 10.0, fail)


def test_ctrl_c_ends_it_well(capsys: pytest.CaptureFixture[str]) -> None:
    """`gather` keeps Ctrl-C to itself, and says so; between two gathers it comes as what it is."""
    assert metrics.serve(("127.0.0.1", 0), 10.0, lambda: answer()._replace(interrupted=True)) == WELL

    def interrupted() -> Answer:
        raise KeyboardInterrupt

    assert metrics.serve(("127.0.0.1", 0), 10.0, interrupted) == WELL


def test_a_place_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        with pytest.raises(ToolError, match="Choose another with --listen"):
            metrics.serve(plug.getsockname()[:2], 10.0, answer)
