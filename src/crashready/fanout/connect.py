# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One SSH connection, opened as the user's own ssh would: jump hosts, host keys, logins, each step within a time.

Jump hosts are shared: all hosts behind one get channels of one connection, since a
bastion refuses many that come at once (MaxStartups of sshd_config(5)).
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
import socket
import subprocess
import threading
import time
import typing as t

import paramiko

from .known_hosts import KnownHosts
from .outcome import Failure
from .ssh_keys import KeyRing
from .ssh_options import HostOptions, JumpHost, SshFiles

__all__ = ["Connector", "Opened"]

# Nobody listens to paramiko's own log: without a handler Python would print its tracebacks for each host that fails.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_LOGIN_S = 30.0
_WATCH_S = 0.25
#: Bytes that a host may send before it has to wait for us; standard error piles up there unread.
_WINDOW = 256 * 1024


class Opened(t.NamedTuple):
    """An authenticated connection, and how to end it with all that belongs to it."""

    transport: t.Any
    close: t.Callable[[], None]


class _Route(t.NamedTuple):
    """Something like a socket that leads to a host's sshd."""

    socket: t.Any
    close: t.Callable[[], None]


class _Jump:
    """A shared jump host: made by the first who needs it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.opened: Opened | None = None


class Connector:
    """Opens connections for a run: files, keys, known hosts and jump hosts are read once. For several threads."""

    def __init__(self, files: SshFiles | None = None) -> None:
        self.files = files or SshFiles()
        self._keys = KeyRing()
        self._known = KnownHosts()
        self._lock = threading.Lock()
        self._jumps: dict[tuple[JumpHost, ...], _Jump] = {}
        self._live: dict[t.Any, float] = {}
        self._watch: threading.Thread | None = None

    def open(self, options: HostOptions, password: str | None, timeout_s: float) -> Opened:
        """A connection that is logged in. Raises Failure."""
        route = self._route(options, timeout_s)
        try:
            transport = self._handshake(route, options, timeout_s)
        except BaseException:
            route.close()
            raise

        def close() -> None:
            self.limit(transport, None)
            transport.close()
            route.close()

        self.limit(transport, timeout_s * 3 + _LOGIN_S)
        try:
            self._check_host_key(transport, options)
            self._log_in(transport, options, password)
        except BaseException:
            close()
            raise
        return Opened(transport, close)

    def session(self, opened: Opened, timeout_s: float) -> t.Any:
        """A channel for one command. Raises Failure."""
        try:
            return opened.transport.open_session(window_size=_WINDOW, timeout=timeout_s)
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise Failure("no-exec", "no channel for a command: {0}".format(exc or type(exc).__name__)) from exc

    def close(self) -> None:
        """End everything that is still open, from whichever thread."""
        with self._lock:
            live, jumps = list(self._live), list(self._jumps.values())
            self._live.clear()
        for transport in [*live, *(jump.opened.transport for jump in jumps if jump.opened)]:
            _cut(transport)
        self._keys.close()

    def limit(self, transport: t.Any, seconds: float | None) -> None:
        """Cut a connection some seconds from now, or never: some of paramiko's waits have no limit of their own."""
        with self._lock:
            if seconds is None:
                self._live.pop(transport, None)
                return
            self._live[transport] = time.monotonic() + seconds
            if self._watch is None:
                self._watch = threading.Thread(target=self._cut_late_ones, daemon=True, name="crashready-limits")
                self._watch.start()

    def _cut_late_ones(self) -> None:
        while True:
            time.sleep(_WATCH_S)
            now = time.monotonic()
            with self._lock:
                late = [transport for transport, deadline in self._live.items() if deadline < now]
                for transport in late:
                    del self._live[transport]
            for transport in late:
                _cut(transport)

    # --- the way to the host

    def _route(self, options: HostOptions, timeout_s: float) -> _Route:
        if options.jumps:
            return self._through_jump(options, timeout_s)
        if options.proxy_command:
            return _through_command(options, timeout_s)
        return _directly(options, timeout_s)

    def _through_jump(self, options: HostOptions, timeout_s: float) -> _Route:
        via = self._jump(options.jumps, timeout_s)
        try:
            channel = via.transport.open_channel(
                "direct-tcpip", (options.address, options.port), ("127.0.0.1", 0), timeout=timeout_s
            )
        except paramiko.ChannelException as exc:
            says = "{0} does not reach {1}:{2}: {3}"
            raise Failure("proxy", says.format(options.jumps[-1].name, options.address, options.port, exc)) from exc
        except (paramiko.SSHException, EOFError, OSError) as exc:
            self._forget(options.jumps, via)
            raise Failure("proxy", "{0}: {1}".format(options.jumps[-1].name, exc or type(exc).__name__)) from exc
        return _Route(channel, channel.close)

    def _jump(self, hops: tuple[JumpHost, ...], timeout_s: float) -> Opened:
        """The connection to the last of some hops, each through the one before."""
        with self._lock:
            jump = self._jumps.setdefault(hops, _Jump())
        with jump.lock:
            if jump.opened is None or not jump.opened.transport.is_active():
                options = self.files.of_jump(hops[-1])
                if options.system_ssh:
                    raise Failure("proxy", hops[-1].name, by_system_ssh=options.system_ssh)
                if len(hops) > 1:
                    options = dataclasses.replace(options, jumps=hops[:-1])
                try:
                    jump.opened = self.open(options, None, timeout_s)
                    self.limit(jump.opened.transport, None)
                except Failure as exc:
                    says = "jump host {0}: {1}".format(hops[-1].name, exc.says)
                    raise Failure("proxy", says, by_system_ssh=exc.by_system_ssh) from exc
            return jump.opened

    def _forget(self, hops: tuple[JumpHost, ...], opened: Opened) -> None:
        with self._lock:
            jump = self._jumps.get(hops)
        if jump is not None and jump.opened is opened and not opened.transport.is_active():
            jump.opened = None

    # --- the handshake

    def _handshake(self, route: _Route, options: HostOptions, timeout_s: float) -> t.Any:
        try:
            transport = paramiko.Transport(route.socket)
            self._choose_algorithms(transport, options)
            transport.daemon = True
            transport.banner_timeout = timeout_s
            transport.auth_timeout = _LOGIN_S
            done = threading.Event()
            transport.start_client(event=done)
        except (paramiko.SSHException, OSError, ValueError) as exc:
            raise Failure("no-ssh", str(exc) or type(exc).__name__) from exc
        # The key exchange itself may wait for a busy host.
        done.wait(timeout_s * 3)
        if transport.is_active() and done.is_set():
            return transport
        error = transport.get_exception()
        transport.close()
        raise _handshake_failure(error, timeout_s)

    def _choose_algorithms(self, transport: t.Any, options: HostOptions) -> None:
        """The user's lists; and of host keys first the kinds that are known of this host, as ssh does.

        A host has keys of several kinds. One that is known by its RSA key alone must not be asked for another, which
        would look like a changed host.
        """
        security = transport.get_security_options()
        for name, chosen in options.algorithms.items():
            setattr(security, name, chosen)
        known = self._known.look_up(options.known_hosts, options.host_key_name).keys
        kinds = {kind for kind, _blob in known}
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in kinds else set()
        security.key_types = sorted(security.key_types, key=lambda kind: kind not in kinds)

    def _check_host_key(self, transport: t.Any, options: HostOptions) -> None:
        key = transport.get_remote_server_key()
        kind, blob = key.get_name(), key.asbytes()
        known = self._known.look_up(options.known_hosts, options.host_key_name)
        if blob in known.revoked:
            raise Failure("key-changed", "its {0} key is marked @revoked in known_hosts".format(kind))
        if any(blob == each for _kind, each in known.keys):
            return
        seen = "{0} {1}".format(kind, key.fingerprint)
        if options.strict == "no":
            return
        if known.keys:
            says = "it shows {0}, and known_hosts has another for {1}".format(seen, options.host_key_name)
            raise Failure("key-changed", says)
        if known.has_authority:
            says = "known_hosts has a certificate authority for {0}".format(options.host_key_name)
            raise Failure("key-unknown", says, by_system_ssh="host certificates")
        if options.strict == "accept-new":
            writable = options.known_hosts[0] if options.known_hosts else "/dev/null"
            self._known.add(writable, options.host_key_name, kind, blob, options.hash_names)
            return
        raise Failure("key-unknown", "it shows {0}; known_hosts has none for {1}".format(seen, options.host_key_name))

    # --- the login

    def _log_in(self, transport: t.Any, options: HostOptions, password: str | None) -> None:
        keys, problems = self._keys.keys_for(options)
        tried: list[str] = []
        for way in _ways(transport, options, keys, password):
            try:
                way()
            except paramiko.BadAuthenticationType as exc:
                tried.append("it takes {0}".format(", ".join(exc.allowed_types)))
            except (paramiko.AuthenticationException, paramiko.SSHException, EOFError, OSError) as exc:
                tried.append(str(exc) or type(exc).__name__)
            if transport.is_authenticated():
                return
            if not transport.is_active():
                break
        says = "{0}@{1}: {2} keys were offered".format(options.user, options.address, len(keys))
        says += ", and a password" if password is not None else ""
        last = [*problems[:3], *dict.fromkeys(tried[-2:])]
        foreign = "keys that only it can use" if any("only the system" in each for each in problems) else ""
        raise Failure("login-refused", "; ".join([says, *last]), by_system_ssh=options.other_login or foreign)


