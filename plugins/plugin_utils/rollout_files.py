# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Files of a rollout on the controller: bounded, whole or not at all. What they mean is `_core/rollout_record.py`.

Nothing of `_core` is imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import typing as t

__all__ = ["locked", "read_text", "write_text"]


def read_text(path: str, limit: int) -> str | None:
    """The text at a path; None where there is none. Raises OSError, and ValueError for no text within `limit`."""
    try:
        with open(path, encoding="utf-8") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise ValueError("it is no file")
            text = stream.read(limit + 1)
    except FileNotFoundError:
        return None
    if len(text) > limit:
        raise ValueError("it is larger than {0} bytes".format(limit))
    return text


def write_text(path: str, text: str) -> None:
    """Put a text in place. Raises OSError."""
    temporary = "{0}.{1}.new".format(path, os.getpid())
    # It says which hosts would lose a crash.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


@contextlib.contextmanager
def locked(path: str) -> t.Iterator[None]:
    """One worker of Ansible at a time, by a lock on the folder of a file: nothing is left behind. Raises OSError."""
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
