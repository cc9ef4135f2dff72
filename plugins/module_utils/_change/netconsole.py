# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program that keeps netconsole armed: it runs as a systemd unit on a host that may panic.

netconsole sends past routing and ARP, so that this looks after both: at the start, when a link, an address or a route
changes, and every few minutes, it finds the way that spares the suspect NICs and the MAC of its next hop, and where
the kernel's target says otherwise sets it up anew. It lives in a zip beside the parts of this package that it needs.
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

from .._core import netconsole
from .._core.errors import CoreError
from .._core.text import clean
from .._host.base import Host, Unreadable
from .._host.local import LocalHost
from .._host.routes import find_way, neighbour

__all__ = ["State", "arm", "disarm", "main"]

_AGAIN_S = 300
_SETTLE_S = 2
_RESTLESS_S = 20
_ASKS = 4
_CONFIG_LIMIT = 64 * 1024
#: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE (rtnetlink(7)).
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
#: The discard protocol: a datagram that makes the kernel ask for the MAC.
_DISCARD = 9


class State(t.NamedTuple):
    """What one look ended with. `said` is empty where all is well."""

    armed: bool
    device: str | None
    said: str
    changed: bool


def _end(*_about: object) -> t.NoReturn:
    """What SIGTERM asks for: a clean end that every `with` hears of."""
    raise SystemExit(0)


def main(argv: t.Sequence[str]) -> int:
    """Run until SIGTERM. 1: the settings cannot be read."""
    try:
        with open(argv[0], encoding="utf-8") as stream:
            settings = netconsole.parse(stream.read(_CONFIG_LIMIT))
    except (OSError, CoreError, ValueError, IndexError) as exc:
        sys.stderr.write("crashready: {0}\n".format(clean(str(exc), 400)))
        return 1
    signal.signal(signal.SIGTERM, _end)
    host, last = LocalHost(), ""
    with _watch() as changes:
        while True:
            state = arm(host, settings)
            _tell(state)
            line = "armed over {0}".format(state.device) if state.armed else "not armed"
            line += ": " + state.said if state.said else ""
            if line != last or state.changed:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            last = line
            _wait(changes)


def _watch() -> socket.socket:
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    found.bind((0, _GROUPS))
    found.setblocking(False)
    return found


def _wait(changes: socket.socket) -> None:
    """Until something changed and is quiet again, at most some minutes."""
    ready, _write, _error = select.select([changes], [], [], _AGAIN_S)
    # A network that is never quiet is looked at all the same.
    limit_s = time.monotonic() + _RESTLESS_S
    while ready and time.monotonic() < limit_s:
        # ENOBUFS as well: more changed than fits, which is a change.
        with contextlib.suppress(OSError):
            while changes.recv(65536):
                pass
        ready, _write, _error = select.select([changes], [], [], _SETTLE_S)


def _tell(state: State) -> None:
    """To systemd (sd_notify(3)), and to the facts."""
    with contextlib.suppress(OSError):
        temporary = netconsole.STATE + ".new"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump({"armed": state.armed, "device": state.device, "said": state.said}, stream)
        os.replace(temporary, netconsole.STATE)
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        status = "STATUS={0}".format(state.said or ("sends over {0}".format(state.device)))
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect("\0" + address[1:] if address.startswith("@") else address)
            out.sendall("READY=1\n{0}\n".format(status).encode("utf-8"))


def arm(host: Host, settings: netconsole.Settings, base: str = netconsole.CONFIGFS) -> State:
    """One look, and what it takes to be armed. Never raises for what a network can do."""
    folder = os.path.join(base, netconsole.TARGET)
    way = None
    try:
        os.makedirs(folder, exist_ok=True)
        known = set(os.listdir(folder))
        way = find_way(host, settings.receiver, settings.avoid, settings.interface)
        mac = _mac_of(host, way.device, way.gateway or settings.receiver)
        wanted = netconsole.attributes(settings, way, mac, known)
        changed = netconsole.differing(wanted, {name: _read(folder, name) for name in known})
        if changed:
            _write_all(folder, wanted)
    except (CoreError, Unreadable) as exc:
        return _failed(folder, way.device if way else None, clean(str(exc), 300), settings)
    except OSError as exc:
        told = "the kernel does not take it: {0}".format(exc.strerror or exc)
        return _failed(folder, way.device if way else None, clean(told, 300), settings)
    return State(True, way.device, way.reason if way.suspect else "", bool(changed))


def _failed(folder: str, device: str | None, said: str, settings: netconsole.Settings) -> State:
    """What was set up before stays: an old MAC may still be right, nothing at all never is. Unless it was refused."""
    still = _read(folder, "enabled") == "1"
    if still and settings.suspect == "refuse" and "no other way" in said:
        with contextlib.suppress(OSError):
            _write(folder, "enabled", "0")
        still = False
    return State(still, device, said + (" (what was set up before stays)" if still else ""), False)


def _mac_of(host: Host, device: str, address: str) -> str:
    """Of the next hop; the kernel is made to ask for it. Raises CoreError, Unreadable."""
    for attempt in range(_ASKS):
        found = neighbour(host, device, address)
        if found is not None and attempt:
            return found
        if found is None or not attempt:
            # Also where it is known: an entry may be old, and sending makes the kernel check it.
            _ask(device, address)
            time.sleep(0.2 * (attempt + 1) if found is None else 0.05)
    found = neighbour(host, device, address)
    if found is None:
        raise CoreError("{0} does not tell its MAC over {1}".format(address, device))
    return found


def _ask(device: str, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode("ascii") + b"\0")
        out.setblocking(False)
        out.sendto(b"", (address, _DISCARD))


def _write_all(folder: str, wanted: t.Sequence[tuple[str, str]]) -> None:
    """Off, every value, on: the kernel takes no value while a target is on. Raises OSError."""
    if _read(folder, "enabled") == "1":
        _write(folder, "enabled", "0")
    # "release" is refused without "extended", and the other way round when both go: whichever was left is tried again.
    later = []
    for name, value in wanted:
        try:
            _write(folder, name, value)
        except OSError:
            if name not in ("extended", "release"):
                raise
            later.append((name, value))
    for name, value in later:
        _write(folder, name, value)
    _write(folder, "enabled", "1")


def _read(folder: str, name: str) -> str | None:
    try:
        with open(os.path.join(folder, name), encoding="ascii", errors="replace") as stream:
            return stream.read(4096).strip()
    except OSError:
        return None


def _write(folder: str, name: str, value: str) -> None:
    # Without O_CREAT: in configfs the kernel alone makes files.
    handle = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(value)


def disarm(base: str = netconsole.CONFIGFS) -> None:
    """Switch our target off and take it away; the others stay. Raises OSError."""
    folder = os.path.join(base, netconsole.TARGET)
    if os.path.isdir(folder):
        with contextlib.suppress(OSError):
            _write(folder, "enabled", "0")
        os.rmdir(folder)
