# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The receiver of netconsole: the real program with a socket as systemd gives it, and its files."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change.receiver import Keeper
from ansible_collections.rackops.crashready.plugins.module_utils._core.receiver import Limits, limits_from
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

HOST = "192.0.2.7"


def keeper(folder: pathlib.Path, **limits: t.Any) -> Keeper:
    return Keeper(str(folder), Limits(**limits))


def lines(folder: pathlib.Path, name: str = HOST + ".log") -> list[str]:
    """Without the time of the receiver."""
    return [line.split(" ", 1)[1] for line in (folder / name).read_text(encoding="utf-8").splitlines()]


class Running:
    """The program behind a real UDP port of the loopback."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / "logs"
        self.folder.mkdir()
        program = folder / "receiver.pyz"
        program.write_bytes(host_program.build("receiver"))
        config = folder / "config.json"
        config.write_text(json.dumps({**Limits()._asdict(), "allow": ["127.0.0.0/8"]}))
        self.port = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.port.bind(("::", 0))

        env = {**os.environ, "LISTEN_FDS": "1", "LOGS_DIRECTORY": str(self.folder)}
        # As systemd does: the port is descriptor 3.
        as_third = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
        number = self.port.fileno()
        argv = [sys.executable, "-c", as_third, str(number), sys.executable, "-I", str(program), str(config)]
        self.process = subprocess.Popen(argv, env=env, pass_fds=(number,), stderr=subprocess.PIPE)

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for datagram in datagrams:
                out.sendto(datagram, ("127.0.0.1", self.port.getsockname()[1]))

    def wait_for(self, text: str) -> str:
        path = self.folder / "127.0.0.1.log"
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            found = path.read_text(encoding="utf-8") if path.exists() else ""
            if text in found:
                return found
            time.sleep(0.05)
        raise AssertionError("{0!r} did not arrive: {1}".format(text, os.listdir(self.folder)))


@pytest.fixture
def running(tmp_path: pathlib.Path) -> t.Iterator[Running]:
    started = Running(tmp_path)
    try:
        yield started
    finally:
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(10)
        started.port.close()
        if started.process.stderr:
            started.process.stderr.close()


def test_a_panic_arrives(running: Running) -> None:
    """Records as 6.12 sends them, with `release`; the last words have no end."""
    running.send(
        b"6.12.95,2,412,98000000,-;crashready-drill-0123456789abcdef\n",
        b"6.12.95,6,413,98000100,-;sysrq: Trigger a crash\n SUBSYSTEM=none\n",
        b"6.12.95,0,414,98000200,-,ncfrag=0/40;Kernel panic - not ",
        b"6.12.95,0,414,98000200,-,ncfrag=19/40;syncing: \x1b[31msysrq\n",
        b"plain words without an end",
    )
    text = running.wait_for("without an end")
    assert "[   98.000000] crashready-drill-0123456789abcdef\n" in text
    assert "[   98.000200] Kernel panic - not syncing:  [31msysrq" in text
    assert "\x1b" not in text
    assert "SUBSYSTEM" not in text
    assert (running.folder / "127.0.0.1.log").stat().st_mode & 0o007 == 0


def test_a_program_without_its_socket_says_so(tmp_path: pathlib.Path) -> None:
    program, config = tmp_path / "receiver.pyz", tmp_path / "config.json"
    program.write_bytes(host_program.build("receiver"))
    config.write_text(json.dumps(Limits()._asdict()))
    env = {**os.environ, "LOGS_DIRECTORY": str(tmp_path)}
    env.pop("LISTEN_FDS", None)
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(config)], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "crashready-netconsole-receiver.socket" in done.stderr


def test_a_file_each(tmp_path: pathlib.Path) -> None:
    kept = keeper(tmp_path)
    kept.take(b"one\n", HOST, 0)
    kept.take(b"two\n", "::ffff:" + HOST, 0)
    kept.take(b"three\n", "2001:db8::7%eth0", 0)
    assert lines(tmp_path) == ["one", "two"]
    assert lines(tmp_path, "2001-db8--7.log") == ["three"]


def test_size_is_bounded(tmp_path: pathlib.Path) -> None:
    kept = keeper(tmp_path, file_bytes=65536, keep=2, burst_bytes=1 << 30)
    for number in range(4000):
        kept.take(b"%06d %s\n" % (number, b"x" * 80), HOST, 0)
    names = sorted(os.listdir(tmp_path))
    assert names == [HOST + ".log", HOST + ".log.1", HOST + ".log.2"]
    assert all((tmp_path / name).stat().st_size <= 65536 for name in names)
    assert lines(tmp_path)[-1].startswith("003999")


def test_rate_is_bounded_and_what_is_lost_is_said(tmp_path: pathlib.Path) -> None:
    kept = keeper(tmp_path, rate_bytes_s=1024, burst_bytes=4096)
    for _count in range(100):
        kept.take(b"y" * 999 + b"\n", HOST, 0.0)
    assert len(lines(tmp_path)) == 5, "four, and the word that there is more"
    kept.take(b"after\n", HOST, 60.0)
    assert lines(tmp_path)[-2:] == ["(crashready: 96000 bytes were left out)", "after"]


def test_a_quiet_host_is_not_hurt_by_a_loud_one(tmp_path: pathlib.Path) -> None:
    kept = keeper(tmp_path, rate_bytes_s=1024, burst_bytes=4096)
    for _count in range(100):
        kept.take(b"y" * 999 + b"\n", HOST, 0.0)
    kept.take(b"quiet\n", "192.0.2.8", 0.0)
    assert lines(tmp_path, "192.0.2.8.log") == ["quiet"]


def test_hosts_are_bounded_also_after_a_restart(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        keeper(tmp_path, hosts=3).take(b"x\n", "192.0.2.{0}".format(number), 1000.0 * number)
    assert len(os.listdir(tmp_path)) == 3
    assert "more hosts than 3" in capsys.readouterr().err


def test_a_source_that_may_not_write(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Keeper(str(tmp_path), limits_from({"allow": ["192.0.2.0/24"]}))
    kept.take(b"x\n", "198.51.100.1", 0.0)
    kept.take(b"x\n", HOST, 0.0)
    assert os.listdir(tmp_path) == [HOST + ".log"]
    assert capsys.readouterr().err.count("\n") == 1


def test_what_has_no_end_is_written_when_it_is_quiet(tmp_path: pathlib.Path) -> None:
    kept = keeper(tmp_path)
    kept.take(b"last wor", HOST, 0.0)
    assert kept.idle(1.0) is True
    assert os.listdir(tmp_path) == []
    assert kept.idle(3.0) is False
    assert lines(tmp_path) == ["last wor"]


def test_a_file_that_was_put_there_as_a_link_is_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "outside").write_text("")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / (HOST + ".log")).symlink_to(tmp_path / "outside")
    keeper(tmp_path / "logs").take(b"x\n", HOST, 0.0)
    assert (tmp_path / "outside").read_text() == ""
