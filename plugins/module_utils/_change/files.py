# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Errors of carrying out a change, and atomic writing of small files."""

from __future__ import annotations

import os
import tempfile
import typing as t

__all__ = ["Snapshot", "Stopped", "write_file"]


class Stopped(Exception):
    """A change failed. Says what, on which object, what was seen, and what to do next."""

    def __init__(self, what: str, seen: str, next_step: str) -> None:
        super().__init__("{0}: {1}. Next: {2}".format(what, seen.rstrip(". "), next_step))


def write_file(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace a file as a whole: after a power cut there is the old one or the new one.

    The temporary name begins with a dot and has no extension, so no *.conf or *.cfg
    folder reads it half-written.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".crashready-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
            os.fchown(stream.fileno(), 0, 0)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Snapshot:
    """Contents of some files, to be put back where what follows fails."""

    def __init__(self, paths: t.Iterable[str]) -> None:
        self._contents: dict[str, tuple[bytes, int] | None] = {}
        for path in paths:
            try:
                with open(path, "rb") as stream:
                    self._contents[path] = (stream.read(), os.fstat(stream.fileno()).st_mode & 0o7777)
            except FileNotFoundError:
                self._contents[path] = None

    def restore(self) -> None:
        """Put every file back as it was; one that was absent goes."""
        for path, content in self._contents.items():
            if content is not None:
                write_file(path, *content)
            elif os.path.lexists(path):
                os.unlink(path)
