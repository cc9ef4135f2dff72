# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Exit codes, the same for every command: the worst host counts, BAD before UNKNOWN."""

from __future__ import annotations

__all__ = ["BAD", "FAILED", "UNKNOWN", "USAGE", "WELL", "ToolError"]

WELL = 0
#: Something bad was found, a drill ended unproven, or a soak reproduced a panic.
BAD = 1
#: Something could not be read, or a host could not be reached.
UNKNOWN = 2
#: Wrong usage; argparse's own 2 is remapped to it.
USAGE = 3
#: The tool itself failed.
FAILED = 4


class ToolError(Exception):
    """The command cannot go on. The text says what failed, on what, what was seen and what to do."""
