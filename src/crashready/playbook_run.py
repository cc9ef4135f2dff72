# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Runs a playbook of the collection through ansible-runner, and keeps every event of it in a folder.

`harden`, `drill`, `soak` and `pin` share this: one way to start Ansible, to show what
happens on each host, to stop it, and to take up again a run that was stopped. The
folder of a run holds `run.json` (the command, where it was typed, each attempt and how
it ended) and `artifacts/N/` with what ansible-runner writes of attempt N: every event
as JSON in `job_events/`, Ansible's own output in `stdout`. It is for its owner alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import getpass
import json
import os
import pathlib
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import typing as t

from . import collection
from .exits import ToolError

__all__ = ["Finished", "RunFolder", "View", "ask_passwords", "last_run", "run_playbook", "runs_folder"]

SCHEMA = 1
_RUN_LIMIT = 1024 * 1024
#: How often ansible-runner looks whether it has been cancelled, in seconds.
_POLL_S = 1

Event = dict[str, t.Any]

#: Options of ansible-playbook that make it ask, what it asks, what we ask in its place: its own terminal is a
#: pseudo-terminal of ansible-runner.
_QUESTIONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("-K", "--ask-become-pass"), r"^BECOME password.*:\s*?$", "BECOME password: "),
    (("-k", "--ask-pass"), r"^SSH password:\s*?$", "SSH password: "),
    (("-J", "--ask-vault-password", "--ask-vault-pass"), r"^Vault password.*:\s*?$", "Vault password: "),
)


class View(t.Protocol):
    """Hears of each event as it comes."""

    def event(self, event: Event) -> None:
        """One event of ansible-runner."""

    def close(self) -> None:
        """There are no more."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a run of ansible-playbook ended. `status` is ansible-runner's: successful, failed, canceled, timeout."""

    code: int
    status: str
    folder: pathlib.Path


