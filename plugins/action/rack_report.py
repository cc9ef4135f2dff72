# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Prints where every host of a run stands, on the controller, without a connection."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.rackops.crashready.plugins.module_utils._core import rack

display = Display()


class ActionModule(ActionBase):
    """Reads what the plays before left in the hosts' variables; returns rows and prints the table."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _checked, arguments = self.validate_argument_spec(
            {"hosts": {"type": "list", "elements": "str", "required": True}, "dest": {"type": "path"}}
        )
        rows = [
            rack.judge_host(name, _seen(task_vars["hostvars"][name]), self._task.check_mode)
            for name in arguments["hosts"]
        ]
        command = rack.next_command(rows, _command())
        display.display("\n" + rack.render(rows, shutil.get_terminal_size((0, 0)).columns))
        for row in rows:
            if row.state in rack.UNFINISHED:
                display.display("{0}: {1}".format(row.host, row.state), color="red")
        if command:
            display.display("\nNext: {0}\n".format(command))
        report = {"schema": rack.SCHEMA, "rows": [row._asdict() for row in rows], "next": command}
        if arguments["dest"]:
            _write(arguments["dest"], report)
        return {
            "changed": False,
            "rows": report["rows"],
            "unfinished": {
                row.host: "{0}: {1}".format(row.state, "; ".join(row.problems))
                for row in rows
                if row.state in rack.UNFINISHED
            },
            "next": command,
        }


def _write(path: str, report: dict[str, t.Any]) -> None:
    """For root's eyes alone: it says which hosts would lose a crash. Whole or not at all."""
    temporary = "{0}.{1}".format(path, os.getpid())
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(report, stream, indent=1, sort_keys=True)
    os.replace(temporary, path)


def _seen(variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        "facts": (variables.get("ansible_facts") or {}).get("crashready"),
        "result": variables.get("crashready_result"),
        "failure": variables.get("crashready_failure"),
        "unreachable": variables.get("crashready_unreachable", False),
        "verdict": variables.get("crashready_verdict"),
        "pin": variables.get("crashready_pin"),
    }


_SECRET = re.compile(r"pass|secret|token|vault", re.I)


def _command() -> str:
    """The command of this run as it was typed, less what this run added and what looks like a secret."""
    words, given = ["ansible-playbook"], sys.argv[1:]
    while given:
        word = given.pop(0)
        if word in ("-e", "--extra-vars") and given:
            value = given.pop(0)
            if "crashready_yes_" in value or "crashready_report_file" in value:
                continue
            words += [word, "(not shown)" if _SECRET.search(value) else value]
        else:
            words.append(word)
    return " ".join(shlex.quote(word) for word in words)
