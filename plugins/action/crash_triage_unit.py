# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes the program of the triage from this collection and gives it to the module of the same name."""

from __future__ import annotations

import base64
import typing as t
import zlib

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.rackops.crashready.plugins.plugin_utils import triage_program


class ActionModule(ActionBase):
    """Runs the module with `program` filled in."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("state", "present") == "present":
            try:
                arguments["program"] = base64.b64encode(zlib.compress(triage_program.build(), 9)).decode("ascii")
            except (OSError, SyntaxError) as exc:
                raise AnsibleActionFail(
                    "cannot make the program from the collection: {0}. Next: install rackops.crashready again".format(
                        exc
                    )
                ) from exc
        result: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars or {})
        result.get("invocation", {}).get("module_args", {}).pop("program", None)
        return result
