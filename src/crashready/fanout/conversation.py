# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The talk with one host: the command, the password for sudo, the program, the answer.

What a login shell prints around the answer is skipped; how much it may print is
bounded. The program is sent before anything came back, so that no round trip is
lost. With a password for sudo it waits for the command's word that sudo let it
through: what is sent otherwise would be taken for further passwords, and three wrong
ones lock an account in some places.
"""

from __future__ import annotations

import re
import time
import typing as t
import zlib

from ..inventory_hosts import Become, Target
from .outcome import ANSWER_LIMIT_BYTES, Failure, failure_of_exit, read_answer
from .program import Program
from .stream import Stream

__all__ = ["command_for", "converse"]

#: What a login shell may print before the answer.
_NOISE_LIMIT = 256 * 1024
_PROMPT = "crashready-password:"
_LISTEN_S = 0.5


def command_for(target: Target, program: Program) -> str:
    """The command line for a host. Raises Failure where it cannot be said without quotes."""
    try:
        return program.command(target.interpreter, _sudo(target.become), announce=_sends_password(target.become))
    except ValueError as exc:
        raise Failure("inventory", str(exc)) from exc


def _sends_password(become: Become | None) -> bool:
    return become is not None and become.password is not None


def _sudo(become: Become | None) -> tuple[str, ...]:
    if become is None:
        return ()
    ask = ("-S", "-p", _PROMPT) if become.password is not None else ("-n",)
    return (become.program, *become.flags, *ask, "-u", become.user)


def converse(start: t.Callable[[str], Stream], target: Target, program: Program, timeout_s: float) -> bytes:
    """Ask one host; the facts, packed. `start` runs a command there. Raises Failure."""
    deadline = time.monotonic() + timeout_s
    stream = start(command_for(target, program))
    try:
        heard = bytearray()
        if _sends_password(target.become):
            _pass_sudo(stream, t.cast(Become, target.become), program, heard, deadline)
        stream.send(program.payload, True, deadline)
        return read_answer(_answer(stream, program, heard, deadline))
    finally:
        stream.close()


def _pass_sudo(stream: Stream, become: Become, program: Program, heard: bytearray, deadline: float) -> None:
    stream.send((become.password or "").encode() + b"\n", False, deadline)
    while program.ready not in heard:
        try:
            chunk = stream.receive(min(deadline, time.monotonic() + _LISTEN_S))
        except Failure as exc:
            # sudo asks again after a wrong password. The end of its input makes it give up at the first one.
            if exc.cause == "timeout" and time.monotonic() < deadline and "try again" not in stream.said():
                continue
            if exc.cause != "timeout":
                raise
            stream.send(b"", True, time.monotonic() + _LISTEN_S)
            raise failure_of_exit(*_ended(stream, heard)) from exc
        if not chunk:
            raise failure_of_exit(*_ended(stream, heard))
        _keep(heard, chunk, program)


def _ended(stream: Stream, heard: bytearray) -> tuple[int | None, str]:
    """Exit code and words: standard error, then the end of what came in place of an answer."""
    code, said = stream.finish()
    said = said.replace(_PROMPT, " ")
    return code, "{0}\n{1}".format(said[-4096:], heard[-2048:].decode("utf-8", "replace"))


def _keep(heard: bytearray, chunk: bytes, program: Program) -> None:
    heard += chunk
    if len(heard) > _NOISE_LIMIT and program.mark.encode() not in heard:
        raise Failure("too-much", "more than {0} KiB and no answer in it".format(_NOISE_LIMIT >> 10))


def _answer(stream: Stream, program: Program, heard: bytearray, deadline: float) -> bytes:
    """The bytes between the mark and the length that it names."""
    head = re.compile(re.escape(program.mark.encode()) + rb" (\d{1,9}) (\d{1,10})\n")
    found = None
    while found is None or len(heard) < found.end() + int(found[1]):
        chunk = stream.receive(deadline)
        if not chunk:
            break
        _keep(heard, chunk, program)
        found = found or head.search(heard)
        if found and int(found[1]) > ANSWER_LIMIT_BYTES:
            raise Failure("too-much", "an answer of {0} bytes".format(int(found[1])))
        if found is None and len(heard) > _NOISE_LIMIT:
            raise Failure("garbage", "the mark of an answer without one")
    if found is None:
        raise failure_of_exit(*_ended(stream, heard))
    data = bytes(heard[found.end() : found.end() + int(found[1])])
    if len(data) < int(found[1]):
        raise Failure("lost", "{0} of {1} bytes of the answer came".format(len(data), int(found[1])))
    if zlib.crc32(data) != int(found[2]):
        raise Failure("garbage", "the answer was changed on its way: wrong checksum")
    return data
