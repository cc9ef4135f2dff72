# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Plans a rollout, keeps its record and holds its gate; on the controller, without a connection."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import time
import typing as t
import zoneinfo

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.rackops.crashready.plugins.module_utils._core import (
    rack_view,
    rollout,
    rollout_record,
    rollout_view,
    window,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.plugin_utils import rollout_files

display = Display()

Variables = t.Mapping[str, t.Any]
Result = dict[str, t.Any]

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "action": {
        "type": "str",
        "required": True,
        "choices": ["plan", "begin", "change", "gate", "done", "fail", "end", "report"],
    },
    "record": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str"},
    "batch": {"type": "raw", "default": "1"},
    "canaries": {"type": "raw", "default": 1},
    "consents": {"type": "list", "elements": "str", "default": []},
    "plan_only": {"type": "bool", "default": False},
    "dest": {"type": "path"},
    "wave_s": {"type": "int", "default": 1800},
    "soak_s": {"type": "int", "default": 0},
    "wait_s": {"type": "int", "default": 0},
    "look": {"type": "raw"},
    "verdict": {"type": "raw"},
    "drains": {"type": "bool", "default": False},
    "drained": {"type": "bool"},
    "msg": {"type": "str", "default": ""},
}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def zone_of(name: str) -> dt.tzinfo:
    """A time zone of this controller. Raises CoreError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError) as exc:
        says = "this controller knows no time zone {0!r}. Next: an IANA name such as Europe/Berlin, or install tzdata"
        raise CoreError(says.format(name)) from exc


def read_record(path: str) -> dict[str, t.Any] | None:
    """The record at a path; None where there is none. Raises CoreError that names the file and what to do."""
    try:
        text = rollout_files.read_text(path, rollout_record.LIMIT_BYTES)
        return None if text is None else rollout_record.parse_record(text)
    except (OSError, ValueError, ParseError) as exc:
        says = "the record of the rollout {0} cannot be used: {1}. Next: to begin anew, move it away"
        raise CoreError(says.format(path, exc)) from exc


def write_text(path: str, text: str) -> None:
    """Put a text in place. Raises CoreError."""
    try:
        rollout_files.write_text(path, text)
    except OSError as exc:
        says = "{0} cannot be written: {1}. Next: make room, or give another place"
        raise CoreError(says.format(path, exc)) from exc


@contextlib.contextmanager
def changing(path: str) -> t.Iterator[dict[str, t.Any]]:
    """The record, to be changed by one worker of Ansible at a time; it is written where nothing was raised."""
    with rollout_files.locked(path):
        record = read_record(path)
        if record is None:
            says = "the record of the rollout {0} is gone in the middle of it. Next: run again, which begins anew"
            raise CoreError(says.format(path))
        yield record
        write_text(path, rollout_record.dump_record(record))


class ActionModule(ActionBase):
    """Each action is one step of a rollout."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _checked, arguments = self.validate_argument_spec(_OPTIONS)
        step = Step(arguments, task_vars, self._task.check_mode)
        try:
            result: Result = getattr(step, arguments["action"])()
        except (CoreError, OSError) as exc:
            # Ansible shows the message of a cause a second time.
            raise AnsibleActionFail("rollout: {0}".format(exc)) from None
        return {"changed": False, **result}


