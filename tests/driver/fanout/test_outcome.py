# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a host says is an enemy's word: answers, last words, exit codes."""

from __future__ import annotations

import json
import pathlib
import typing as t
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crashready.fanout.conversation import converse
from crashready.fanout.outcome import CAUSES, Failure, Outcome, failure_of_exit, pack_facts, read_answer
from crashready.fanout.program import build_program
from crashready.fanout.rack_facts import save
from crashready.fanout.stream import Stream
from crashready.inventory_hosts import Target


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "garbage"),
        (b"not zlib", "garbage"),
        (zlib.compress(b"{"), "garbage"),
        (zlib.compress(b"[" * 200_000), "garbage"),
        (zlib.compress(b"[]"), "garbage"),
        (zlib.compress(b'{"facts": 1}'), "garbage"),
        (zlib.compress(b'{"facts": {"schema": "x"}}'), "garbage"),
        (zlib.compress(b'{"failed": "Traceback"}'), "collector"),
        (zlib.compress(b" " * (17 * 1024 * 1024)), "too-much"),
    ],
)
def test_answers_that_are_none(answer: bytes, cause: str) -> None:
    with pytest.raises(Failure) as found:
        read_answer(answer)
    assert found.value.cause == cause


def test_facts_come_back_as_they_were() -> None:
    facts = {"schema": 1, "nics": [{"name": "eth0\u00e9"}]}
    assert (
        Outcome("h", "ssh", packed=read_answer(zlib.compress(json.dumps({"facts": facts}).encode()))).facts() == facts
    )
    assert Outcome("h", "ssh", packed=pack_facts(facts)).facts() == facts


def test_each_host_has_a_file_of_its_own(tmp_path: pathlib.Path) -> None:
    """Names of inventories are any text; 200 letters of a foreign script are more bytes than a file's name takes."""
    hosts = ["web1", "a/b", "a_b", "..", "_.", "../../etc/passwd", "\u0436" * 200, "\u0436" * 201, "\udc80"]
    save(tmp_path, [Outcome(host, "ssh", packed=pack_facts({"host": ascii(host)})) for host in hosts])
    kept = {json.loads(path.read_text())["host"]: path.name for path in tmp_path.iterdir()}
    assert sorted(kept) == sorted(map(ascii, hosts))
    assert kept[ascii("web1")] == "web1.json"


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (93, "", "old-python"),
        (94, "", "no-python"),
        (127, "sh: 1: sudo: not found", "sudo-missing"),
        (127, "bash: sudo: command not found", "sudo-missing"),
        (127, "zsh:1: command not found: sudo", "sudo-missing"),
        (127, "fish: Unknown command: sudo", "sudo-missing"),
        (127, "sh: command not found", "no-python"),
        (1, "sudo: a password is required", "sudo-password"),
        (1, "sudo: 1 incorrect password attempt", "sudo-wrong-password"),
        (1, "me is not in the sudoers file.  This incident will be reported.", "sudo-refused"),
        (1, "Sorry, user me is not allowed to execute '/bin/sh' as root on h.", "sudo-refused"),
        (1, "sudo: sorry, you must have a tty to run sudo", "sudo-terminal"),
        (1, "rbash: line 1: /bin/sh: restricted: cannot specify `/' in command names", "restricted"),
        (1, "This account is currently not available.", "no-shell"),
        (1, "This service allows sftp connections only.", "no-exec"),
        (128, "fatal: Interactive git shell is not enabled. (git-shell)", "no-exec"),
        (1, "crashready: no answer within the time limit", "timeout"),
        (None, "", "lost"),
        (0, "", "garbage"),
        (3, "\x1b[2J\x00", "garbage"),
    ],
)
def test_last_words(code: int | None, said: str, cause: str) -> None:
    found = failure_of_exit(code, said)
    assert found.cause == cause
    assert not set(found.says) & set("\x1b\x00\n")


def test_every_cause_says_what_to_do() -> None:
    for name in CAUSES:
        after = Outcome("h", "ssh", cause=name, address="10.0.0.1").next
        assert after
        assert "{" not in after


class Scripted(Stream):
    """A host that sends what it was given, in the pieces that it was given in."""

    def __init__(self, chunks: list[bytes], code: int | None = 1, said: str = "") -> None:
        self.chunks, self.code, self.words = chunks, code, said
        self.sent = b""

    def send(self, data: bytes, end: bool, deadline: float) -> None:
        self.sent += data

    def receive(self, deadline: float) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    def said(self) -> str:
        return self.words

    def finish(self) -> tuple[int | None, str]:
        return self.code, self.words

    def close(self) -> None:
        self.chunks = []


PROGRAM = build_program(("kernel",), 5, {})
TARGET = Target("h", "h")


def answer_of(facts: t.Any, mark: str = PROGRAM.mark) -> bytes:
    data = zlib.compress(json.dumps({"facts": facts}).encode())
    return "\n{0} {1} {2}\n".format(mark, len(data), zlib.crc32(data)).encode() + data


@given(st.binary(max_size=300), st.integers(1, 40), st.binary(max_size=20))
def test_an_answer_is_found_in_any_noise_and_in_any_pieces(noise: bytes, size: int, after: bytes) -> None:
    whole = noise + answer_of({"schema": 1}) + after
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    packed = converse(lambda command: Scripted(pieces), TARGET, PROGRAM, 5)
    assert Outcome("h", "ssh", packed=packed).facts() == {"schema": 1}


@given(st.lists(st.binary(max_size=200), max_size=6), st.none() | st.integers(0, 255), st.text(max_size=200))
def test_garbage_is_a_failure_with_a_cause(chunks: list[bytes], code: int | None, said: str) -> None:
    with pytest.raises(Failure) as found:
        converse(lambda command: Scripted([chunk for chunk in chunks if chunk], code, said), TARGET, PROGRAM, 5)
    assert found.value.cause in CAUSES


@pytest.mark.parametrize(
    ("chunks", "cause"),
    [
        ([answer_of({"schema": 1})[:-1]], "lost"),
        ([answer_of({"schema": 1})[:-4] + b"xxxx"], "garbage"),
        (["\n{0} 999999999 1\n".format(PROGRAM.mark).encode()], "too-much"),
        ([b"x" * 65536] * 5, "too-much"),
        (["{0} {1}".format(PROGRAM.mark, "9" * 400).encode() * 800], "garbage"),
        ([answer_of({"schema": 1}, mark="crashready0000000000000000")], "garbage"),
    ],
)
def test_answers_that_lie(chunks: list[bytes], cause: str) -> None:
    with pytest.raises(Failure) as found:
        converse(lambda command: Scripted(list(chunks)), TARGET, PROGRAM, 5)
    assert found.value.cause == cause
