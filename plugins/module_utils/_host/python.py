# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The oldest Python that targets need."""

from __future__ import annotations

import sys

__all__ = ["too_old"]


def too_old() -> str | None:
    """A message where this interpreter is older than 3.9 (Debian 11); None where it will do.

    ansible-core 2.19 still starts modules under 3.8, so this is asked before anything else.
    """
    if sys.version_info >= (3, 9):  # noqa: UP036 - this is the place that asks
        return None
    found = ".".join(str(part) for part in sys.version_info[:3])
    return (
        "this host's Python is {0} ({1}); Crashready needs 3.9 or later, Debian 11 or later. "
        "Next: set ansible_python_interpreter to a newer one, or leave the host out (--limit)"
    ).format(found, sys.executable)
