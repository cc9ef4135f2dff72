# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The few words of QEMU's machine protocol that the rack needs."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import typing as t

from .errors import LabError

__all__ = ["execute"]


def execute(folder: pathlib.Path, command: str, arguments: t.Mapping[str, t.Any] | None = None) -> t.Any:
    """Run one command on the socket `qmp` in a guest's folder and return its answer.

    Raises LabError when QEMU does not answer within ten seconds or refuses.
    """
    with contextlib.ExitStack() as stack:
        # The path of a unix socket may have 107 characters; a run directory's may be longer.
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        stack.callback(os.close, handle)
        link = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        link.settimeout(10)
        try:
            link.connect("/proc/self/fd/{0}/qmp".format(handle))
            stream = stack.enter_context(link.makefile("rw", encoding="utf-8"))
            _answer(stream)
            for name, given in (("qmp_capabilities", None), (command, arguments)):
                stream.write(json.dumps({"execute": name, **({"arguments": given} if given else {})}) + "\n")
                stream.flush()
                reply = _answer(stream)
        except (OSError, ValueError) as exc:
            raise LabError("{0}: QEMU's control socket: {1}".format(folder, exc)) from exc
    return reply


def _answer(stream: t.TextIO) -> t.Any:
    """The next reply; events in between are skipped."""
    for _ in range(1000):
        line = stream.readline()
        if not line:
            raise LabError("QEMU closed its control socket")
        message = json.loads(line)
        if "error" in message:
            raise LabError("QEMU refused: {0}".format(message["error"].get("desc", message["error"])))
        if "return" in message:
            return message["return"]
        if "QMP" in message:
            return None
    raise LabError("QEMU sends events but no answer")
