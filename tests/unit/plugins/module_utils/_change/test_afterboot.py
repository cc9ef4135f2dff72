# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What systemd starts after a boot: the zip as a host runs it, and the webhook."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import afterboot
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

RECORD = {"kind": "null_deref", "driver": "i40e", "path": "nic_rx", "signature": {"exact": "cr1:x:1"}, "frames": [1]}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="records belong to root")


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers with what the test asked for and keeps what came."""

    answer: t.ClassVar[int] = 200
    came: t.ClassVar[list[tuple[str | None, t.Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.came.append((self.headers.get("Authorization"), json.loads(body)))
        self.send_response(Hook.answer)
        if Hook.answer == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_args: t.Any) -> None:
        return


@pytest.fixture
def hook() -> t.Iterator[dict[str, str]]:
    Hook.came.clear()
    Hook.answer = 200
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = "http://127.0.0.1:{0}/t0ken".format(server.server_address[1])
        yield {"url": url, "header": "Authorization", "value": "Bearer s3cret"}
        server.shutdown()


def records(folder: pathlib.Path) -> str:
    (folder / "202611231305.json").write_text(json.dumps(RECORD), encoding="utf-8")
    (folder / "202611231306.json").write_text(json.dumps({**RECORD, "kind": "unknown"}), encoding="utf-8")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    return str(folder)


@AS_ROOT
def test_a_crash_is_sent_once(hook: dict[str, str], tmp_path: pathlib.Path) -> None:
    folder = records(tmp_path)
    assert afterboot.send_new(hook, folder) == []
    assert afterboot.send_new(hook, folder) == []
    ((secret, body),) = Hook.came
    assert secret == "Bearer s3cret"
    assert (body["schema"], body["event"], body["record"]["driver"]) == (1, "crash", "i40e")
    assert "frames" not in body["record"]


@pytest.mark.parametrize(("answer", "told"), [(500, "HTTP 500"), (302, "HTTP 302"), (403, "HTTP 403")])
def test_what_was_not_taken_is_sent_again(hook: dict[str, str], tmp_path: pathlib.Path, answer: int, told: str) -> None:
    Hook.answer = answer
    for _run in range(2):
        (failed,) = afterboot.send_new(hook, records(tmp_path))
        assert told in failed
        assert "t0ken" not in failed
        assert "s3cret" not in failed
    assert len(Hook.came) == 2, "a redirect is not followed"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/t0ken", "ftp://127.0.0.1/t0ken", "http://[/t0ken"])
def test_no_way_to_the_webhook(tmp_path: pathlib.Path, url: str) -> None:
    (failed,) = afterboot.send_new({"url": url}, records(tmp_path))
    assert "t0ken" not in failed


def test_no_webhook_sends_nothing(tmp_path: pathlib.Path) -> None:
    assert afterboot.send_new(None, records(tmp_path)) == []


def test_the_program_is_the_same_every_time_and_runs_alone(tmp_path: pathlib.Path) -> None:
    program = host_program.build("triage")
    assert program == host_program.build("triage")
    (tmp_path / "triage.pyz").write_bytes(program)
    (tmp_path / "crash").mkdir()
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    run = [sys.executable, "-I", "-S", str(tmp_path / "triage.pyz"), str(tmp_path / "config.json")]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not an object" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "config.json").write_text(json.dumps({"folder": str(tmp_path / "crash")}), encoding="utf-8")
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0
