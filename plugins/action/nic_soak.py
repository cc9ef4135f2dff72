# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Does those steps of a soak that belong to the controller: which hosts, waiting for them, and what is told of all."""

from __future__ import annotations

import ipaddress
import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.rackops.crashready.plugins.action import crash_facts
from ansible_collections.rackops.crashready.plugins.module_utils._core import soak, soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

#: A lost host must not be waited for as long as TCP would.
_SSH_ALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"
_PAUSE_LEAST_S, _PAUSE_MOST_S = 2.0, 30.0
#: How long a triage may take to read the crash that ended the soak.
_TRIAGE_S = 900.0
_MORE_S = 3600.0
_TIMELINE_LIMIT = 100


class ActionModule(crash_facts.ActionModule):
    """Runs the module of the same name on the host, unless the step is one of the controller's."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        state = self._task.args.get("state")
        try:
            if state == "paired":
                return self._paired()
            if state == "waited":
                return self._waited(task_vars)
            if state == "concluded":
                return self._concluded(task_vars)
        except CoreError as exc:
            raise AnsibleActionFail("{0}. Nothing was done".format(exc)) from exc
        if state in ("looked", "checked", "started"):
            self._task.args["management"] = _own_addresses(task_vars)
        if state == "started":
            try:
                self._task.args["program"] = host_program.pack("soak")
            except (OSError, SyntaxError) as exc:
                says = "cannot make the program from the collection: {0}. Next: install rackops.crashready again"
                raise AnsibleActionFail(says.format(exc)) from exc
            # A host may panic before it has answered.
            self._shorten_silence()
        result = super().run(tmp, task_vars)
        if state == "looked" and "outcome" in result:
            try:
                result = _believed(result)
            except CoreError as exc:
                raise AnsibleActionFail(
                    "what the host says of its soak is not to be believed: {0}".format(exc)
                ) from exc
        result.get("invocation", {}).get("module_args", {}).pop("program", None)
        return result

    # Which hosts

    def _paired(self) -> dict[str, t.Any]:
        arguments = self._task.args
        pairs = soak.pairs_from(arguments.get("pairs"), arguments.get("inventory") or [])
        soak_id = str(arguments.get("soak_id") or "") or soakrecord.new_id(time.time(), os.urandom(2))
        soakrecord.record_path(soak_id)
        hosts = [end.host for pair in pairs for end in pair]
        return {"changed": False, "soak_id": soak_id, "sides": soak.sides_of(pairs), "hosts": hosts}

    # Waiting

    def _waited(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "nothing is waited for in check mode"}
        soak_id = str(self._task.args.get("soak_id") or "")
        soakrecord.record_path(soak_id)
        waiting = _Waiting(soak_id, self._task.args.get("timeout_s"), self._task.args.get("return_limit_s", 1800))
        self._shorten_silence()
        while True:
            said, error = self._ask(task_vars, soak_id)
            found = waiting.heard(said, error, time.monotonic())
            if found is not None:
                return found
            time.sleep(waiting.pause_s)

    def _ask(self, task_vars: dict[str, t.Any], soak_id: str) -> tuple[dict[str, t.Any] | None, str | None]:
        """(what the host said, None) or (None, why it said nothing)."""
        try:
            self._connection.reset()
            result: dict[str, t.Any] = self._execute_module(
                module_name="rackops.crashready.nic_soak",
                module_args={"state": "looked", "soak_id": soak_id},
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure:
            # Its text has the whole ssh command; that nobody answers is all that is known.
            return None, "no connection"
        except (AnsibleError, OSError) as exc:
            return None, str(exc)
        if "outcome" not in result:
            return None, str(result.get("msg") or "no answer")
        if result.get("in_capture"):
            return None, "it is in its capture kernel"
        try:
            return _believed(result), None
        except CoreError as exc:
            return None, str(exc)

    def _shorten_silence(self) -> None:
        try:
            given = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", "{0} {1}".format(given, _SSH_ALIVE).strip())
            # A connection that is kept open has the options that it began with.
            self._connection.reset()
        except (AnsibleError, AttributeError, KeyError):
            return  # another kind of connection, or a host that is away: the task itself finds that out

    # Telling

    def _concluded(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments, of_hosts = self._task.args, task_vars["hostvars"]
        pairs = soak.pairs_from(arguments.get("pairs"), of_hosts)
        facts = {end.host: of_hosts[end.host].get("crashready_soak") or {} for pair in pairs for end in pair}
        found = soak.conclude(pairs, facts, boolean(arguments.get("waited", True)), bool(self._task.check_mode))
        found["failed_pairs"] = found.pop("failed")
        return {"changed": False, **found}


def _believed(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a host said of a soak, record and outcome checked: it may be anything. Raises ParseError."""
    record = result.get("record")
    if record is not None:
        record = soakrecord.parse(soakrecord.render(record))
    return {**result, "record": record, "outcome": soakrecord.check_outcome(result["outcome"])}


