# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes text from a host fit to be kept and shown."""

from __future__ import annotations

import re

__all__ = ["clean", "human_bytes"]

# C0, DEL and C1 controls, the bidirectional overrides and the line separators:
# whatever moves the cursor, hides text or breaks a table on the operator's terminal.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")


def clean(text: str, limit: int = 256) -> str:
    """One line of printable text of at most `limit` characters.

    >>> clean("2.1-0\\x1b[31m\\n")
    '2.1-0 [31m'
    """
    line = _UNFIT.sub(" ", text[: limit * 4]).strip()
    return line if len(line) <= limit else line[: limit - 1] + "\u2026"


def human_bytes(count: int) -> str:
    """A size for people, in binary units.

    >>> human_bytes(268435456)
    '256 MiB'
    >>> human_bytes(1610612736)
    '1.5 GiB'
    """
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while abs(size) >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return "{0:.1f} {1}".format(size, units[0]).replace(".0 ", " ")