def _ways(
    transport: t.Any, options: HostOptions, keys: list[t.Any], password: str | None
) -> list[t.Callable[[], t.Any]]:
    """Attempts to log in, one after the other."""
    ways: list[t.Callable[[], t.Any]] = [functools.partial(transport.auth_publickey, options.user, key) for key in keys]
    if password is not None and options.use_password:
        # Falls back to keyboard-interactive with the same password where sshd takes no plain ones.
        ways.append(functools.partial(transport.auth_password, options.user, password, fallback=True))
    return ways


def _cut(transport: t.Any) -> None:
    """End a connection from another thread. Not transport.close(): that may wait for the thread that hangs."""
    transport.active = False
    transport.packetizer.close()
    transport.sock.close()


def _handshake_failure(error: Exception | None, timeout_s: float) -> Failure:
    said = " ".join(str(error).split()) if error else ""
    if isinstance(error, paramiko.IncompatiblePeer):
        return Failure("negotiation", said, by_system_ssh="algorithms that paramiko does not have")
    if "banner" in said.lower() or "protocol version" in said:
        return Failure("no-ssh", said)
    if error is None:
        return Failure("connect-timeout", "no SSH handshake within {0:g} s".format(timeout_s * 3))
    return Failure("lost", said or type(error).__name__)


