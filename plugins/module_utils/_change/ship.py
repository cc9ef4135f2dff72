# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program that copies dumps elsewhere, run by a systemd service after the normal boot, by a timer and by a path.

It encrypts where that is wanted, sends, has the far end compute the checksum, and keeps in one small file what went and
when to try again. It lives in a zip beside the parts of this package that it needs.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
import time
import typing as t

from .._core import ship
from .._core.drillrecord import STATE_PATH as DRILL_STATE
from .._core.errors import CoreError
from .._core.routes import Way
from .._core.ship import Entry, Settings
from .._core.text import clean
from .._host.base import Unreadable
from .._host.crashes import is_crash_name
from .._host.local import LocalHost
from .._host.routes import find_way
from .shiptarget import Absent, Failed, Far, Folder, Ssh, mounted, server_of

__all__ = ["main", "run_once"]

_CONFIG_LIMIT = 256 * 1024
_CRASHES_LIMIT = 256
_FILES_LIMIT = 256
_CHUNK = 1024 * 1024
_SEAL_LIMIT_S = 6 * 3600


def main(argv: t.Sequence[str]) -> int:
    """`argv`: the settings' file; or "connect DEVICE ADDRESS PORT", for ssh. 0: nothing is left to do; 1: something."""
    if argv and argv[0] == "connect":
        return _connect(argv[1], argv[2], int(argv[3]))
    try:
        with open(argv[0], encoding="utf-8") as stream:
            settings = ship.parse(stream.read(_CONFIG_LIMIT))
        return run_once(settings, argv[1] if len(argv) > 1 else ship.STATE)
    except (OSError, CoreError, ValueError, IndexError) as exc:
        _say("crashready: " + clean(str(exc), 600))
        return 1


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _connect(device: str, address: str, port: int) -> int:
    """A connection over one NIC, handed to ssh as its descriptor (ssh_config(5): ProxyUseFdpass)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode("ascii") + b"\0")
        made.settimeout(20)
        try:
            made.connect((address, port))
        except OSError as exc:
            _say("no connection to {0} over {1}: {2}".format(address, device, exc.strerror or exc))
            return 1
        made.setblocking(True)
        with socket.socket(fileno=os.dup(1)) as out:
            out.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])
    return 0


def run_once(settings: Settings, state_path: str = ship.STATE) -> int:
    """One run over all crashes. 0: nothing is left to do; 1: something failed, or waits for its time."""
    os.makedirs(os.path.dirname(state_path), mode=0o700, exist_ok=True)
    with open(state_path + ".lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run is at work")
            return 0
        state = _read_state(state_path)
        return _Run(settings, state, lambda: _keep_state(state_path, state)).all()


def _keep_state(path: str, state: t.Mapping[str, t.Any]) -> None:
    with open(path + ".new", "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(ship.render_state(state))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)


def _read_state(path: str) -> dict[str, dict[str, t.Any]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return ship.parse_state(stream.read(16 * 1024 * 1024))
    except FileNotFoundError:
        return {}


class _Run:
    """One run: its settings, what is known of every crash, and how that is kept."""

    def __init__(self, settings: Settings, state: dict[str, dict[str, t.Any]], keep: t.Callable[[], None]) -> None:
        self._settings, self._state, self._keep = settings, state, keep
        self._now_s = time.time()

    def all(self) -> int:
        """Every crash that has something left to do, oldest first."""
        names = self._crashes()
        for name in set(self._state) - set(names):
            del self._state[name]
        todo = [name for name in names if self._due(name)]
        left = [name for name in names if name not in todo and self._state.get(name, {}).get("attempts")]
        failed = list(left)
        if todo:
            with self._far() as far:
                failed += [name for name in todo if not self._one(name, far)]
        for name in left:
            entry = self._state[name]
            wait = max(0, int(entry["next_try_s"] - self._now_s))
            _say("{0}: tried {1} times, again in {2} s: {3}".format(name, entry["attempts"], wait, entry["said"]))
        self._keep()
        return 1 if failed else 0

    def _crashes(self) -> list[str]:
        """Names of the directories; what kdump-tools could not have made is nobody's business here."""
        try:
            names = sorted(os.listdir(self._settings.crash_folder))
        except FileNotFoundError:
            return []
        found = []
        for name in [name for name in names if is_crash_name(name)][-_CRASHES_LIMIT:]:
            status = os.lstat(os.path.join(self._settings.crash_folder, name))
            # Of somebody else's making: a link or a folder that another user may change is not followed.
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
                found.append(name)
            else:
                _say("{0}: no directory of root's alone, left alone".format(clean(name, 80)))
        return found

    def _due(self, name: str) -> bool:
        entry = self._state.get(name)
        return entry is None or entry["next_try_s"] <= self._now_s or entry["next_try_s"] > self._now_s + 7 * 86400

    @contextlib.contextmanager
    def _far(self) -> t.Iterator[Far | None]:
        """The far end for this run. One that cannot be had fails when it is used, so that encryption goes on."""
        target = self._settings.target
        with contextlib.ExitStack() as stack:
            far: Far | None = None
            if target is not None and target.kind == "ssh":
                far = Ssh(self._settings, lambda: self._ssh_way(target))
            elif target is not None and target.kind == "folder":
                far = Folder(self._settings, target.folder, source=target.export)
            elif target is not None:
                try:
                    self._nfs_check(server_of(target))
                    far = Folder(self._settings, stack.enter_context(mounted(target)), target.folder)
                except Failed as exc:
                    far = Absent(self._settings, str(exc))
            yield far

    def _ssh_way(self, target: ship.Target) -> tuple[str, str | None]:
        """(address, command that connects where a NIC has to be chosen). Raises Failed."""
        address, way = self._way(target.host)
        if way is None or way.usual:
            return address, None
        words = [sys.executable, "-I", os.path.abspath(sys.argv[0]), "connect", way.device, address, str(target.port)]
        return address, " ".join(shlex.quote(word).replace("%", "%%") for word in words)

    def _nfs_check(self, server: str) -> None:
        """mount(8) cannot be told a NIC: where the usual way is suspect and another is there, that has to be said."""
        _address, way = self._way(server)
        if way is not None and not way.usual:
            raise Failed("NFS cannot be sent {0}; give that way a route of its own, or use SSH".format(way.reason))

    def _way(self, host: str) -> tuple[str, Way | None]:
        try:
            address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as exc:
            raise Failed("{0} has no address: {1}".format(host, exc)) from exc
        if not self._settings.avoid:
            return address, None
        try:
            way = find_way(LocalHost(), address, self._settings.avoid)
        except (CoreError, Unreadable) as exc:
            raise Failed(clean(str(exc), 300)) from exc
        if way.suspect and self._settings.suspect == "refuse":
            raise Failed("refused: " + way.reason)
        if way.suspect or not way.usual:
            _say("to {0}: {1}".format(host, way.reason))
        return address, way

    def _one(self, name: str, far: Far | None) -> bool:
        """One crash. Whether nothing of it is left to do."""
        entry = self._state.setdefault(name, {"files": {}, "attempts": 0, "next_try_s": 0.0, "said": ""})
        path = os.path.join(self._settings.crash_folder, name)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            complete = _Crash(self._settings, name, folder, entry).go(far)
            if complete:
                entry.update(attempts=0, next_try_s=0.0, said="")
            return complete
        except (Failed, OSError) as exc:
            told = clean(str(exc), 400)
            entry.update(attempts=entry["attempts"] + 1, said=told)
            entry["next_try_s"] = ship.next_try_s(self._settings, entry["attempts"], time.time())
            _say("{0}: {1}".format(name, told))
            return False
        finally:
            os.close(folder)
            self._keep()