def runs_folder() -> pathlib.Path:
    """Where folders of runs lie: XDG's place for state."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return pathlib.Path(base, "crashready", "runs")


@dataclasses.dataclass
class RunFolder:
    """The folder of one run, which may have had several attempts."""

    path: pathlib.Path
    record: dict[str, t.Any]

    @classmethod
    def make(cls, command: str, argv: t.Sequence[str], parent: pathlib.Path | None = None) -> RunFolder:
        """A new folder for a command. `argv` is what can be given to the command again. Raises ToolError."""
        now = dt.datetime.now(dt.timezone.utc)
        name = "{0:%Y%m%dT%H%M%S}-{1}-{2}".format(now, command, secrets.token_hex(2))
        path = (parent or runs_folder()) / name
        try:
            path.mkdir(mode=0o700, parents=True)
        except OSError as exc:
            if parent is None:  # a home that cannot be written is no reason not to harden a rack
                path = pathlib.Path(tempfile.mkdtemp(prefix="crashready-run-"))
                print(
                    "crashready: {0} cannot be written: this run is kept in {1}".format(runs_folder(), path),
                    file=sys.stderr,
                )
                return cls._begun(path, command, argv)
            says = "the folder {0} for this run cannot be made: {1}. Choose another with --run-folder"
            raise ToolError(says.format(path, exc.strerror)) from exc
        return cls._begun(path, command, argv)

    @classmethod
    def _begun(cls, path: pathlib.Path, command: str, argv: t.Sequence[str]) -> RunFolder:
        record = {"schema": SCHEMA, "command": command, "argv": list(argv), "cwd": os.getcwd(), "attempts": []}
        folder = cls(path, record)
        folder.write()
        return folder

    @classmethod
    def open(cls, path: pathlib.Path, command: str) -> RunFolder:
        """An earlier run of the same command. Raises ToolError."""
        try:
            with (path / "run.json").open(encoding="utf-8") as stream:
                record = json.loads(stream.read(_RUN_LIMIT))
            argv = record["argv"]
            if record["schema"] != SCHEMA or not all(isinstance(word, str) for word in argv):
                raise ValueError("another schema")
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ToolError("{0} is no folder of a run: {1}".format(path, exc)) from exc
        if record.get("command") != command:
            says = "{0} is a run of `crashready {1}`: take that command to go on with it"
            raise ToolError(says.format(path, record.get("command")))
        return cls(path, record)

    def write(self) -> None:
        """Keep the record, whole or not at all."""
        temporary = self.path / "run.json.new"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(self.record, stream, indent=1, sort_keys=True)
        temporary.replace(self.path / "run.json")

    @property
    def report(self) -> pathlib.Path:
        """Where the playbook writes the state of every host."""
        return self.path / "rack.json"

    def events(self) -> t.Iterator[Event]:
        """Every event of every attempt, in order."""
        for attempt in sorted((self.path / "artifacts").glob("*"), key=lambda path: int(path.name)):
            files = (attempt / "job_events").glob("*.json")
            numbered = [path for path in files if path.name.split("-", 1)[0].isdigit()]
            for path in sorted(numbered, key=lambda path: int(path.name.split("-", 1)[0])):
                yield json.loads(path.read_text(encoding="utf-8"))


def last_run(command: str) -> pathlib.Path:
    """The folder of the newest run of a command. Raises ToolError."""
    found = sorted(runs_folder().glob("*-{0}-*/run.json".format(command)))
    if not found:
        raise ToolError("there is no earlier run of `crashready {0}` in {1}".format(command, runs_folder()))
    return found[-1].parent


def ask_passwords(words: t.Sequence[str]) -> dict[str, str]:
    """Ask for what ansible-playbook would ask with these options: {pattern of its prompt: answer}."""
    letters = "".join(word[1:] for word in words if word.startswith("-") and not word.startswith("--"))
    asked = {}
    for names, pattern, prompt in _QUESTIONS:
        if any(word in names for word in words) or names[0][1] in letters:
            asked[pattern] = getpass.getpass(prompt)
    return asked


def run_playbook(
    words: t.Sequence[str],
    folder: RunFolder,
    view: View,
    passwords: t.Mapping[str, str] | None = None,
    cancelled: t.Callable[[], bool] | None = None,
) -> Finished:
    """Run ansible-playbook with `words`, of which the first is the playbook, as another attempt of a run.

    In the main thread Ctrl-C and SIGTERM end Ansible and give the status `canceled`; elsewhere `cancelled` is asked.
    Raises ToolError where the collection does not fit.
    """
    import ansible_runner

    collection.check(collection.chosen_copy())
    if not os.path.isdir(folder.record["cwd"]):
        raise ToolError("the directory {0}, where this run was begun, is gone".format(folder.record["cwd"]))
    ident = str(len(folder.record["attempts"]) + 1)
    attempt: dict[str, t.Any] = {"started": _now(), "words": list(words)}
    folder.record["attempts"].append(attempt)
    folder.write()
    with _stoppable(cancelled) as is_cancelled:
        done = ansible_runner.run(
            private_data_dir=str(folder.path),
            project_dir=folder.record["cwd"],  # ansible.cfg and relative paths are those of where it was typed
            playbook=words[0],
            cmdline=shlex.join(words[1:]),
            ident=ident,
            envvars=_environment(),
            passwords=dict(passwords or {}),
            settings={"pexpect_timeout": _POLL_S, "suppress_ansible_output": True},
            suppress_env_files=True,
            event_handler=_handler(view),
            cancel_callback=is_cancelled,
            quiet=True,
        )
    _forget_environment(folder.path / "artifacts" / ident / "command")
    attempt.update(ended=_now(), status=done.status, code=done.rc)
    folder.write()
    return Finished(int(done.rc), str(done.status), folder.path)


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")


def _environment() -> dict[str, str]:
    from ansible import constants

    env = collection.environment()
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env.get("PATH", os.defpath)])
    # ansible-runner turns the check of host keys off where this variable is not set. It is the user's to decide.
    env["ANSIBLE_HOST_KEY_CHECKING"] = str(bool(constants.HOST_KEY_CHECKING))
    env["ANSIBLE_FORCE_COLOR"], env["ANSIBLE_NOCOLOR"] = "0", "1"
    return env


def _handler(view: View) -> t.Callable[[Event], bool]:
    def handle(event: Event) -> bool:
        view.event(event)
        return True  # it is written to the folder

    return handle


def _forget_environment(path: pathlib.Path) -> None:
    """ansible-runner writes down the whole environment, in which people keep tokens."""
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({key: kept[key] for key in ("command", "cwd") if key in kept}), encoding="utf-8")


@contextlib.contextmanager
def _stoppable(cancelled: t.Callable[[], bool] | None) -> t.Iterator[t.Callable[[], bool]]:
    """A question whether to stop: Ctrl-C, SIGTERM and a closed terminal while this lasts, or what the caller says.

    ansible-runner gives Ansible a session of its own, so none of them reaches it by itself. A SIGHUP that nohup(1)
    or the like has switched off stays so.
    """
    if cancelled is not None or threading.current_thread() is not threading.main_thread():
        yield cancelled or (lambda: False)
        return
    asked = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
