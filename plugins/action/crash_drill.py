# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Does those steps of a drill that belong to the controller: waiting for the host, and keeping the outcome."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible_collections.rackops.crashready.plugins.action import crash_facts
from ansible_collections.rackops.crashready.plugins.module_utils._core import drilloutcome

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_PAUSE_S = 5
#: A host that still runs the old boot after so long was not panicked.
_NEVER_S = 300
_TIMELINE_LIMIT = 50
#: An answer that died with the host must not be waited for: TCP alone would keep ssh there for hours.
_SSH_ALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"


class ActionModule(crash_facts.ActionModule):
    """Runs the module of the same name on the host, unless the step is one of the controller's."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        action = self._task.args.get("action")
        if action == "wait":
            return self._wait(task_vars)
        if action == "conclude":
            return self._conclude(task_vars)
        arguments = self._task.args
        if action in ("check", "prepare", "panic"):
            arguments.setdefault("controller_boot_id", _own_boot_id())
            arguments["members"] = drilloutcome.members_from(arguments.get("members"))
        return super().run(tmp, task_vars)

    # Waiting

    def _wait(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "nothing is waited for in check mode"}
        before = str(self._task.args.get("boot_id_before") or "")
        limit_s = _seconds(self._task.args.get("timeout_s", 3600))
        if not before:
            raise AnsibleActionFail(
                "action=wait: boot_id_before is needed, the boot in which the host was told to panic"
            )
        self._shorten_silence()
        started = time.monotonic()
        timeline: list[dict[str, t.Any]] = []
        time.sleep(_seconds(self._task.args.get("delay_s", 15)))
        while True:
            said, boot_id = self._ask(task_vars, before)
            now_s = round(time.monotonic() - started, 1)
            if (not timeline or timeline[-1]["said"] != said) and len(timeline) < _TIMELINE_LIMIT:
                timeline.append({"at_s": now_s, "said": said})
            result = {"changed": False, "boot_id": boot_id, "after_s": now_s, "timeline": timeline}
            if said == "new boot":
                return {**result, "returned": True}
            if said == "old boot" and now_s >= min(_NEVER_S, limit_s):
                return {**result, "returned": True, "msg": "the host never left the boot in which it was to panic"}
            if now_s >= limit_s:
                return {**result, "returned": False, "msg": _silence(timeline, now_s)}
            time.sleep(_PAUSE_S)

    def _ask(self, task_vars: dict[str, t.Any], before: str) -> tuple[str, str | None]:
        result, error = None, None
        try:
            self._connection.reset()
            result = self._execute_module(
                module_name="rackops.crashready.crash_drill", module_args={"action": "peer"}, task_vars=task_vars
            )
        except AnsibleConnectionFailure:
            # Its text has the whole ssh command; that nobody answers is all that is known.
            error = "no connection"
        except (AnsibleError, OSError) as exc:
            error = str(exc)
        return drilloutcome.heard(result, error, before), (result or {}).get("boot_id")

    def _shorten_silence(self) -> None:
        try:
            given = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", "{0} {1}".format(given, _SSH_ALIVE).strip())
        except (AnsibleError, AttributeError, KeyError):
            return  # another kind of connection

    # Keeping

    def _conclude(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        name = str(self._task.args.get("name") or task_vars.get("inventory_hostname"))
        steps = self._task.args.get("steps") or {}
        outcome = drilloutcome.judge_steps(name, steps, self._task.check_mode)
        dest = self._task.args.get("dest")
        if dest:
            _write(os.path.abspath(os.path.expanduser(str(dest))), outcome)
        return {"changed": False, "outcome": outcome}


def _own_boot_id() -> str | None:
    try:
        with open(_BOOT_ID, encoding="ascii") as stream:
            return stream.read(64).strip()
    except (OSError, ValueError):
        return None


def _seconds(value: t.Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise AnsibleActionFail("{0!r} is no number of seconds".format(value)) from exc


def _silence(timeline: list[dict[str, t.Any]], now_s: float) -> str:
    """What is known of a host that did not come back."""
    told = ", ".join("{0:.0f} s: {1}".format(entry["at_s"], entry["said"]) for entry in timeline[-6:])
    return (
        "the host did not come back within {0:.0f} s after it was told to panic. Heard of it: {1}. Whether its capture "
        "kernel started, hangs or saves still, its console shows; what it wrote until then lies in its crash folder "
        "and in /var/lib/crashready/capture.json".format(now_s, told)
    )


def _write(path: str, outcome: dict[str, t.Any]) -> None:
    """For the user's own eyes: it says which host would lose a crash. Whole or not at all."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        temporary = "{0}.{1}".format(path, os.getpid())
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(outcome, stream, indent=1, sort_keys=True)
            stream.write("\n")
        os.replace(temporary, path)
    except OSError as exc:
        raise AnsibleActionFail(
            "the outcome of the drill cannot be written: {0}. Next: set crash_drill_records to a folder that you "
            "can write to".format(exc)
        ) from exc
