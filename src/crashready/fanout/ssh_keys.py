# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The user's private keys: of the agent, and of files. Read once for a run, used by all its connections."""

from __future__ import annotations

import os
import socket
import threading
import typing as t

import paramiko

from .ssh_options import HostOptions

__all__ = ["KeyRing"]

_AGENT_TIMEOUT_S = 20


class _Agent(paramiko.agent.AgentSSH):  # type: ignore[misc]
    """One connection to an agent; requests of several threads go one after the other."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._turn = threading.Lock()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_AGENT_TIMEOUT_S)
        connection.connect(path)
        self._connect(connection)

    def leave(self) -> None:
        """End the connection."""
        with self._turn:
            self._close()

    def _send_message(self, message: t.Any) -> t.Any:
        with self._turn:
            return super()._send_message(message)


class KeyRing:
    """Keys by file and by agent. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, tuple[t.Any, str]] = {}
        self._agents: dict[str, _Agent | None] = {}

    def keys_for(self, options: HostOptions) -> tuple[list[t.Any], list[str]]:
        """The keys to offer, in OpenSSH's order, and why others cannot be.

        First those of the agent that belong to a configured file, then the configured files, then the agent's
        others: a server takes six attempts (MaxAuthTries).
        """
        if not options.use_keys:
            return [], []
        files, problems, wanted = [], [], set()
        for path in options.key_files:
            key, problem, public = self._file(path)
            if public is not None and not options.default_keys:
                wanted.add(public)
            if key is not None:
                files.append(key)
            elif problem and not (options.default_keys and problem == "not found"):
                problems.append("{0}: {1}".format(path, problem))
        agents = list(self._agent(options.agent)) if options.agent else []
        first = [key for key in agents if key.asbytes() in wanted]
        others = [] if options.identities_only else [key for key in agents if key.asbytes() not in wanted]
        held = {key.asbytes() for key in agents}
        files = [key for key in files if key.asbytes() not in held or getattr(key, "public_blob", None)]
        keys = [*first, *files, *others] if not options.default_keys else [*others, *files]
        # A key that needs a passphrase is no news where the agent has it.
        return keys, problems if not first else []

    def _file(self, path: str) -> tuple[t.Any, str, bytes | None]:
        with self._lock:
            if path not in self._files:
                self._files[path] = _read_key(path)
            key, problem = self._files[path]
        return key, problem, key.asbytes() if key is not None else _public_of(path)

    def _agent(self, path: str) -> tuple[t.Any, ...]:
        with self._lock:
            if path not in self._agents:
                try:
                    self._agents[path] = _Agent(path)
                except (OSError, EOFError, paramiko.SSHException, ValueError):
                    self._agents[path] = None
            agent = self._agents[path]
        return agent.get_keys() if agent is not None else ()

    def close(self) -> None:
        """Leave the agents."""
        with self._lock:
            for agent in self._agents.values():
                if agent is not None:
                    agent.leave()
            self._agents.clear()


def _read_key(path: str) -> tuple[t.Any, str]:
    """The key of a file, with its certificate where one lies beside it; else None and why."""
    try:
        if not os.path.isfile(path):
            return None, "not found"
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            try:
                key = kind.from_private_key_file(path)
                break
            except paramiko.PasswordRequiredException:
                return None, "it needs a passphrase: load it into an agent with ssh-add"
            except paramiko.SSHException:
                continue
        else:
            return None, "a kind of key that only the system's ssh can use"
        if os.path.isfile(path + "-cert.pub"):
            key.load_certificate(path + "-cert.pub")
    except (OSError, ValueError, TypeError, IndexError, paramiko.SSHException) as exc:
        return None, "it cannot be read: {0}".format(exc)
    return key, ""


def _public_of(path: str) -> bytes | None:
    """The public key beside a private one that cannot be opened: the agent may hold it. A file may be public itself."""
    try:
        public = path if path.endswith(".pub") else path + ".pub"
        return paramiko.pkey.PublicBlob.from_file(public).key_blob  # type: ignore[no-any-return]
    except (OSError, ValueError, IndexError):
        return None
