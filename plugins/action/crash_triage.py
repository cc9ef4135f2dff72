# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Gives the module of the same name the reviewed tables, which lie on the controller alone."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_FOLDER = os.path.normpath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "data", "triage")
)
_TABLES = ("core", "drivers", "rules")


class ActionModule(ActionBase):
    """Runs the module with `tables` filled in, unless the task gave its own."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("tables") is None:
            arguments["tables"] = {name: _read(name) for name in _TABLES}
        result: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars or {})
        # Some hundred lines of reviewed data are no news.
        result.get("invocation", {}).get("module_args", {}).pop("tables", None)
        return result


def _read(name: str) -> t.Any:
    path = os.path.join(_FOLDER, name + ".json")
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as exc:
        raise AnsibleActionFail(
            "cannot read {0}: {1}. Next: install the collection rackops.crashready again".format(path, exc)
        ) from exc
