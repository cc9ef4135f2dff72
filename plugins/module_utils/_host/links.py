# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Follows symbolic links inside a root that is not the running system's."""

from __future__ import annotations

import posixpath
import typing as t

__all__ = ["resolve"]

#: What Linux follows before it answers ELOOP (path_resolution(7)).
_LINK_LIMIT = 40


def resolve(path: str, link_of: t.Callable[[str], str | None], follow_last: bool = True) -> str:
    """The path with every link replaced, never above "/".

    `link_of` gives the target of a path whose parents are resolved, None where
    that is no link. A part that does not exist stays as it is. After 40 links
    the rest is left unresolved, so the caller meets a link where it wants a file.
    """
    done = "/"
    left = _parts(path)
    links = 0
    while left:
        part = left.pop(0)
        if part == "..":
            done = posixpath.dirname(done)
            continue
        here = posixpath.join(done, part)
        target = link_of(here) if (left or follow_last) else None
        if target is None:
            done = here
            continue
        links += 1
        if links > _LINK_LIMIT:
            return posixpath.join(here, *left)
        if target.startswith("/"):
            done = "/"
        left = _parts(target) + left
    return done


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
