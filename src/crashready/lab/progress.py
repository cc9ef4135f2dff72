# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Progress on standard error: each step with its wall time."""

from __future__ import annotations

import contextlib
import sys
import time
import typing as t

__all__ = ["Progress"]


class Progress:
    """Says what is being done and how long it took; results never come this way."""

    def __init__(self, stream: t.TextIO | None = None, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line, unless quiet."""
        if not self._quiet:
            print(text, file=self._stream or sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, what: str) -> t.Iterator[None]:
        """Announce a step, then its end with the seconds it took, failed or not."""
        self.say("{0} ...".format(what))
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.say("{0}: FAILED after {1:.1f} s".format(what, time.monotonic() - begin))
            raise
        self.say("{0}: {1:.1f} s".format(what, time.monotonic() - begin))
