# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What came of a host: its facts, or the cause of the failure with what was seen and what to do next."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
import zlib

from .._core.text import clean
from .program import NO_PYTHON, OLD_PYTHON

__all__ = [
    "ANSWER_LIMIT_BYTES",
    "CAUSES",
    "Cause",
    "Failure",
    "Outcome",
    "failure_of_exit",
    "pack_facts",
    "read_answer",
]

#: Of everything that a host may say, compressed; facts of a host with a hundred NICs have some 20 kB.
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
#: Of the same unpacked. A few bytes of zlib can stand for a gigabyte.
_FACTS_LIMIT_BYTES = 16 * 1024 * 1024


class Cause(t.NamedTuple):
    """Why a host has no facts: a heading for several hosts, what to do next, whether another attempt may help."""

    title: str
    next: str
    retry: bool = False


_SSH = "try: ssh {address}"
_PYTHON = "install python3 (3.9 or later) there, or set ansible_python_interpreter for the host"

#: Every cause, in the order in which a summary lists them.
CAUSES: dict[str, Cause] = {
    "inventory": Cause("the inventory's values cannot be used", "look: ansible-inventory -i INVENTORY --host {host}"),
    "no-address": Cause("the name has no address", "set ansible_host, or mend the name service", retry=True),
    "refused": Cause("the connection was refused", "is sshd running there, and on that port?"),
    "unreachable": Cause("no way to the host", "is the host up, and the network?", retry=True),
    "connect-timeout": Cause(
        "no answer to the connection", "is the host up? --connect-timeout waits longer", retry=True
    ),
    "proxy": Cause("the jump host or proxy command failed", _SSH, retry=True),
    "no-ssh": Cause("something else than SSH answers", "is ansible_port right?", retry=True),
    "negotiation": Cause("no SSH algorithm in common", _SSH),
    "key-unknown": Cause(
        "the host's key is not known", "compare its fingerprint at the host, then accept it once with: ssh {address}"
    ),
    "key-changed": Cause(
        "THE HOST'S KEY HAS CHANGED",
        "find out why before anything else; after a new installation: ssh-keygen -R {address}",
    ),
    "login-refused": Cause("the login was refused", _SSH),
    "lost": Cause("the connection was lost", "run again", retry=True),
    "no-exec": Cause("the host takes the login but no command", "a forced command or a subsystem? " + _SSH),
    "no-shell": Cause("the user has no shell", "choose another ansible_user"),
    "restricted": Cause("the login shell is a restricted one", "choose another ansible_user, or ask for a plain shell"),
    "no-python": Cause("no Python is there", _PYTHON),
    "old-python": Cause("the Python there is too old", _PYTHON),
    "sudo-missing": Cause("sudo is not there", "install sudo, or log in as root, or leave --become out"),
    "sudo-password": Cause(
        "sudo wants a password", "give it with --ask-become-pass, or allow NOPASSWD, or leave --become out"
    ),
    "sudo-wrong-password": Cause("sudo does not take the password", "give the right one with --ask-become-pass"),
    "sudo-refused": Cause("sudo does not allow it", "look there: sudo -l"),
    "sudo-terminal": Cause("sudo wants a terminal", "take requiretty out of /etc/sudoers for this user"),
    "timeout": Cause("no answer within the time limit", "--timeout waits longer"),
    "too-much": Cause("the host sends too much", "look at what its login shell prints: " + _SSH),
    "garbage": Cause("the answer cannot be understood", "look at what its login shell prints: " + _SSH),
    "no-space": Cause("there is no room for a temporary file", "free space below /tmp and the user's home there"),
    "collector": Cause("the collectors failed", "this is a bug of Crashready: please report it with the text above"),
    "ansible": Cause("Ansible failed", "try: ansible {host} -i INVENTORY -m rackops.crashready.crash_facts"),
    "interrupted": Cause("not asked any more, since the run was interrupted", "run again"),
}