# --- the three ways to a host ----------------------------------------------------------------------------------------


def _directly(options: HostOptions, timeout_s: float) -> _Route:
    family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(options.family, socket.AF_UNSPEC)
    where = "{0} port {1}".format(options.address, options.port)
    try:
        found = socket.getaddrinfo(options.address, options.port, family, socket.SOCK_STREAM)
    except (OSError, ValueError) as exc:
        raise Failure("no-address", "{0}: {1}".format(options.address, getattr(exc, "strerror", None) or exc)) from exc
    deadline = time.monotonic() + timeout_s
    failure = Failure("no-address", "{0} has no address".format(options.address))
    for kind, type_, protocol, _name, address in found:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        plug = socket.socket(kind, type_, protocol)
        try:
            plug.settimeout(left)
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if options.bind_address:
                plug.bind((options.bind_address, 0))
            plug.connect(address)
            return _Route(plug, plug.close)
        except TimeoutError:
            failure = Failure("connect-timeout", "{0}: nothing within {1:g} s".format(where, timeout_s))
        except ConnectionRefusedError:
            failure = Failure("refused", where)
        except OSError as exc:
            failure = Failure("unreachable", "{0}: {1}".format(where, exc.strerror or exc))
        plug.close()
    raise failure


def _through_command(options: HostOptions, timeout_s: float) -> _Route:
    """A program between, as ProxyCommand names it; a socket pair gives it the time limits of a socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(timeout_s)
    # As ssh does: by the user's shell, with exec so that ending it ends the program.
    command = "exec " + _with_tokens(options)
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        ours.close()
        raise Failure("proxy", str(exc)) from exc
    finally:
        theirs.close()

    def close() -> None:
        ours.close()
        process.kill()
        process.wait()

    return _Route(ours, close)


def _with_tokens(options: HostOptions) -> str:
    """The command with ssh's tokens filled in. As ssh does, it refuses names that a shell would take for more."""
    for value in (options.address, options.user):
        if not re.fullmatch(r"[A-Za-z0-9._:@+][A-Za-z0-9._:%@+-]*", value):
            raise Failure("inventory", "{0!r} cannot be given to a proxy command".format(value[:80]))
    tokens = {"%h": options.address, "%n": options.address, "%p": str(options.port), "%r": options.user, "%%": "%"}
    return re.sub("%.", lambda found: tokens.get(found.group(0), found.group(0)), options.proxy_command)
