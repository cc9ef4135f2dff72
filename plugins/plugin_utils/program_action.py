# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What action plugins share whose module puts a program on a host: they make it from this collection."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

__all__ = ["ProgramAction"]


class ProgramAction(ActionBase):
    """Runs the module of the same name with `program` filled in."""

    PROGRAM: str  #: a key of host_program.PROGRAMS

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The result of the module, without the program."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("state", "present") == "present":
            try:
                arguments["program"] = host_program.pack(self.PROGRAM)
            except (OSError, SyntaxError) as exc:
                says = "cannot make the program from the collection: {0}. Next: install rackops.crashready again"
                raise AnsibleActionFail(says.format(exc)) from exc
        result: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars or {})
        result.get("invocation", {}).get("module_args", {}).pop("program", None)
        return result
