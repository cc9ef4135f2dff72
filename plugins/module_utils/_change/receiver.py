# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The receiver of netconsole: a systemd socket gives it one UDP port, and it keeps one file a host.

It runs as a user of its own without a network of its own; what it trusts is the socket that it was given and nothing
that comes through it. It lives in a zip beside the parts of this package that it needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import typing as t

from .._core.errors import CoreError
from .._core.receiver import Bucket, Limits, Sender, allowed_by, file_name, limits_from, needs_rotation, rotated_names
from .._core.text import clean

__all__ = ["Keeper", "main", "serve"]

_DATAGRAM = 65536
_CONFIG_LIMIT = 64 * 1024
_FIRST_FD = 3
#: How long a line may wait for its end.
_IDLE_S = 2.0
_COMPLAIN_S = 60.0


class Keeper:
    """The files of all hosts."""

    def __init__(self, folder: str, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._hosts: dict[str, tuple[Sender, Bucket]] = {}
        self._complained_s: dict[str, float] = {}
        # Those of earlier runs count: a restart must not be a way around the limit.
        self._known = {name for name in os.listdir(folder) if name.endswith(".log")}

    def take(self, data: bytes, address: str, now_s: float) -> None:
        """One datagram."""
        if not allowed_by(address, self._limits.allow):
            self._complain("a source that may not write", address, now_s)
            return
        name = file_name(address)
        if name not in self._known and len(self._known) >= self._limits.hosts:
            self._complain("more hosts than {0}".format(self._limits.hosts), address, now_s)
            return
        self._known.add(name)
        sender, bucket = self._hosts.setdefault(name, (Sender(), Bucket(self._limits, now_s)))
        dropped = bucket.dropped_bytes
        if not bucket.take(len(data), now_s):
            if not dropped:
                self._write(
                    name,
                    ["(crashready: more than {0} bytes a second; some is left out)".format(self._limits.rate_bytes_s)],
                )
            return
        lines = sender.feed(data, now_s)
        if dropped:
            bucket.dropped_bytes = 0
            lines = ["(crashready: {0} bytes were left out)".format(dropped), *lines]
        self._write(name, lines)

    def idle(self, now_s: float) -> bool:
        """Write what waits for its end and will not get it. Whether something still waits."""
        waits = False
        for name, (sender, _bucket) in self._hosts.items():
            if sender.waits and now_s - sender.heard_s >= _IDLE_S:
                self._write(name, sender.flush())
            waits = waits or sender.waits
        return waits

    def _write(self, name: str, lines: t.Sequence[str]) -> None:
        """The time is the receiver's: that of a dying host is not known."""
        if not lines:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        data = "".join("{0} {1}\n".format(stamp, line) for line in lines).encode("utf-8")
        path = os.path.join(self._folder, name)
        try:
            if needs_rotation(os.path.getsize(path) if os.path.exists(path) else 0, len(data), self._limits):
                for old, new in rotated_names(name, self._limits.keep):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(os.path.join(self._folder, old), os.path.join(self._folder, new))
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            with os.fdopen(handle, "wb", buffering=0) as stream:
                stream.write(data)
        except OSError as exc:
            self._complain("its file cannot be written: {0}".format(exc.strerror), name, time.monotonic())

    def _complain(self, what: str, who: str, now_s: float) -> None:
        """One line a minute and kind: a flood must not become one of the journal."""
        if now_s - self._complained_s.get(what, -_COMPLAIN_S) >= _COMPLAIN_S:
            self._complained_s[what] = now_s
            sys.stderr.write("crashready: {0}: {1}\n".format(clean(who, 80), clean(what, 200)))
            sys.stderr.flush()


def serve(port: socket.socket, keeper: Keeper) -> None:
    """Until the process is ended."""
    waits = False
    while True:
        ready, _write, _error = select.select([port], [], [], _IDLE_S if waits else None)
        if ready:
            with contextlib.suppress(OSError, CoreError):
                data, source = port.recvfrom(_DATAGRAM)
                keeper.take(data, str(source[0]), time.monotonic())
        waits = keeper.idle(time.monotonic())


def _end(*_about: object) -> t.NoReturn:
    """What SIGTERM asks for: a clean end that every `with` hears of."""
    raise SystemExit(0)


def main(argv: t.Sequence[str]) -> int:
    """`argv`: the settings' file. The socket is descriptor 3 (sd_listen_fds(3)), the folder $LOGS_DIRECTORY."""
    try:
        with open(argv[0], encoding="utf-8") as stream:
            limits = limits_from(json.loads(stream.read(_CONFIG_LIMIT)))
        folder = os.environ["LOGS_DIRECTORY"]
        if os.environ.get("LISTEN_FDS") != "1":
            raise ValueError("systemd gave no socket; start crashready-netconsole-receiver.socket")
        keeper = Keeper(folder, limits)
        port = socket.socket(fileno=_FIRST_FD)
    except (OSError, CoreError, ValueError, KeyError, IndexError, TypeError) as exc:
        sys.stderr.write("crashready: {0}\n".format(clean(str(exc) or repr(exc), 400)))
        return 1
    signal.signal(signal.SIGTERM, _end)
    with port:
        serve(port, keeper)
    return 0
