# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""SSH servers for the tests: one in this process with every bad habit, and the real sshd where it is installed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
import typing as t

import paramiko
import pytest

USER = pwd.getpwuid(os.getuid()).pw_name
#: What paramiko raises when the other end has gone: tests of timeouts and floods hang up in the middle of an answer.
GONE = (OSError, EOFError, paramiko.SSHException)


class Server(paramiko.ServerInterface):
    """Takes one key and one password; runs commands by a shell, or does what its habit says."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.destination: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = key.asbytes() in self.host.allowed
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        right = self.host.password is not None and password == self.host.password
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.host.forwarded.append(destination)
        self.destination[chanid] = destination
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.host.commands.append(command.decode())
        if self.host.habit == "no-exec":
            return False
        threading.Thread(target=self.host.run, args=(channel, command.decode()), daemon=True).start()
        return True


@dataclasses.dataclass
class Host:
    """A server on a port of its own, with what it was asked."""

    key: paramiko.PKey
    allowed: set[bytes]
    habit: str = ""
    shell: tuple[str, ...] = ("sh",)
    path: str = ""
    home: str = "/"
    password: str | None = None
    commands: list[str] = dataclasses.field(default_factory=list)
    forwarded: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    connections: int = 0
    port: int = 0

    def start(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plug, _address = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(plug,), daemon=True).start()

    def _serve(self, plug: socket.socket) -> None:
        if self.habit == "silent":
            self.silenced = plug  # kept open, never answered
            return
        if self.habit == "http":
            plug.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)
            plug.close()
            return
        if self.habit == "drop-first" and self.connections == 1:
            plug.close()
            return
        transport = paramiko.Transport(plug)
        transport.add_server_key(self.key)
        server = Server(self)
        with contextlib.suppress(*GONE):
            transport.start_server(server=server)
        while transport.is_active():
            channel = transport.accept(1)
            if channel is not None and channel.get_id() in server.destination:
                where = server.destination[channel.get_id()]
                threading.Thread(target=self._forward, args=(channel, where), daemon=True).start()

    def _forward(self, channel: paramiko.Channel, where: tuple[str, int]) -> None:
        plug = socket.create_connection(where)

        def pump(read: t.Callable[[int], bytes], write: t.Callable[[bytes], None]) -> None:
            with contextlib.suppress(*GONE):
                while data := read(65536):
                    write(data)
            plug.close()
            with contextlib.suppress(*GONE):
                channel.close()

        threading.Thread(target=pump, args=(plug.recv, channel.sendall), daemon=True).start()
        pump(channel.recv, plug.sendall)

    def run(self, channel: paramiko.Channel, command: str) -> None:
        time.sleep(0.02)  # the reply to the request goes out before the habit does
        with contextlib.suppress(*GONE):
            habit = HABITS.get(self.habit)
            if habit is None or not habit(channel):
                self._execute(channel, command)
            channel.close()

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        path = self.path or os.environ["PATH"]
        process = subprocess.Popen(
            [*self.shell, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": path, "HOME": self.home, "LANG": "C"},
            cwd=self.home,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr

        def feed(pipe: t.IO[bytes]) -> None:
            with contextlib.suppress(*GONE):
                while data := channel.recv(65536):
                    pipe.write(data)
                    pipe.flush()
            with contextlib.suppress(OSError):
                pipe.close()

        def drain(pipe: t.IO[bytes], send: t.Callable[[bytes], None]) -> None:
            with contextlib.suppress(*GONE):
                while data := os.read(pipe.fileno(), 65536):
                    send(data)

        threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
        said = threading.Thread(target=drain, args=(process.stderr, channel.sendall_stderr), daemon=True)
        said.start()
        drain(process.stdout, channel.sendall)
        said.join(5)
        channel.send_exit_status(process.wait(30) & 0xFF)


def _ended(channel: paramiko.Channel, out: bytes, err: bytes, code: int) -> bool:
    channel.sendall(out)
    channel.sendall_stderr(err)
    channel.send_exit_status(code)
    return True


def _flood(channel: paramiko.Channel) -> bool:
    for _number in range(400):
        channel.sendall(b"\x1b[31m" + b"x" * 32000 + b"\n")
    return True


def _flood_stderr(channel: paramiko.Channel) -> bool:
    for _number in range(40):
        channel.sendall_stderr(b"y" * 16000)
    time.sleep(30)
    return True


def _hang(channel: paramiko.Channel) -> bool:
    while not channel.closed:
        time.sleep(0.1)
    return True


#: What a server does with a command in place of it; a function that gives False lets it run after all.
HABITS: dict[str, t.Callable[[paramiko.Channel], bool]] = {
    "hang": _hang,
    "flood": _flood,
    "flood-stderr": _flood_stderr,
    "banner": lambda channel: bool(channel.sendall(b"Welcome!\r\n\x1b]0;title\x07" + b"=" * 4000 + b"\n")),
    "nologin": lambda channel: _ended(channel, b"This account is currently not available.\n", b"", 1),
    "sftp-only": lambda channel: _ended(channel, b"This service allows sftp connections only.\n", b"", 1),
    "garbage": lambda channel: _ended(channel, os.urandom(5000), b"\x1b[2J\x00boom", 3),
    "cut": lambda channel: bool(channel.get_transport().close()) or True,
    "terminal": lambda channel: _ended(channel, b"", b"sudo: sorry, you must have a tty to run sudo\n", 1),
}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with `id`, `other` and `host`: key pairs."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("id", "other", "host", "host2"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)]
        try:
            subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
        except OSError:
            pytest.skip("ssh-keygen is not installed (openssh-client)")
    return folder


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty home, so that nobody's own keys, agent and configuration are used."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name in list(os.environ):
        if name.startswith(("ANSIBLE_", "CRASHREADY_")):
            monkeypatch.delenv(name)
    return folder


@dataclasses.dataclass
class Lab:
    """Servers, and the inventory that leads to them."""

    folder: pathlib.Path
    keys: pathlib.Path
    hosts: dict[str, Host] = dataclasses.field(default_factory=dict)
    lines: dict[str, str] = dataclasses.field(default_factory=dict)
    options: str = ""

    def add(self, name: str, habit: str = "", line: str = "", known: bool = True, **values: t.Any) -> Host:
        """Start a server and put it into the inventory."""
        allowed = {paramiko.Ed25519Key.from_private_key_file(str(self.keys / "id")).asbytes()}
        host = Host(paramiko.Ed25519Key.from_private_key_file(str(self.keys / "host")), allowed, habit, **values)
        host.home = str(self.folder)
        host.start()
        self.hosts[name] = host
        self.lines[name] = "ansible_host=127.0.0.1 ansible_port={0} {1}".format(host.port, line)
        if known:
            self.know(host.port, "host")
        return host

    def know(self, port: int, key: str) -> None:
        kind, blob = (self.keys / (key + ".pub")).read_text().split()[:2]
        with (self.folder / "known_hosts").open("a") as stream:
            stream.write("[127.0.0.1]:{0} {1} {2}\n".format(port, kind, blob))

    @property
    def inventory(self) -> pathlib.Path:
        path = self.folder / "rack.ini"
        lines = ["{0} {1}".format(name, line) for name, line in self.lines.items()]
        common = "-o UserKnownHostsFile={0} -o GlobalKnownHostsFile=none {1}".format(
            self.folder / "known_hosts", self.options
        )
        path.write_text(
            "[rack]\n{0}\n[rack:vars]\nansible_user={1}\nansible_ssh_private_key_file={2}\n"
            "ansible_ssh_common_args={3}\nansible_python_interpreter={4}\n".format(
                "\n".join(lines), USER, self.keys / "id", common, sys.executable
            )
        )
        return path


@pytest.fixture
def lab(tmp_path: pathlib.Path, keys: pathlib.Path, home: pathlib.Path) -> t.Iterator[Lab]:
    made = Lab(tmp_path, keys)
    yield made
    for host in made.hosts.values():
        host.socket.close()


@pytest.fixture
def sshd(tmp_path: pathlib.Path, keys: pathlib.Path, home: pathlib.Path) -> t.Iterator[int]:
    """The port of a real sshd of this user's own, on loopback."""
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd is not installed (openssh-server)")
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]
    if os.getuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    config = tmp_path / "sshd_config"
    authorized = tmp_path / "authorized_keys"
    authorized.write_text((keys / "id.pub").read_text())
    config.write_text(
        "ListenAddress 127.0.0.1:{0}\nHostKey {1}\nAuthorizedKeysFile {2}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n".format(
            port, keys / "host", authorized
        )
    )
    process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE)
    for _attempt in range(100):
        if process.poll() is not None:
            assert process.stderr
            pytest.skip("sshd does not start here: {0}".format(process.stderr.read().decode()[-200:]))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(10)
