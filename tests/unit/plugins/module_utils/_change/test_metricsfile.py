# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the timer starts: the zip as a host runs it, with nothing but Python's own library."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("program") / "metrics.pyz"
    path.write_bytes(host_program.build("metrics"))
    return path


def run(program: pathlib.Path, config: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(program), str(config)], capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_program_is_the_same_every_time(program: pathlib.Path) -> None:
    assert program.read_bytes() == host_program.build("metrics")


@pytest.mark.skipif(os.geteuid() != 0, reason="the file belongs to root")
def test_the_metrics_are_written_as_a_whole(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config, file = tmp_path / "config.json", tmp_path / "textfiles" / "crashready.prom"
    config.write_text(json.dumps({"file": str(file)}))
    file.parent.mkdir()
    file.write_text("crashready_armed 1\n" * 3)
    done = run(program, config)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o644
    assert os.listdir(file.parent) == [file.name], "no temporary file is left"
    text = file.read_text()
    assert "# TYPE crashready_look_timestamp_seconds gauge\ncrashready_look_timestamp_seconds 1" in text
    assert 'crashready_fact_unread{fact="armed"} ' in text
    parser = pytest.importorskip("prometheus_client.parser")
    assert len(list(parser.text_string_to_metric_families(text))) >= 5


@pytest.mark.parametrize(
    "config", [None, "", "{", "[]", '{"file": 5}', '{"file": "relative"}', '{"file": "/proc/no/x"}']
)
def test_what_goes_wrong_is_one_line(program: pathlib.Path, tmp_path: pathlib.Path, config: str | None) -> None:
    path = tmp_path / "config.json"
    if config is not None:
        path.write_text(config)
    done = run(program, path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("crashready: the metrics are not written: ")
    assert done.stderr.count("\n") == 1
