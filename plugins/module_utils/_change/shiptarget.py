# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Far ends that dumps are copied to: over SSH, or a folder of another filesystem (an NFS export, a mount)."""

from __future__ import annotations

import abc
import contextlib
import errno
import hashlib
import os
import subprocess
import tempfile
import time
import typing as t

from .._core import ship
from .._core.errors import ParseError
from .._core.ship import Settings, Target
from .._core.text import clean

__all__ = ["Absent", "Failed", "Far", "Folder", "Ssh", "mounted", "server_of"]

_CHUNK = 256 * 1024
_ANSWER_LIMIT_S = 3600
_MOUNT_POINT = "/run/crashready-ship/target"


class Failed(Exception):
    """This shipment did not end well; it is tried again later."""


class Far(abc.ABC):
    """A far end. After `put` the file is there under its name, and its checksum was computed there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @abc.abstractmethod
    def put(self, crash: str, name: str, source: t.BinaryIO, size: int, digest: str) -> None:
        """Send one file; one that is there already is well. Raises Failed."""

    def _pour(self, source: t.BinaryIO, write: t.Callable[[bytes], t.Any]) -> None:
        """All of the rest of a file, no faster than allowed."""
        rate, started, sent = self._settings.rate_bytes_s, time.monotonic(), 0
        for chunk in iter(lambda: source.read(min(_CHUNK, rate) if rate else _CHUNK), b""):
            write(chunk)
            sent += len(chunk)
            if rate:
                time.sleep(max(0.0, sent / rate - (time.monotonic() - started)))


def _machine() -> str:
    with contextlib.suppress(OSError), open("/etc/machine-id", encoding="ascii") as stream:
        return stream.read(64)
    return ""


class Absent(Far):
    """A far end that cannot be had now."""

    def __init__(self, settings: Settings, why: str) -> None:
        super().__init__(settings)
        self._why = why

    def put(self, crash: str, name: str, source: t.BinaryIO, size: int, digest: str) -> None:
        """Say why not."""
        raise Failed(self._why)


class Ssh(Far):
    """A POSIX shell with sha256sum at the other end of ssh."""

    def __init__(self, settings: Settings, way: t.Callable[[], tuple[str, str | None]]) -> None:
        super().__init__(settings)
        self._way = way
        self._argv: list[str] = []

    def put(self, crash: str, name: str, source: t.BinaryIO, size: int, digest: str) -> None:
        """Look what is there, send the rest, have it checked and named."""
        target = t.cast("Target", self._settings.target)
        folder = "{0}/{1}/{2}".format(target.folder, self._settings.name, crash)
        part = ship.part_name(name, _machine())
        try:
            answer = ship.parse_answer(self._run(ship.probe_script(folder, name, part)))
        except ParseError as exc:
            raise Failed(str(exc)) from exc
        if answer.digest is not None:
            other = ship.far_name_error(name, answer.digest, digest)
            if other:
                raise Failed(other)
            return
        offset = answer.part_bytes if answer.part_bytes <= size else 0
        problem = ship.too_large(size - offset, answer.free_bytes)
        if problem:
            raise Failed("{0}: {1}".format(name, problem))
        source.seek(offset)
        self._run(ship.put_script(folder, part, offset), source)
        said = self._run(ship.commit_script(folder, name, part, digest))
        if said.split() != ["kept", digest]:
            raise Failed("{0}: the far end did not say that it is kept: {1}".format(name, clean(said, 120)))

    def _run(self, script: str, source: t.BinaryIO | None = None) -> str:
        if not self._argv:
            address, proxy = self._way()
            self._argv = ["ssh", *ship.ssh_options(self._settings, proxy), "--", address]
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    [*self._argv, script],
                    stdin=subprocess.DEVNULL if source is None else subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            except FileNotFoundError as exc:
                raise Failed("ssh is not installed") from exc
            with process:
                try:
                    if source is not None and process.stdin is not None:
                        # Its end is seen below: a broken pipe alone does not say why.
                        with contextlib.suppress(BrokenPipeError):
                            self._pour(source, process.stdin.write)
                            process.stdin.flush()
                        with contextlib.suppress(BrokenPipeError):
                            process.stdin.close()
                        process.stdin = None
                    out = process.communicate(timeout=_ANSWER_LIMIT_S)[0]
                except subprocess.TimeoutExpired as exc:
                    raise Failed("the far end did not answer within {0} s".format(_ANSWER_LIMIT_S)) from exc
                finally:
                    if process.poll() is None:
                        process.kill()
            if process.returncode != 0:
                errors.seek(0)
                said = errors.read(8192).decode("utf-8", "replace")
                raise Failed(ship.far_end_error(process.returncode, said))
        return out[:65536].decode("utf-8", "replace")


class Folder(Far):
    """A folder of a filesystem that is mounted here. It has to be another one than the root's."""

    def __init__(self, settings: Settings, path: str, below: str = "", source: str = "") -> None:
        super().__init__(settings)
        self._path, self._below, self._source = path, below, source

    def put(self, crash: str, name: str, source: t.BinaryIO, size: int, digest: str) -> None:
        """Copy, read back, compare, name."""
        if not os.path.ismount(self._path):
            # Written below the mount point it would fill the root filesystem, and be hidden by the next mount.
            raise Failed("{0} is not mounted".format(self._path))
        self._check_source()
        folder = os.path.join(self._path, self._below, self._settings.name, crash)
        final, part = os.path.join(folder, name), os.path.join(folder, ship.part_name(name, _machine()))
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if os.path.lexists(final):
                other = ship.far_name_error(name, _digest_of(final), digest)
                if other:
                    raise Failed(other)
                return
            space = os.statvfs(folder)
            problem = ship.too_large(size, space.f_bavail * space.f_frsize)
            if problem:
                raise Failed("{0}: {1}".format(name, problem))
            self._copy(source, part, digest)
            _name(part, final)
        except OSError as exc:
            raise Failed("{0}: {1}".format(name, exc.strerror or exc)) from exc

    def _check_source(self) -> None:
        if not self._source:
            return
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
            there = ship.mount_source(stream.read(4 * 1024 * 1024), os.path.realpath(self._path))
        if there != self._source:
            told = "{0}: {1} is mounted there, not {2}"
            raise Failed(told.format(self._path, clean(there or "nothing", 120), self._source))

    def _copy(self, source: t.BinaryIO, part: str, digest: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=0) as sink:
                source.seek(0)
                self._pour(source, lambda chunk: _write_whole(sink, chunk))
                os.fsync(sink.fileno())
                # What is read back has to come from there and not from this host's memory.
                os.posix_fadvise(sink.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if _digest_of(part) != digest:
                raise Failed("what was read back from {0} differs; it is sent anew".format(os.path.dirname(part)))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def _write_whole(sink: t.BinaryIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[sink.write(left) or 0 :]


def _digest_of(path: str) -> str:
    found = hashlib.sha256()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            found.update(chunk)
    return found.hexdigest()


def _name(part: str, final: str) -> None:
    """A link and not a rename, which would replace a file of that name; a rename where there are no links."""
    try:
        os.link(part, final, follow_symlinks=False)
        os.unlink(part)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.rename(part, final)
    folder = os.open(os.path.dirname(final), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def server_of(target: Target) -> str:
    """The host of an export such as nas:/crashes or [2001:db8::1]:/crashes."""
    return target.export.rpartition(":/")[0].strip("[]")


@contextlib.contextmanager
def mounted(target: Target) -> t.Iterator[str]:
    """An NFS export, mounted while it is copied to. The unit has a mount namespace of its own: nobody else sees it.

    Raises Failed.
    """
    try:
        os.makedirs(_MOUNT_POINT, mode=0o700, exist_ok=True)
    except OSError as exc:
        raise Failed("{0}: {1}".format(_MOUNT_POINT, exc.strerror)) from exc
    # soft: a server that is gone ends the copy with an error and does not hold the host.
    options = ",".join(word for word in ("soft,timeo=100,retrans=3,nosuid,nodev,noexec", target.options) if word)
    _mount(["mount", "-t", "nfs", "-o", options, target.export, _MOUNT_POINT])
    try:
        yield _MOUNT_POINT
    finally:
        with contextlib.suppress(Failed):
            _mount(["umount", "-l", _MOUNT_POINT])


def _mount(argv: t.Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=180, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Failed("{0}: {1}".format(argv[0], exc)) from exc
    if done.returncode != 0:
        raise Failed("{0}: {1}".format(argv[0], clean(done.stderr.decode("utf-8", "replace"), 240)))
