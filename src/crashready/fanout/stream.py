# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A command that runs on a host, as bytes in and bytes out: over a connection of ours, or by the system's ssh."""

from __future__ import annotations

import abc
import contextlib
import os
import select
import signal
import subprocess
import time
import typing as t

import paramiko

from ..inventory_hosts import Target
from .outcome import Failure

__all__ = ["ChannelStream", "ProcessStream", "Stream", "ssh_command"]

#: Of standard error; more says nothing new.
_SAID_LIMIT = 64 * 1024
_CHUNK = 64 * 1024


class Stream(abc.ABC):
    """A running command. Methods raise Failure; `receive` gives b"" at the end."""

    @abc.abstractmethod
    def send(self, data: bytes, end: bool, deadline: float) -> None:
        """Give data to its standard input; with `end` nothing follows. A command that ended already is no error."""

    @abc.abstractmethod
    def receive(self, deadline: float) -> bytes:
        """Some of its standard output, b"" at its end."""

    @abc.abstractmethod
    def said(self) -> str:
        """The first of what it wrote on standard error so far."""

    @abc.abstractmethod
    def finish(self) -> tuple[int | None, str]:
        """Its exit code, where it came within a moment, and the first of what it wrote on standard error."""

    @abc.abstractmethod
    def close(self) -> None:
        """End it."""


def _late(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise Failure("timeout", "the command did not end in time")
    return left


class ChannelStream(Stream):
    """A command on a channel of paramiko."""

    def __init__(self, channel: t.Any, command: str) -> None:
        self._channel = channel
        self._said = b""
        try:
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError) as exc:
            if not channel.get_transport().is_active():
                raise Failure("lost", str(exc) or "the connection ended") from exc
            raise Failure("no-exec", "the command was refused: {0}".format(exc or type(exc).__name__)) from exc

    def send(self, data: bytes, end: bool, deadline: float) -> None:
        """As `Stream` has it."""
        self._channel.settimeout(_late(deadline))
        try:
            self._channel.sendall(data)
            if end:
                self._channel.shutdown_write()
        except TimeoutError as exc:
            raise Failure("timeout", "it does not take what it is sent") from exc
        except (OSError, EOFError, paramiko.SSHException):
            return  # it has ended; what it said tells why

    def receive(self, deadline: float) -> bytes:
        """As `Stream` has it."""
        while True:
            self._channel.settimeout(min(_late(deadline), 1.0))
            try:
                return bytes(self._channel.recv(_CHUNK))
            except TimeoutError:
                self._hear()
                # A host that fills standard error alone would otherwise be waited for to the end.
                if len(self._said) >= _SAID_LIMIT:
                    raise Failure("too-much", "more than 64 KiB on standard error") from None

    def said(self) -> str:
        """As `Stream` has it."""
        self._hear()
        return self._said.decode("utf-8", "replace")

    def finish(self) -> tuple[int | None, str]:
        """As `Stream` has it."""
        self._channel.status_event.wait(2)
        code = self._channel.exit_status
        return (code if code >= 0 else None), self.said()

    def _hear(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while self._channel.recv_stderr_ready() and len(self._said) < _SAID_LIMIT:
                self._said += self._channel.recv_stderr(_SAID_LIMIT - len(self._said))

    def close(self) -> None:
        """As `Stream` has it."""
        self._channel.close()


def ssh_command(target: Target, command: str) -> list[str]:
    """The command line of the system's ssh, with the inventory's options in the order in which Ansible gives them."""
    words = [target.ssh_program, *target.ssh_args, "-o", "BatchMode=yes"]
    if not target.check_host_keys:
        words += ["-o", "StrictHostKeyChecking=no"]
    for key, value in (("Port", target.port), ("IdentityFile", target.key_file), ("User", target.user)):
        if value is not None:
            words += ["-o", '{0}="{1}"'.format(key, value) if key == "IdentityFile" else "{0}={1}".format(key, value)]
    words += ["-o", "ConnectTimeout={0:.0f}".format(target.connect_timeout_s), *target.ssh_more_args]
    return [*words, "-T", "--", target.address, command]


class ProcessStream(Stream):
    """A command by the system's ssh."""

    def __init__(self, target: Target, command: str) -> None:
        try:
            self._process = subprocess.Popen(
                ssh_command(target, command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            raise Failure("ansible", "{0} cannot be started: {1}".format(target.ssh_program, exc.strerror)) from exc
        self._said = b""
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe, False)

    @property
    def _in(self) -> int:
        return t.cast("t.IO[bytes]", self._process.stdin).fileno()

    @property
    def _out(self) -> int:
        return t.cast("t.IO[bytes]", self._process.stdout).fileno()

    @property
    def _err(self) -> int:
        return t.cast("t.IO[bytes]", self._process.stderr).fileno()

    def send(self, data: bytes, end: bool, deadline: float) -> None:
        """As `Stream` has it."""
        try:
            while data:
                _read, writable, _other = select.select([], [self._in], [], _late(deadline))
                if writable:
                    data = data[os.write(self._in, data) :]
            if end:
                t.cast("t.IO[bytes]", self._process.stdin).close()
        except OSError:
            return

    def receive(self, deadline: float) -> bytes:
        """As `Stream` has it."""
        watched = [self._out, self._err]
        while True:
            readable, _writable, _other = select.select(watched, [], [], _late(deadline))
            if self._err in readable:
                self._hear(watched)
            if self._out in readable:
                return os.read(self._out, _CHUNK)

    def said(self) -> str:
        """As `Stream` has it."""
        return self._said.decode("utf-8", "replace")

    def _hear(self, watched: list[int]) -> None:
        chunk = os.read(self._err, _CHUNK)
        self._said += chunk[: _SAID_LIMIT - len(self._said)]
        if not chunk:
            watched.remove(self._err)

    def finish(self) -> tuple[int | None, str]:
        """As `Stream` has it."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(2)
        with contextlib.suppress(OSError):
            self._said += os.read(self._err, _SAID_LIMIT)[: max(0, _SAID_LIMIT - len(self._said))]
        return code, self.said()

    def close(self) -> None:
        """As `Stream` has it."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                t.cast("t.IO[bytes]", pipe).close()
