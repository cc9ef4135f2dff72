# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The machine that this code runs on."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import posixpath
import signal
import socket
import stat
import subprocess
import threading
import time
import typing as t

from .._core import ethtool
from .._core.errors import ParseError
from .base import READ_LIMIT, Completed, DriverInfo, FileStatus, Host, Space, Unreadable
from .links import resolve

__all__ = ["LocalHost"]

#: Of each of a process's two outputs; the rest is read and dropped, so the process still ends by itself.
OUTPUT_LIMIT = 8 * 1024 * 1024
#: A daemon left behind may hold the pipes open; after the process itself ended they get this long.
_DRAIN_S = 1.0
_CHUNK = 256 * 1024
#: An unprivileged login has no sbin in PATH on Debian, yet modinfo, dmidecode and others live there.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")

_REASONS = {
    errno.ENOENT: "not found",
    errno.ENOTDIR: "not a directory",
    errno.EISDIR: "is a directory",
    errno.ELOOP: "too many symbolic links",
    errno.EIO: "input/output error",
    errno.EINVAL: "invalid argument",
    errno.EOPNOTSUPP: "not supported by the driver",
    errno.ENODEV: "no such device",
}


class LocalHost(Host):
    """Reads the live machine, or a directory that holds another one's files.

    With another `root` nothing is run and no ioctl is made: both would answer
    for the running kernel and not for what lies below the root.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = "" if root == "/" else os.path.realpath(root)

    @property
    def euid(self) -> int:
        return os.geteuid()

    def read_bytes(self, path: str, limit: int = READ_LIMIT, offset: int = 0) -> bytes:
        # O_NONBLOCK: a FIFO put into a crash folder must not hold the collector.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            descriptor = os.open(self._outside(path), flags)
        except (OSError, ValueError) as exc:
            raise self._unreadable(path, exc) from exc
        try:
            return _read_regular(descriptor, path, limit, offset)
        except (OSError, OverflowError, ValueError) as exc:
            raise self._unreadable(path, exc) from exc
        finally:
            os.close(descriptor)

    def listdir(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._outside(path)))
        except (OSError, ValueError) as exc:
            raise self._unreadable(path, exc) from exc

    def readlink(self, path: str) -> str:
        try:
            return os.readlink(self._outside(path, follow_last=False))
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno == errno.EINVAL:
                raise Unreadable(path, "not a symbolic link") from exc
            raise self._unreadable(path, exc) from exc

    def realpath(self, path: str) -> str:
        if self._root:
            return resolve(path, self._link_of)
        try:
            return os.path.realpath(path)
        except (OSError, ValueError):  # a NUL byte in the path
            return path

    def lstat(self, path: str) -> FileStatus:
        try:
            found = os.lstat(self._outside(path, follow_last=False))
        except (OSError, ValueError) as exc:
            raise self._unreadable(path, exc) from exc
        return FileStatus(
            kind=_kind(found.st_mode),
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size,
            mtime=found.st_mtime,
        )

    def space(self, path: str) -> Space:
        here = self.realpath(path)
        while True:
            try:
                found = os.statvfs(self._root + here)
            except (OSError, ValueError) as exc:
                missing = isinstance(exc, OSError) and exc.errno in (errno.ENOENT, errno.ENOTDIR)
                if not missing or here == "/":
                    raise self._unreadable(path, exc) from exc
                here = posixpath.dirname(here)
                continue
            # Not f_bfree: ext4 counts 16 MiB there that not even root can allocate (its reserved clusters).
            return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)

    def run(
        self,
        argv: t.Sequence[str],
        timeout_s: float = 60,
        env: t.Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Completed:
        if self._root:
            raise Unreadable(argv[0], "commands are not run in another root")
        try:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                list(argv),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(env),
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            raise self._unreadable(argv[0], exc) from exc
        return _finish(process, argv[0], timeout_s, stdin)

    def driver_info(self, interface: str) -> DriverInfo:
        return DriverInfo(*ethtool.unpack_drvinfo(self._ethtool(interface, ethtool.pack_drvinfo())))

    def channels(self, interface: str) -> dict[str, int]:
        return ethtool.unpack_channels(self._ethtool(interface, ethtool.pack_channels()))

    def statistics(self, interface: str) -> dict[str, int]:
        try:
            count = ethtool.statistics_count(self._ethtool(interface, ethtool.pack_drvinfo()))
            if not count:
                return {}
            names = self._ethtool(interface, ethtool.pack_statistics_names(count))
            return ethtool.unpack_statistics(names, self._ethtool(interface, ethtool.pack_statistics(count)))
        except ParseError as exc:
            raise Unreadable(interface, str(exc)) from exc

    def _ethtool(self, interface: str, command: bytes) -> bytes:
        if self._root:
            raise Unreadable(interface, "the driver is not asked about another root")
        buffer = array.array("B", command)
        try:
            request = ethtool.pack_request(interface, buffer.buffer_info()[0])
            # AF_INET may be missing in a container; any socket carries the ioctl.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as carrier:
                fcntl.ioctl(carrier.fileno(), ethtool.SIOCETHTOOL, request)
        except ParseError as exc:
            raise Unreadable(interface, "not found") from exc
        except OSError as exc:
            if exc.errno == errno.ENODEV:
                raise Unreadable(interface, "not found") from exc
            raise self._unreadable(interface, exc) from exc
        return buffer.tobytes()

    def _outside(self, path: str, follow_last: bool = True) -> str:
        """Where the operating system finds a path of the host."""
        if not self._root:
            return path
        return self._root + resolve(path, self._link_of, follow_last)

    def _link_of(self, path: str) -> str | None:
        try:
            return os.readlink(self._root + path)
        except (OSError, ValueError):
            return None

    def _unreadable(self, path: str, error: Exception) -> Unreadable:
        if not isinstance(error, OSError) or error.errno is None:
            return Unreadable(path, "not a valid path")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Unreadable(path, "permission denied" if self.euid == 0 else "permission denied (not root)")
        return Unreadable(path, _REASONS.get(error.errno) or os.strerror(error.errno))


def _read_regular(descriptor: int, path: str, limit: int, offset: int) -> bytes:
    """Reads files alone: /dev nodes can have side effects, and nothing a collector wants lives there."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise Unreadable(path, "not a regular file")
    if offset:
        os.lseek(descriptor, offset, os.SEEK_SET)
    chunks = []
    left = limit
    while left > 0:
        chunk = os.read(descriptor, min(left, _CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        return "device"
    return "other"


def _environment(extra: t.Mapping[str, str] | None) -> dict[str, str]:
    """The caller's own, in the C locale, with the sbin directories in PATH."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    env.pop("LANGUAGE", None)  # gettext reads it before LC_ALL
    env.update({"LC_ALL": "C", "LANG": "C"})
    path = [part for part in env.get("PATH", "").split(":") if part]
    env["PATH"] = ":".join(path + [part for part in _SBIN if part not in path])
    env.update(extra or {})
    return env


class _Reader(threading.Thread):
    """Keeps the first OUTPUT_LIMIT bytes of a pipe and drains the rest."""

    def __init__(self, pipe: t.IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        try:
            while True:
                chunk = os.read(self._pipe.fileno(), _CHUNK)
                if not chunk:
                    self._pipe.close()
                    return
                self._kept += chunk[: OUTPUT_LIMIT - len(self._kept)]
        except (OSError, ValueError):
            return

    def text(self) -> str:
        """What came so far."""
        return bytes(self._kept).decode("utf-8", "replace")


def _finish(process: subprocess.Popen[bytes], program: str, timeout_s: float, stdin: str | None) -> Completed:
    # Both were asked for as pipes, so neither is None.
    out, err = (_Reader(t.cast("t.IO[bytes]", pipe)) for pipe in (process.stdout, process.stderr))
    if process.stdin is not None:
        threading.Thread(target=_feed, args=(process.stdin, stdin or ""), daemon=True).start()
    try:
        rc = process.wait(timeout_s)
    except subprocess.TimeoutExpired as exc:
        _kill_group(process)
        raise Unreadable(program, "timed out after {0:g} s".format(timeout_s)) from exc
    except BaseException:  # Ctrl-C: the process is in a session of its own and would not see it
        _kill_group(process)
        raise
    deadline = time.monotonic() + _DRAIN_S
    for reader in (out, err):
        reader.join(max(0.0, deadline - time.monotonic()))
    return Completed(rc, out.text(), err.text())


def _feed(pipe: t.IO[bytes], text: str) -> None:
    try:
        pipe.write(text.encode("utf-8", "surrogateescape"))
        pipe.close()
    except (OSError, ValueError):  # the process did not read it all
        return


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """The whole session: a timed-out shell script must not leave its children behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
    except (OSError, subprocess.TimeoutExpired):  # gone already, or asleep in the kernel
        return
