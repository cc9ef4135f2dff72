# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Downloads that go on where a connection broke, within bounds. urllib alone: no further dependency."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import typing as t
import urllib.error
import urllib.request

__all__ = ["Download", "DownloadError", "Progress", "download_to", "quiet"]

#: Called with what is being fetched, bytes so far and, where it is known, bytes in all.
Progress = t.Callable[[str, int, t.Optional[int]], None]

_TIMEOUT_S = 30
_TRIES = 6
_CHUNK = 1024 * 1024
#: `Range` counts bytes as they are sent, so nothing may be compressed on the way.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "crashready"}
_BROKEN = (OSError, http.client.HTTPException)


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """A progress that says nothing."""


class DownloadError(Exception):
    """It could not be fetched. `missing` is true where the server has no such file."""

    def __init__(self, url: str, told: str, missing: bool = False) -> None:
        super().__init__("{0}: {1}".format(url, told))
        self.missing = missing


class Download:
    """A file on a web server as a stream. A broken connection is taken up again where it broke."""

    def __init__(self, url: str, limit: int, start: int = 0, progress: Progress = quiet) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise DownloadError(url, "only http and https are fetched")
        self.url = url
        self.position = start
        self.total: int | None = None
        self._limit = limit
        self._progress = progress
        self._tag: str | None = None
        self._tries = 0
        self._answer: t.Any = None
        self._open()

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._answer is not None:
            with contextlib.suppress(*_BROKEN):
                self._answer.close()
            self._answer = None

    def _open(self) -> None:
        headers = dict(_HEADERS)
        if self.position:
            headers["Range"] = "bytes={0}-".format(self.position)
            if self._tag:
                headers["If-Range"] = self._tag
        try:
            request = urllib.request.Request(self.url, headers=headers)  # noqa: S310  http alone, see __init__
            self._answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 416 and self.position:
                raise DownloadError(self.url, "it is shorter than what was fetched of it before") from exc
            raise DownloadError(self.url, "HTTP {0}".format(exc.code), exc.code in (404, 410)) from exc
        except _BROKEN as exc:
            raise DownloadError(self.url, str(getattr(exc, "reason", None) or exc)) from exc
        if self.position and self._answer.status != 206:
            self.close()
            raise DownloadError(self.url, "the file changed, or the server cannot go on in the middle")
        self._tag = self._tag or self._answer.headers.get("ETag")
        length = self._answer.headers.get("Content-Length", "")
        if length.isdigit():
            self.total = self.position + int(length)
            if self.total > self._limit:
                self.close()
                raise DownloadError(self.url, "{0} bytes, more than the limit of {1}".format(self.total, self._limit))

    def read(self, size: int = _CHUNK) -> bytes:
        """At most `size` bytes, b"" at the end. Raises DownloadError where it cannot be taken up again."""
        while True:
            told = "the connection ended early"
            try:
                if self._answer is None:
                    self._open()
                data: bytes = self._answer.read(min(size, _CHUNK))
                if data or self.total is None or self.position >= self.total:
                    self._arrived(data)
                    return data
            except _BROKEN as exc:
                told = str(exc) or type(exc).__name__
            self.close()
            self._tries += 1
            if self._tries >= _TRIES:
                raise DownloadError(self.url, "{0} at byte {1}".format(told, self.position))
            time.sleep(min(2 ** (self._tries - 1), 16) * 0.25)

    def _arrived(self, data: bytes) -> None:
        if data:
            self._tries = 0
        self.position += len(data)
        if self.position > self._limit:
            raise DownloadError(self.url, "more than the limit of {0} bytes".format(self._limit))
        self._progress(self.url, self.position, self.total)


def download_to(url: str, path: str, limit: int, progress: Progress = quiet) -> None:
    """Fetch into `path`, by way of `path`.part: what an interrupted run left is gone on with.

    Raises DownloadError and OSError. The caller compares a build id or digest: a part of an
    older file of the same name would be found out there.
    """
    part = path + ".part"
    try:
        start = os.path.getsize(part)
    except FileNotFoundError:
        start = 0
    try:
        stream = Download(url, limit, start, progress)
    except DownloadError as exc:
        if not start or exc.missing:
            raise
        os.unlink(part)
        start, stream = 0, Download(url, limit, 0, progress)
    with stream, open(part, "ab" if start else "wb") as target:
        while True:
            data = stream.read()
            if not data:
                break
            target.write(data)
    os.replace(part, path)
