# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The third tier: stacks, network devices and module versions out of a vmcore, by drgn or else by `crash`."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import typing as t

from .._core.text import clean
from .._host.base import Unreadable
from .._host.local import LocalHost
from .symbols import Symbols

__all__ = ["NotRead", "by_crash", "by_drgn", "reader_at_hand"]

_MEMORY_BYTES = 8 * 1024**3
_CPU_S = 300
_WALL_S = 400
_CRASH_LINES = 400

# ulimit before exec: `crash` starts from a shell that reads nothing of the dump. It writes temporary files: 64 MiB.
_LIMITED = 'ulimit -v "$1" && ulimit -t "$2" && ulimit -c 0 && ulimit -f 131072 || exit 126; shift 2; exec "$@"'
#: Panic task, all processors, network devices. `crash` runs no shell escape of the dump's making: these are fixed.
_CRASH_COMMANDS = "set scroll off\nbt\nbt -a\nnet\nquit\n"


class NotRead(Exception):
    """The dump could not be read this way; the text is the reason."""


def reader_at_hand() -> str | None:
    """ "drgn", else "crash" where that is installed, else None."""
    if importlib.util.find_spec("drgn") is not None:
        return "drgn"
    return "crash" if shutil.which("crash") else None


def by_drgn(core: str, symbols: Symbols, wanted: t.Collection[str], want_log: bool = False) -> dict[str, t.Any]:
    """What `drgn_child` prints: {crashed, processors, netdevs, modules, dmesg, problems, drgn}. Raises NotRead."""
    asked = {
        "core": core,
        "vmlinux": symbols.vmlinux,
        "modules": symbols.modules,
        "wanted": sorted(wanted),
        "memory_bytes": _MEMORY_BYTES,
        "cpu_s": _CPU_S,
        "dmesg": want_log,
    }
    # -P: the directory in which somebody stands is no place to import from.
    argv = [sys.executable, "-P", "-m", "crashready.vmcore.drgn_child"]
    try:
        done = LocalHost().run(argv, _WALL_S, {"DEBUGINFOD_URLS": ""}, json.dumps(asked))
    except Unreadable as exc:
        raise NotRead("drgn: {0}".format(exc.reason)) from exc
    if done.rc != 0:
        lines = [clean(line) for line in done.err.splitlines() if line.strip()]
        ended = "was ended by signal {0}".format(-done.rc) if done.rc < 0 else "ended with {0}".format(done.rc)
        told = lines[-1] if lines else "no message"
        raise NotRead("drgn {0} (limits: {1} s, 8 GiB): {2}".format(ended, _CPU_S, told))
    try:
        result = json.loads(done.out)
    except ValueError as exc:
        raise NotRead("drgn gave no answer that can be read ({0} bytes)".format(len(done.out))) from exc
    if not isinstance(result, dict) or "failed" in result:
        raise NotRead("drgn: {0}".format(clean(str(result.get("failed")) if isinstance(result, dict) else "no object")))
    return result


def by_crash(core: str, symbols: Symbols) -> dict[str, t.Any]:
    """The same question to the program `crash`, whose answer stays text: {crash_output [lines]}. Raises NotRead."""
    argv = ["sh", "-c", _LIMITED, "sh", str(_MEMORY_BYTES // 1024), str(_CPU_S)]
    argv += ["crash", "-s", "--no_crashrc", symbols.vmlinux, core]
    try:
        done = LocalHost().run(argv, _WALL_S, {"PAGER": "cat", "TERM": "dumb"}, _CRASH_COMMANDS)
    except Unreadable as exc:
        raise NotRead("crash: {0}".format(exc.reason)) from exc
    lines = [clean(line, 200) for line in done.out.splitlines()]
    if done.rc != 0 or not any(line.startswith("PID:") for line in lines):
        told = [clean(line) for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
        raise NotRead("crash ended with {0}: {1}".format(done.rc, told[-1] if told else "no message"))
    return {"crash_output": lines[:_CRASH_LINES], "problems": []}
