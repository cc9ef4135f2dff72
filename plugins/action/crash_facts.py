# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Says in our own words when a host has no Python that the facts can run on."""

from __future__ import annotations

import re
import typing as t

from ansible.plugins.action import ActionBase

_NO_PYTHON = re.compile(
    r"interpreter '?\S+?'? was not found|No python interpreters found"
    r"|python[0-9.]*: (?:(?:command )?not found|No such file)",
    re.I,
)
_OLD_PYTHON = re.compile(r"requires a minimum of Python|SyntaxError|future feature annotations is not defined")

_NO_SUDO = re.compile(r"\b(?:sudo|doas|su): (?:(?:command )?not found|No such file)", re.I)
_NO_SPACE = re.compile(r"No space left on device|No usable temporary directory|Disk quota exceeded")

_NO_SPACE_MESSAGE = (
    "{host} has no room for a temporary file ({seen}), so that no module runs there. "
    "Next: free space below /tmp and the home of the user, look with: ansible {host} -m ansible.builtin.raw -a 'df -h'"
)
_NO_SUDO_MESSAGE = (
    "{host} has no program to become root with ({seen}). "
    "Next: install sudo there, or log in as root (ansible_user: root) with ansible_become: false"
)
_NO_PYTHON_MESSAGE = (
    "{host} has no Python that Ansible can find ({seen}); Crashready's facts need Python 3.9 or later there. "
    "Next: ansible {host} -m ansible.builtin.raw -b -a 'apt-get install -y python3-minimal', "
    "or set ansible_python_interpreter for this host"
)
_OLD_PYTHON_MESSAGE = (
    "{host} has a Python that is too old ({seen}); Crashready's facts need Python 3.9 or later (Debian 11). "
    "Next: set ansible_python_interpreter to a newer one for this host, or leave the host out (--limit)"
)


_TRANSLATIONS = (
    (_NO_SPACE, _NO_SPACE_MESSAGE),
    (_NO_SUDO, _NO_SUDO_MESSAGE),
    (_NO_PYTHON, _NO_PYTHON_MESSAGE),
    (_OLD_PYTHON, _OLD_PYTHON_MESSAGE),
)


class ActionModule(ActionBase):
    """Runs the module of the same name and translates those failures that Ansible tells in its own terms."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        try:
            result: dict[str, t.Any] = self._execute_module(task_vars=task_vars)
        except Exception as exc:
            if not any(pattern.search(str(exc)) for pattern, _message in _TRANSLATIONS):
                raise
            result = {"failed": True, "msg": str(exc)}
        if result.get("failed"):
            self._translate(result, str(task_vars.get("inventory_hostname", "host")))
        return result

    def _translate(self, result: dict[str, t.Any], host: str) -> None:
        said = " ".join(str(result.get(key, "")) for key in ("msg", "module_stderr", "module_stdout", "exception"))
        for pattern, message in _TRANSLATIONS:
            found = pattern.search(said)
            if found:
                result["ansible_msg"] = result.get("msg")
                result["msg"] = message.format(host=host, seen=" ".join(found.group(0).split())[:120])
                return
