# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One run of `crashready soak`: its folder, its repetitions, what the hosts said.

The folder of the run (`playbook_run`) has in `run.json` under `soak` what was asked for and the id of every soak that
was begun, written before it begins; and in `outcomes/ID.json` what each host has of it. A soak without that file may
have begun, one without a host in it never did. A host that was asked again and knows less (it is away, its record is
gone) takes nothing from what is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import secrets
import sys
import time
import typing as t

from . import collection
from ._core.errors import ParseError
from ._core.experiment import span_text
from ._core.experimenttrial import trial_of
from ._core.soakrecord import ID, NAME, PHASES, new_id, of_pair, outcome
from ._core.text import clean
from .exits import BAD, UNKNOWN, WELL, ToolError
from .playbook_run import Event, RunFolder, View, ask_passwords, last_run, run_playbook
from .playbook_view import view_for
from .rack_run import show_end

if t.TYPE_CHECKING:
    from .playbook_run import Finished
    from .remember import Memory

__all__ = ["Listener", "SoakRun"]

#: Version of what `run.json` has under `soak`, and of the files of `outcomes/`.
SCHEMA = 1
#: What a host says that never had a soak.
_NO_RECORD = outcome(None, None, None)["reason"]
_REARM = collection.NAME + ".wait_armed"
_OUTCOMES_LIMIT = 64 * 1024 * 1024
#: How much an outcome says, as in the store.
_KNOWS = {"lost": 0, "running": 1, "stopped": 2, "silent": 2, "panic": 3}
_PLAN: dict[str, t.Callable[[t.Any], bool]] = {
    "schema": lambda value: value == SCHEMA and not isinstance(value, bool),
    "name": lambda value: isinstance(value, str) and NAME.fullmatch(value) is not None,
    "phase": lambda value: value in PHASES,
    "pairs": lambda value: isinstance(value, list) and bool(value) and all(_is_pair(each) for each in value),
    "profile": lambda value: isinstance(value, str),
    "parameters": lambda value: isinstance(value, dict),
    "seconds": lambda value: isinstance(value, int),
    "repeat": lambda value: isinstance(value, int) and value >= 1,
    "soaks": lambda value: isinstance(value, list) and all(isinstance(one, str) and ID.fullmatch(one) for one in value),
}

Row = dict[str, t.Any]


def _is_pair(value: t.Any) -> bool:
    sides = [value.get(side) for side in ("server", "client")] if isinstance(value, dict) else []
    return bool(sides) and all(
        isinstance(side, dict) and all(isinstance(side.get(key), str) for key in ("host", "nic")) for side in sides
    )