class _Crash:
    """One crash directory, held by a descriptor: nobody can put another one in its place meanwhile."""

    def __init__(self, settings: Settings, name: str, folder: int, entry: dict[str, t.Any]) -> None:
        self._settings, self._name, self._folder, self._entry = settings, name, folder, entry

    def go(self, far: Far | None) -> bool:
        """Encrypt, ship, remove. False: it is written to just now. Raises Failed and OSError."""
        entries = self._entries()
        newest = max((status.st_mtime for _entry, status in entries), default=0.0)
        if 0 <= time.time() - newest < self._settings.settle_s:
            return False
        seal, send, refused = ship.chosen_files([entry for entry, _status in entries], self._settings.encrypt)
        for text in refused:
            _say("{0}: not sent: {1}".format(self._name, text))
        for name in seal:
            self._seal(name)
        for name in send if far is not None else ():
            self._send(name, t.cast("Far", far))
        if not self._settings.keep_plain:
            self._remove_plain()
        return True

    def _entries(self) -> list[tuple[Entry, os.stat_result]]:
        found = []
        for name in sorted(os.listdir(self._folder))[:_FILES_LIMIT]:
            status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
            kind = (
                "file" if stat.S_ISREG(status.st_mode) else "link" if stat.S_ISLNK(status.st_mode) else "special file"
            )
            found.append((Entry(name, kind, status.st_size), status))
        return found

    def _open(self, name: str) -> t.BinaryIO:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Failed("{0} is no file any more".format(name))
        return os.fdopen(handle, "rb", buffering=0)

    def _seal(self, name: str) -> None:
        """Encrypt one file beside itself; under the final name there is a whole one or none."""
        kind = self._settings.encrypt
        done, part = name + ship.SUFFIXES[kind], ".crashready-" + name
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=self._folder)
        out = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
        try:
            with self._open(name) as source, os.fdopen(out, "wb") as sink:
                _encrypt(kind, self._settings.recipients, source, sink)
                sink.flush()
                os.fsync(sink.fileno())
                if os.fstat(sink.fileno()).st_size <= os.fstat(source.fileno()).st_size // 64:
                    raise Failed("{0} made too little of {1}".format(kind, name))
            os.rename(part, done, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=self._folder)
            raise

    def _send(self, name: str, far: Far) -> None:
        with self._open(name) as source:
            status = os.fstat(source.fileno())
            known = self._entry["files"].get(name)
            if known is None or known[:2] != [status.st_size, status.st_mtime]:
                known = self._entry["files"][name] = [status.st_size, status.st_mtime, _digest(source), False]
            if known[3]:
                return
            far.put(self._name, name, source, status.st_size, known[2])
            known[3] = True
            _say("{0}/{1}: kept there, {2} bytes, SHA-256 {3}".format(self._name, name, status.st_size, known[2]))

    def _remove_plain(self) -> None:
        """The dumps alone: the kernel log stays for the triage. Not while a drill waits to open its dump."""
        if os.path.lexists(DRILL_STATE):
            return
        there = set(os.listdir(self._folder))
        for name in sorted(there):
            sealed = name + ship.SUFFIXES[self._settings.encrypt]
            if name.startswith(("dump.", "vmcore.")) and sealed in there:
                os.unlink(name, dir_fd=self._folder)
                _say("{0}/{1}: removed, {2} is kept".format(self._name, name, sealed))


