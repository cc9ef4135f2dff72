# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Where the store is. Standard library alone: also what works without a store asks this."""

from __future__ import annotations

import os
import re

__all__ = ["VARIABLE", "default_file", "file_of", "store_url"]

#: The environment variable that names another store than the default one: an URL or a path.
VARIABLE = "CRASHREADY_STORE"

_SCHEME = re.compile(r"[a-z][a-z0-9+_.-]*://", re.I)


def default_file() -> str:
    """`$XDG_STATE_HOME/crashready/store.sqlite3`, by default below ~/.local/state (XDG Base Directory 0.8)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the specification: a relative path is to be ignored
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "crashready", "store.sqlite3")


def store_url(asked: str | None = None) -> str:
    """SQLAlchemy's URL of the store: what was asked for, else CRASHREADY_STORE, else the default file.

    A path becomes an URL of SQLite; `postgres://` and `postgresql://` get the driver psycopg.
    """
    wanted = asked or os.environ.get(VARIABLE) or default_file()
    if not _SCHEME.match(wanted):
        return "sqlite:///" + os.path.abspath(os.path.expanduser(wanted))
    scheme, rest = wanted.split("://", 1)
    if scheme.lower() in ("postgres", "postgresql"):
        return "postgresql+psycopg://" + rest
    return wanted


def file_of(url: str) -> str | None:
    """The file of an SQLite URL; None for a server, and for SQLite in memory."""
    if not url.startswith(("sqlite://", "sqlite+pysqlite://")):
        return None
    path = url.split("://", 1)[1].split("?", 1)[0]
    return path[1:] if path.startswith("/") and path != "/:memory:" and len(path) > 1 else None