class Listener:
    """A view that hears what the hosts say of a soak, and lets another one show the events."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.parts: dict[tuple[str, str], Row] = {}  #: by host and NIC
        self.failures: dict[str, str] = {}  #: why a host went no further
        self.unreachable: set[str] = set()

    def event(self, event: Event) -> None:
        """Take the fact `crashready_soak`, and the last failure of each host."""
        self._view.event(event)
        kind, data = event.get("event"), event.get("event_data") or {}
        host, result = data.get("host"), data.get("res")
        if not isinstance(host, str) or not isinstance(result, dict):
            return
        facts = result.get("ansible_facts")
        found = facts.get("crashready_soak") if isinstance(facts, dict) else None
        if isinstance(found, dict):
            self._take(host, found)
        if kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            if kind == "runner_on_unreachable":
                self.unreachable.add(host)
            told = str(result.get("msg") or "failed without a word")
            self.failures[host] = clean(" ".join(told.split()), 600)

    def _take(self, host: str, found: Row) -> None:
        record = found.get("record")
        nic = str(record.get("nic")) if isinstance(record, dict) else ""
        self.parts[(host, nic)] = {"host": host, "record": record, "outcome": found.get("outcome")}

    def close(self) -> None:
        """There are no more."""
        self._view.close()


class SoakRun:
    """A run that is about to begin or to go on."""

    def __init__(self, folder: RunFolder, words: list[str], plan: Row) -> None:
        self.folder = folder
        self.words = words
        self.plan = plan
        self.problems: list[str] = []
        self.refusal = WELL  #: an exit code: what this run could not do, whatever the verdict is
        self._passwords: dict[str, str] | None = None

    @classmethod
    def make(cls, words: list[str], plan: Row, parent: pathlib.Path | None) -> SoakRun:
        """A new one; without a name it is an experiment of its own."""
        folder = RunFolder.make("soak", words, parent)
        (folder.path / "outcomes").mkdir(mode=0o700)
        folder.record["soak"] = {"schema": SCHEMA, "soaks": [], **plan, "name": plan["name"] or folder.path.name}
        folder.write()
        return cls(folder, words, folder.record["soak"])

    @classmethod
    def open(cls, asked: str) -> SoakRun:
        """An earlier one, by its folder or "last". Raises ToolError for half of one and for another version."""
        path = last_run("soak") if asked == "last" else pathlib.Path(asked)
        folder = RunFolder.open(path, "soak")
        plan = folder.record.get("soak")
        wrong = [key for key, fits in _PLAN.items() if not isinstance(plan, dict) or not fits(plan.get(key))]
        if wrong or not isinstance(plan, dict):
            says = (
                "{0} does not say what its soak was ({1}): it is half-written or of another version. Nothing was "
                "touched; the records lie on the hosts, and what was collected is in {0}/outcomes"
            )
            raise ToolError(says.format(path, ", ".join(wrong)))
        words = [str(word) for word in folder.record["argv"]]
        if "--check" in words:
            raise ToolError("{0} was a run with --check, which leaves nothing to go on with".format(path))
        return cls(folder, words, plan)

    # --- what is known ---

    def parts(self, soak_id: str | None = None) -> list[Row]:
        """What the hosts said of one soak, or of all: {host, record, outcome} each. Raises ToolError."""
        found: list[Row] = []
        for one in self.plan["soaks"] if soak_id is None else [soak_id]:
            found += self._read(self._path(one))
        return found

    def _path(self, soak_id: str) -> pathlib.Path:
        return self.folder.path / "outcomes" / (soak_id + ".json")

    @staticmethod
    def _read(path: pathlib.Path) -> list[Row]:
        try:
            with path.open(encoding="utf-8") as stream:
                found = json.loads(stream.read(_OUTCOMES_LIMIT))
            if found["schema"] != SCHEMA:
                raise ValueError("schema {0}".format(clean(str(found["schema"]), 20)))
            return [{key: part[key] for key in ("host", "record", "outcome")} for part in found["parts"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
            says = (
                "{0}: half-written or of another version ({1}). The records lie on the hosts: move it away, then again"
            )
            raise ToolError(says.format(path, clean(str(exc), 200))) from exc

    def _outcomes(self, soak_id: str) -> list[str]:
        return [_word(part) for part in self.parts(soak_id) if part["record"] is not None]

    def _words_of_pairs(self, soak_id: str) -> list[str]:
        """What became of each pair: where one host panicked the other one was stopped by that."""
        parts = [part for part in self.parts(soak_id) if part["record"] is not None]
        found = []
        for each in self.plan["pairs"]:
            names = [each[side]["host"] for side in ("server", "client")]
            words = [{"outcome": _word(part)} for part in parts if part["host"] in names]
            found += [str(of_pair(words)["outcome"])] if words else []
        return found

    @property
    def is_running(self) -> bool:
        """Whether a host said last that its part goes on."""
        return any("running" in self._outcomes(soak_id) for soak_id in self.plan["soaks"])

    @property
    def is_open(self) -> bool:
        """Whether there is more to hear or to do."""
        return self.left() > 0 or any(self._is_unheard(soak_id) for soak_id in self.plan["soaks"])

    def _is_unheard(self, soak_id: str) -> bool:
        outcomes = self._outcomes(soak_id)
        return not self._path(soak_id).exists() or bool({"running", "lost"} & set(outcomes))

    def left(self) -> int:
        """How many repetitions were never begun. One that no host has a record of was not; one unheard of may be."""
        begun = sum(bool(self._outcomes(soak_id)) or not self._path(soak_id).exists() for soak_id in self.plan["soaks"])
        return max(0, int(self.plan["repeat"]) - begun)

    # --- what is done ---

    def take_up(self, memory: Memory, wait: bool) -> None:
        """Ask the hosts for every soak that was begun and whose end is not known."""
        for soak_id in list(self.plan["soaks"]):
            if self._is_unheard(soak_id):
                self._play(memory, soak_id, {"crashready_collect_only": True, "crashready_wait": wait}, [])

    def refuse(self, why: t.Iterable[str], code: int) -> None:
        """Something could not be done."""
        self.problems += why
        self.refusal = BAD if BAD in (code, self.refusal) else max(code, self.refusal)

    def go_on(self, memory: Memory, yes: list[str], arguments: argparse.Namespace) -> None:
        """The repetitions that are left; after one that could not be, or did damage, no further one is begun."""
        while self.left() > 0 and not self.is_running:
            if not self._may_follow(arguments):
                return
            number, soak_id = int(self.plan["repeat"]) - self.left() + 1, self._new_id(arguments.check)
            told = "soak {0}: {1} of {2}, {3} of traffic"
            span = span_text(self.plan["seconds"])
            print(told.format(soak_id, number, self.plan["repeat"], span), file=sys.stderr)
            ours = {"crashready_wait": not arguments.detach, "crashready_collect_only": False}
            if arguments.yes_management:
                ours["crashready_force_management"] = True
            done = self._play(memory, soak_id, ours, yes)
            words = self._words_of_pairs(soak_id)
            if done.status == "canceled":
                self.refuse(["stopped here; what was begun goes on on the hosts by itself"], UNKNOWN)
            elif arguments.check or not words:
                self._refused(done)
            elif "stopped" in words:
                self._end_early()
            else:
                continue
            return

    def _refused(self, done: Finished) -> None:
        if done.code and not self.problems:
            show_end(self.folder, done.status)
            self.refuse([], UNKNOWN)

    def _end_early(self) -> None:
        """A load that was stopped since it did damage is not put on again by itself."""
        if self.left() > 0:
            self.problems.append("a soak was stopped: the {0} that are left were not begun".format(self.left()))

    def _new_id(self, check: bool) -> str:
        soak_id = new_id(time.time(), secrets.token_bytes(2))
        if not check:
            self.plan["soaks"].append(soak_id)
            self.folder.write()
        return soak_id

    def _may_follow(self, arguments: argparse.Namespace) -> bool:
        """Whether another repetition may begin: after a panic the hosts have to be armed again."""
        ended = [self._words_of_pairs(soak_id) for soak_id in self.plan["soaks"]]
        last = next((words for words in reversed(ended) if words), [])
        if "lost" in last:
            self.refuse(["a host of the last soak was lost: no further one is begun; look at its console"], UNKNOWN)
            return False
        if "panic" not in last:
            return True
        hosts = sorted({each[side]["host"] for each in self.plan["pairs"] for side in ("server", "client")})
        print("a host has panicked: waiting until {0} are armed again".format(", ".join(hosts)), file=sys.stderr)
        ours = {"crashready_hosts": hosts, "crashready_timeout_s": arguments.rearm_timeout}
        done = self._run([_REARM, *self.words[1:], "-e", json.dumps(ours)], listener := Listener(view_for("soak")))
        if done.code != 0:
            told = ["{0}: {1}".format(host, why) for host, why in sorted(listener.failures.items())]
            told = told or ["whether the hosts are armed again could not be seen"]
            self.refuse(
                [*told, "no further soak is begun: the next panic would be lost. Next: crashready check"], UNKNOWN
            )
        return done.code == 0

    def _play(self, memory: Memory, soak_id: str, ours: Row, yes: list[str]) -> Finished:
        variables = {
            "crashready_pairs": self.plan["pairs"],
            "crashready_profile": self.plan["profile"],
            "crashready_soak_parameters": self.plan["parameters"],
            "crashready_seconds": self.plan["seconds"],
            "crashready_phase": self.plan["phase"],
            "crashready_experiment": self.plan["name"],
            "crashready_soak_id": soak_id,
            "crashready_yes_soak": yes,
            **ours,
        }
        listener = Listener(view_for("soak"))
        done = self._run([*self.words, "-e", json.dumps(variables)], listener)
        self._hear(listener, bool(ours.get("crashready_collect_only")))
        if "--check" not in self.words:
            self._keep(memory, soak_id, list(listener.parts.values()))
        return done

    def _hear(self, listener: Listener, collecting: bool) -> None:
        """Which hosts gave no record, and why."""
        parts = listener.parts.values()
        # A host that gave its record failed because of what stands in there; one that never had any did not fail.
        well = {part["host"] for part in parts if part["record"] is not None or _why(part) == _NO_RECORD}
        told = {part["host"]: _why(part) for part in parts}
        told.update(listener.failures)
        told = {host: why for host, why in told.items() if host not in well and (host != "localhost" or not parts)}
        if told:
            lost = {part["host"] for part in parts if _word(part) == "lost"}
            unknown = collecting or bool((listener.unreachable | lost) & set(told))
            says = ["{0}: {1}".format(clean(host, 80), why) for host, why in sorted(told.items())]
            self.refuse(says, UNKNOWN if unknown else BAD)

    def _run(self, words: list[str], listener: Listener) -> Finished:
        if self._passwords is None:
            self._passwords = ask_passwords(words)
        try:
            return run_playbook(words, self.folder, listener, self._passwords)
        finally:
            listener.close()

    def _keep(self, memory: Memory, soak_id: str, heard: list[Row]) -> None:
        """In the folder, and in the store."""
        kept = {(part["host"], _nic(part)): part for part in self.parts(soak_id)}
        for part in heard:
            if part["record"] is None:
                continue
            why = _not_of(part, soak_id)
            if why is not None:
                self.refuse(["{0}: {1}".format(clean(part["host"], 80), why)], UNKNOWN)
                continue
            before = kept.get((part["host"], _nic(part)))
            if before is None or _KNOWS[_word(part)] >= _KNOWS[_word(before)]:
                kept[(part["host"], _nic(part))] = part
            memory.add_soak(part["host"], part["record"], part["outcome"], dt.datetime.now(dt.timezone.utc))
        asked = {each[side]["host"] for each in self.plan["pairs"] for side in ("server", "client")}
        never = {part["host"] for part in heard if part["record"] is None and _why(part) == _NO_RECORD}
        if kept or never == asked:
            self._write(self._path(soak_id), [kept[key] for key in sorted(kept)])

    @staticmethod
    def _write(path: pathlib.Path, parts: list[Row]) -> None:
        temporary = path.with_name(path.name + ".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"schema": SCHEMA, "parts": parts}, stream, sort_keys=True)
        temporary.replace(path)


def _nic(part: Row) -> str:
    return str(part["record"]["nic"]) if isinstance(part["record"], dict) else ""


def _word(part: Row) -> str:
    """The outcome of a part; one that is none says nothing more than that the host was lost."""
    outcome = part["outcome"]
    word = outcome.get("outcome") if isinstance(outcome, dict) else None
    return word if word in _KNOWS else "lost"


def _why(part: Row) -> str:
    found = part["outcome"] if isinstance(part["outcome"], dict) else {}
    return clean(str(found.get("reason") or "it gave no record"), 600)


def _not_of(part: Row, soak_id: str) -> str | None:
    """Why a record cannot be taken; None where it can."""
    try:
        trial = trial_of(part["record"], part["outcome"], part["host"])
    except ParseError as exc:
        return "its record cannot be used: {0}".format(exc)
    return None if trial.soak_id == soak_id else "it has the record of another soak ({0})".format(trial.soak_id)