class _Waiting:
    """What was heard of one host while its soak runs, and when that is enough."""

    def __init__(self, soak_id: str, timeout_s: t.Any, return_limit_s: t.Any) -> None:
        self._soak_id = soak_id
        self._timeout_s = None if timeout_s in (None, "") else _seconds(timeout_s)
        self._return_limit_s = _seconds(return_limit_s)
        self._started_s: float | None = None
        self._lost_s: float | None = None
        self._pending_s: float | None = None
        self._record: dict[str, t.Any] | None = None
        self._timeline: list[dict[str, t.Any]] = []
        self.pause_s = _PAUSE_LEAST_S

    def heard(self, said: dict[str, t.Any] | None, error: str | None, now_s: float) -> dict[str, t.Any] | None:
        """The result where the waiting is over."""
        if self._started_s is None:
            self._started_s = now_s
        after_s = now_s - self._started_s
        word = "silent ({0})".format(error) if said is None else str(said["outcome"]["outcome"])
        if (not self._timeline or self._timeline[-1]["said"] != word) and len(self._timeline) < _TIMELINE_LIMIT:
            self._timeline.append({"at_s": round(after_s, 1), "said": word})
        if said is None:
            return self._silent(error or "", now_s)
        self._lost_s = None
        self._record = said["record"] or self._record
        planned_s = float((self._record or {}).get("planned_s") or 0)
        self.pause_s = min(max(planned_s / 60, _PAUSE_LEAST_S), _PAUSE_MOST_S)
        limit_s = self._timeout_s if self._timeout_s is not None else planned_s + _MORE_S
        if word != "running" and not self._triage_works(said, now_s):
            return self._result(said["outcome"], said.get("boot_id"))
        if after_s > limit_s:
            return self._result(said["outcome"], said.get("boot_id"))
        return None

    def _triage_works(self, said: dict[str, t.Any], now_s: float) -> bool:
        if not said.get("pending"):
            return False
        self._pending_s = now_s if self._pending_s is None else self._pending_s
        return now_s - self._pending_s < _TRIAGE_S

    def _silent(self, error: str, now_s: float) -> dict[str, t.Any] | None:
        self._lost_s = now_s if self._lost_s is None else self._lost_s
        if now_s - self._lost_s < self._return_limit_s:
            return None
        if self._record is None:
            outcome = soakrecord.outcome(None, None, None)
        else:
            outcome = soakrecord.outcome({**self._record, "state": "running", "reason": None}, None, None)
        told = "the host has not answered for {0:.0f} s ({1}); that alone is no panic. Look at its console"
        outcome["reason"] = told.format(now_s - self._lost_s, error)
        return self._result(outcome, None)

    def _result(self, outcome: dict[str, t.Any], boot_id: t.Any) -> dict[str, t.Any]:
        return {
            "changed": False,
            "soak_id": self._soak_id,
            "boot_id": boot_id,
            "record": self._record,
            "outcome": outcome,
            "timeline": self._timeline,
        }


def _seconds(value: t.Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise AnsibleActionFail("{0!r} is no number of seconds".format(value)) from exc


def _own_addresses(task_vars: t.Mapping[str, t.Any]) -> list[str]:
    """Where Ansible comes to the host by an address and not by a name."""
    try:
        return [str(ipaddress.ip_address(str(task_vars.get("ansible_host"))))]
    except ValueError:
        return []