class Step:
    """One action, with its arguments and the variables of the host that it is for."""

    def __init__(self, arguments: Variables, variables: Variables, check_mode: bool) -> None:
        self.given = arguments
        self.path = str(arguments["record"])
        self.variables = variables
        self.host = str(variables.get("inventory_hostname", ""))
        self.check_mode = check_mode

    def _of(self, host: str) -> Variables:
        return t.cast(Variables, self.variables["hostvars"][host])

    # --- the order -------------------------------------------------------------------------------------------------

    def plan(self) -> Result:
        """Make the order, or take up that of an earlier run."""
        sizes = rollout.parse_batches(self.given["batch"])
        canaries = rollout.parse_canaries(self.given["canaries"])
        names = list(self.given["hosts"] or ())
        now = _now()
        candidates = self._candidates(names, now)
        record = read_record(self.path)
        if record is None or rollout_record.is_finished(record):
            plan = rollout.plan_waves(candidates, sizes, canaries)
            record = rollout_record.new_record(plan, candidates, now)
        else:
            looks = {each.host: self._look(each.host) for each in candidates if each.answers}
            rollout_record.go_on(record, candidates, looks, (sizes, canaries), now)
        if self.given["plan_only"]:
            note = "this is the order; nothing was done"
            record["notes"] = [*self._without_yes(names), note]
        elif not self.check_mode:
            write_text(self.path, rollout_record.dump_record(record))
        return self._planned(record)

    def _planned(self, record: dict[str, t.Any]) -> Result:
        summary = rollout_record.summary_of(record, plan_only=True)
        display.display("\n" + rollout_view.render_summary(summary, _width()) + "\n")
        if (self.given["plan_only"] or self.check_mode) and self.given["dest"]:
            write_text(self.given["dest"], json.dumps(summary, indent=1, sort_keys=True))
        stays = self.given["plan_only"] or record["stopped"] is not None
        waves = [] if stays else rollout_record.waves_left(record)
        return {
            "summary": summary,
            "order": [host for wave in waves for host in wave],
            "sizes": [len(wave) for wave in waves] or [1],
        }

    def _candidates(self, names: list[str], now: dt.datetime) -> list[rollout.Candidate]:
        groups = self._drill_groups(names)
        nobody = self.given["plan_only"] and not any(self._has_yes(self._of(name), name) for name in names)
        found = []
        for name in names:
            variables = self._of(name)
            windows = window.parse_windows(_plain(variables.get("crashready_window")))
            place = rack_view.place_of(variables)
            own = [place.group] if place.group else []
            found.append(
                rollout.Candidate(
                    host=name,
                    pairing=rollout.pairing_of(_facts(variables)),
                    rack=place.rack,
                    groups=tuple(dict.fromkeys([*own, *groups.get(name, ())])),
                    windows=tuple(each.text for each in windows),
                    opens_in_s=_opens_in(windows, now),
                    answers=not _silent(variables),
                    left=self._why_left(variables, name, nobody),
                )
            )
        return found

    def _drill_groups(self, names: list[str]) -> dict[str, list[str]]:
        """Members of the inventory groups that crash_drill_group names: they stand in for each other as well."""
        named = {str(self._of(name).get("crash_drill_group") or "") for name in names} - {""}
        found: dict[str, list[str]] = {}
        for group in sorted(named):
            for member in (self.variables.get("groups") or {}).get(group, ()):
                found.setdefault(str(member), []).append(group)
        return found

    def _has_yes(self, variables: Variables, name: str) -> bool:
        told = boolean(variables.get("kdump_reboot_ok") or False, strict=False)
        return bool(told) or "all" in self.given["consents"] or name in self.given["consents"]

    def _without_yes(self, names: list[str]) -> list[str]:
        if any(self._has_yes(self._of(name), name) for name in names):
            return []
        return ["no host has a yes to its reboot yet (kdump_reboot_ok, crashready_yes_reboot): the order if all had"]

    def _why_left(self, variables: Variables, name: str, nobody: bool) -> str:
        if _silent(variables):
            return "it did not answer"
        if variables.get("crashready_failure"):
            return "it could not be looked at: {0}".format(variables["crashready_failure"])
        if not rollout.can_be_ordered(name):
            return "its name is a pattern of Ansible's. Next: give it another one, and ansible_host"
        if not self.check_mode and not nobody and not self._has_yes(variables, name):
            return "no yes to its reboot. Next: kdump_reboot_ok: true, or crashready_yes_reboot with its name"
        return ""

    def _look(self, host: str) -> dict[str, t.Any]:
        variables = self._of(host)
        return rollout.look_of(_facts(variables), None, _plain(variables.get("crashready_verdict")))

    # --- a wave ----------------------------------------------------------------------------------------------------

    def begin(self) -> Result:
        """Whether this wave may begin: nothing has stopped, and it fits into what is left of its windows."""
        names = list(self.given["hosts"] or ())
        if self.check_mode:
            return {"go": True, "says": "check mode"}
        begun = self._begin(names, float(self.given["wait_s"]))
        if begun["wait_s"]:
            # Nothing is held while it waits.
            _sleep(begun["wait_s"])
            begun = self._begin(names, 0.0)
        for line in begun["says"]:
            display.display(line)
        return {"go": begun["go"], "says": "\n".join(begun["says"])}

    def _begin(self, names: list[str], may_wait_s: float) -> Result:
        with changing(self.path) as record:
            wait_s = self._wait_s(record, names, may_wait_s)
            go = record["stopped"] is None and not wait_s
            if go:
                rollout_record.begin_wave(record, names[0], _now())
            hosts, stopped = record["hosts"], record["stopped"] or {}
            says = [_line(name, hosts[name]) for name in names] if go else ["stopped: {0}".format(stopped.get("says"))]
        return {"go": go, "says": says, "wait_s": wait_s}

    def _wait_s(self, record: dict[str, t.Any], names: list[str], may_wait_s: float) -> float:
        """Seconds until this wave fits into its windows; where that is too long the rollout stops."""
        texts = list(dict.fromkeys(text for name in names for text in record["hosts"][name]["windows"]))
        windows, now = window.parse_windows(texts), _now()
        rest = window.rest_s(windows, now, zone_of)
        need = max(float(self.given["wave_s"] + self.given["soak_s"]), rollout_record.longest_wave_s(record))
        if record["stopped"] is not None or rest is None or rest >= need:
            return 0.0
        opening = window.next_fit(windows, now, need, zone_of)
        if opening is None:
            says = "no window ({0}) is as long as the {1:.0f} s that a wave may take (crashready_rollout_wave_seconds)"
            rollout_record.stop(record, None, says.format(", ".join(texts), need), now)
            return 0.0
        wait, at = (opening - now).total_seconds(), window.render_moment(opening)
        if wait <= may_wait_s:
            display.display("the window ({0}) opens at {1}: waiting".format(", ".join(texts), at))
            return wait
        says = "{0:.0f} s are left of the window ({1}) and a wave may take {2:.0f} s. Next: run again from {3}"
        rollout_record.stop(record, None, says.format(rest, ", ".join(texts), need, at), now)
        return 0.0

    def change(self) -> Result:
        """The host answers and is about to be drained, or to be changed."""
        look = _plain(self.given["look"])
        if isinstance(look, dict) and (look.get("unreachable") or look.get("failed")):
            raise CoreError("it did not answer before its turn, and nothing was changed on it: " + _msg(look))
        if not self.check_mode:
            with changing(self.path) as record:
                phase = "draining" if self.given["drains"] else "changing"
                values: dict[str, t.Any] = {"says": ""}
                if isinstance(look, dict):
                    values["before"] = self._look_now(look, self.variables.get("crashready_verdict"))
                if self.given["drained"] is not None:
                    values["drained"] = self.given["drained"]
                rollout_record.move(record, self.host, phase, _now(), **values)
        return {}

    def _look_now(self, look: Variables, judged: t.Any) -> dict[str, t.Any]:
        return rollout.look_of(_facts(self.variables), look.get("health"), _plain(judged))

    def gate(self) -> Result:
        """Whether the host is as well as it was before its turn."""
        if self.check_mode:
            return {"findings": []}
        look = _plain(self.given["look"])
        gone = not isinstance(look, dict) or look.get("unreachable") or look.get("failed")
        judged = (_plain(self.given["verdict"]) or {}).get("hosts", {}).get(self.host)
        after = None if gone else self._look_now(look, judged)
        with changing(self.path) as record:
            found = rollout.judge_gate(record["hosts"][self.host]["before"], after)
            errors = [each.message for each in found if each.severity == "error"]
            if not errors:
                short = dict(after or {}, health=None)
                says = "; ".join(["well", *(each.message for each in found)])
                rollout_record.move(record, self.host, "gated", _now(), after=short, says=says)
        if errors:
            lost = ": " + _msg(look) if gone and isinstance(look, dict) else ""
            raise CoreError("{0} is worse than before: {1}{2}".format(self.host, "; ".join(errors), lost))
        return {"findings": [each._asdict() for each in found]}

    def done(self) -> Result:
        """The host is back in service."""
        if not self.check_mode:
            with changing(self.path) as record:
                rollout_record.move(record, self.host, "done", _now())
        return {}

    def fail(self) -> Result:
        """The host failed: no further wave begins."""
        if not self.check_mode:
            with changing(self.path) as record:
                stopped, entry = record["stopped"] or {}, record["hosts"].get(self.host) or {}
                if entry.get("phase") == "failed" and stopped.get("host") == self.host:
                    return {}  # told by the task that knows more
                values: dict[str, t.Any] = {"says": self.given["msg"]}
                if self.given["drained"] is not None:
                    values["drained"] = self.given["drained"]
                rollout_record.move(record, self.host, "failed", _now(), **values)
                rollout_record.stop(record, self.host, self.given["msg"], _now())
        display.display("{0}: {1}".format(self.host, self.given["msg"]), color="red")
        return {}

    def end(self) -> Result:
        """The wave is over; whether the rollout stops here."""
        if self.check_mode:
            return {"go": True}
        with changing(self.path) as record:
            failed = rollout_record.end_wave(record, self.given["hosts"][0], _now())
            for name in failed:
                rollout_record.stop(record, name, record["hosts"][name]["says"], _now())
            return {"go": record["stopped"] is None}

    def report(self) -> Result:
        """What was done, where it stopped and what is left."""
        if self.check_mode:
            return {"unfinished": {}, "says": ""}
        record = read_record(self.path)
        if record is None:
            raise CoreError("there is no record {0}".format(self.path))
        summary = rollout_record.summary_of(record)
        text = rollout_view.render_summary(summary, _width())
        display.display("\n" + text + "\n")
        if self.given["dest"]:
            write_text(self.given["dest"], json.dumps(summary, indent=1, sort_keys=True))
        return {
            "unfinished": rollout_view.unfinished_of(summary),
            "says": text.rpartition("\n\n")[2],
            "summary": summary,
        }


def _width() -> int:
    return shutil.get_terminal_size((0, 0)).columns


def _plain(value: t.Any) -> t.Any:
    """A value without Ansible's lazy containers, which json writes as they lie there."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _facts(variables: Variables) -> t.Any:
    return (variables.get("ansible_facts") or {}).get("crashready")


def _silent(variables: Variables) -> bool:
    return bool((variables.get("__crashready_facts") or {}).get("unreachable"))


def _msg(result: Variables) -> str:
    return str(result.get("msg") or "no reason given")


def _line(name: str, entry: Variables) -> str:
    return "wave {0}: {1}: {2}".format(entry["wave"], name, entry["reason"])


def _opens_in(windows: t.Sequence[window.Window], now: dt.datetime) -> float:
    rest = window.rest_s(windows, now, zone_of)
    if rest is None or rest > 0:
        return 0.0
    opening = window.next_fit(windows, now, 0, zone_of)
    return (opening - now).total_seconds() if opening else float("inf")