def _digest(source: t.BinaryIO) -> str:
    found = hashlib.sha256()
    source.seek(0)
    for chunk in iter(lambda: source.read(_CHUNK), b""):
        found.update(chunk)
    source.seek(0)
    return found.hexdigest()


def _encrypt(kind: str, recipients: str, source: t.BinaryIO, sink: t.BinaryIO) -> None:
    with tempfile.TemporaryDirectory(prefix="crashready-") as scratch, tempfile.TemporaryFile() as errors:
        argv = {
            "age": ["age", "--encrypt", "--recipients-file", recipients],
            # A key ring of its own, and the one key: nothing that lies in root's home decides who can read it.
            "gpg": [
                *("gpg", "--homedir", scratch, "--batch", "--no-tty", "--quiet", "--no-options", "--compress-algo"),
                *("none", "--trust-model", "always", "--recipient-file", recipients, "--encrypt"),
            ],
        }[kind]
        try:
            done = subprocess.run(argv, stdin=source, stdout=sink, stderr=errors, timeout=_SEAL_LIMIT_S, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired) as exc:
            raise Failed(
                "{0}: {1}".format(kind, "not installed" if isinstance(exc, FileNotFoundError) else exc)
            ) from exc
        if done.returncode != 0:
            errors.seek(0)
            raise Failed("{0}: {1}".format(kind, clean(errors.read(4096).decode("utf-8", "replace"), 300)))