class Failure(Exception):
    """A host has no facts, for one of CAUSES. `by_system_ssh` says why the system's own ssh could still reach it."""

    def __init__(self, cause: str, says: str, by_system_ssh: str = "") -> None:
        super().__init__("{0}: {1}".format(cause, says))
        self.cause = cause
        self.says = clean(says, 400)
        self.by_system_ssh = by_system_ssh


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one host. The facts are kept compressed: a rack may have ten thousand hosts."""

    host: str
    way: str  #: "ssh" (the connection of this program), "system ssh" or "ansible"
    packed: bytes | None = None  #: zlib of JSON with the facts under "facts"; None: there are none
    cause: str = ""  #: a key of CAUSES where there are no facts
    says: str = ""  #: what was seen, fit for a terminal
    address: str = ""
    note: str = ""  #: why it was not the usual way
    seconds: float = 0.0
    attempts: int = 1

    def facts(self) -> dict[str, t.Any] | None:
        """The facts as the module returns them, None where there are none."""
        if self.packed is None:
            return None
        return t.cast("dict[str, t.Any]", json.loads(zlib.decompress(self.packed))["facts"])

    @property
    def next(self) -> str:
        """What to do about the cause; empty for a host with facts."""
        return CAUSES[self.cause].next.format(host=self.host, address=self.address or self.host) if self.cause else ""


def pack_facts(facts: t.Any) -> bytes:
    """Facts in the form in which an Outcome keeps them."""
    return zlib.compress(json.dumps({"facts": facts}, sort_keys=True).encode(), 6)


def read_answer(data: bytes) -> bytes:
    """The answer of the program, when it is one with facts: an Outcome keeps it as it came. Raises Failure."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, _FACTS_LIMIT_BYTES)
        if unpacker.unconsumed_tail or unpacker.unused_data:
            raise Failure("too-much", "more than {0} MiB of facts".format(_FACTS_LIMIT_BYTES >> 20))
        answer = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as exc:
        raise Failure("garbage", "no JSON in the answer: {0}".format(exc)) from exc
    if isinstance(answer, dict) and isinstance(answer.get("failed"), str):
        raise Failure("collector", answer["failed"][-400:])
    facts = answer.get("facts") if isinstance(answer, dict) else None
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise Failure("garbage", "the answer has no facts")
    return data


# What stands on standard error, or on standard output where a forced command speaks; the first that is found counts.
# sudo's words: plugins/sudoers and src/sudo.c of sudo 1.9; nologin(8); bash's rbash; OpenSSH's session.c.
_SAYS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("sudo-password", re.compile(r"sudo: (?:a password is required|interactive authentication is required)", re.I)),
    ("sudo-wrong-password", re.compile(r"sudo: \d+ incorrect password|Sorry, try again", re.I)),
    ("sudo-terminal", re.compile(r"sudo: (?:sorry, you must have a tty|a terminal is required)", re.I)),
    (
        "sudo-refused",
        re.compile(r"is not in the sudoers file|is not allowed to (?:execute|run sudo)|sudo: unknown user", re.I),
    ),
    (
        "sudo-missing",
        re.compile(r"sudo: (?:command )?not found|(?:command )?not found: sudo|unknown command:? sudo", re.I),
    ),
    ("restricted", re.compile(r"restricted", re.I)),
    ("no-shell", re.compile(r"account is currently not available|no login|nologin|no interactive", re.I)),
    ("no-exec", re.compile(r"allows sftp connections only|git-shell|not allowed to execute|forced command", re.I)),
    ("timeout", re.compile(r"crashready: no answer within the time limit")),
    ("no-python", re.compile(r"(?:sh|python[0-9.]*):? (?:command )?not found", re.I)),
)
_EXITS = {NO_PYTHON: "no-python", OLD_PYTHON: "old-python", 127: "no-python", 126: "no-python"}


def failure_of_exit(code: int | None, said: str) -> Failure:
    """Why a command ended without an answer; `said` is the end of what it wrote."""
    shown = clean(" ".join(said.split()), 300) or "no word"
    if code == OLD_PYTHON:
        return Failure("old-python", "the host has no Python 3.9 or later: {0}".format(shown))
    if code == NO_PYTHON:
        return Failure("no-python", "none of the names that were tried is a program there")
    for cause, pattern in _SAYS:
        if pattern.search(said):
            return Failure(cause, shown)
    if code is None:
        return Failure("lost", "the connection ended before the answer: {0}".format(shown))
    return Failure(_EXITS.get(code, "garbage"), "the command ended with {0}: {1}".format(code, shown))
