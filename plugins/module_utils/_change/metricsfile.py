# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program that the timer starts: looks at this host, writes its metrics for node_exporter.

It lives in a zip beside the parts of this package that it needs (plugin_utils/host_program.py makes it).
"""

from __future__ import annotations

import json
import sys
import time
import typing as t

from .._core.metrics import host_samples, render_text
from .._core.text import clean
from .._host.facts import collect_facts
from .._host.local import LocalHost
from .files import write_file

__all__ = ["main"]

_CONFIG_LIMIT = 64 * 1024
#: NICs are judged on the controller, and asking them needs a socket that the service has not.
_SUBSETS = ("kernel", "capture", "crashes")


def main(argv: t.Sequence[str]) -> int:
    """One look: 0 the file is written, 1 it is not; the one of the last time stays, and its timestamp tells."""
    try:
        path = _path(argv[0])
        text = render_text(host_samples(collect_facts(LocalHost(), _SUBSETS), time.time()))
        # Others read it: the exporter runs as its own user.
        write_file(path, text.encode("utf-8"), 0o644)
    except (OSError, ValueError, IndexError) as exc:
        sys.stderr.write("crashready: the metrics are not written: {0}\n".format(clean(str(exc), 1000)))
        return 1
    return 0


def _path(config: str) -> str:
    with open(config, encoding="utf-8") as stream:
        value = json.loads(stream.read(_CONFIG_LIMIT))
    path = value.get("file") if isinstance(value, dict) else None
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError("{0} names no file".format(config))
    return path
