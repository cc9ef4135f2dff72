# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Judges the NICs of hosts against the database of known bad pairings, on the controller, without a connection."""

from __future__ import annotations

import datetime
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.rackops.crashready.plugins.module_utils._core import (
    cve_index,
    judge,
    pairing_database,
    remedy,
    waiver,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.derived_bugs import DerivedBugs
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.plugin_utils import pairings

_VARIABLES = {"dirs": "crashready_pairings_dirs", "waivers": "crashready_waivers", "suites": "backports_kernel_suites"}


class ActionModule(ActionBase):
    """Reads the database once and judges every host that was named; changes nothing anywhere."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _checked, arguments = self.validate_argument_spec(
            {
                "hosts": {"type": "list", "elements": "str"},
                "dirs": {"type": "list", "elements": "path"},
                "waivers": {"type": "list", "elements": "raw"},
                "suites": {"type": "list", "elements": "str"},
                "facts": {"type": "dict"},
            }
        )
        chosen = {name: self._chosen(arguments, task_vars, name) for name in _VARIABLES}
        try:
            database = _database([self._loader.path_dwim(str(folder)) for folder in chosen["dirs"] or ()])
            waivers = waiver.parse_waivers(chosen["waivers"] or [], database.entries)
            derived = DerivedBugs(cve_index.load_index(pairings.read_derived()))
        except (OSError, ValueError) as exc:
            raise AnsibleActionFail("pairing_verdict: the index of CVEs cannot be read: {0}".format(exc)) from None
        except CoreError as exc:
            # Ansible shows the message of a cause a second time.
            raise AnsibleActionFail(
                "pairing_verdict: {0}. Nothing was judged and nothing changed".format(exc)
            ) from None
        names = arguments["hosts"] or [str(task_vars.get("inventory_hostname", "localhost"))]
        if arguments["facts"] is not None and len(names) > 1:
            raise AnsibleActionFail("pairing_verdict: facts are of one host, and {0} are named".format(len(names)))
        judged = {}
        for name in names:
            facts = arguments["facts"] if arguments["facts"] is not None else _facts(task_vars, name)
            judged[name] = _judge(facts, database, derived, name, waivers, chosen["suites"])
        return {
            "changed": False,
            "verdict": judge.worst(found["verdict"] for found in judged.values()),
            "hosts": judged,
            "expired": [each.as_facts(_today()) for each in waivers if each.expired(_today())],
        }

    def _chosen(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], name: str) -> t.Any:
        """An option of the task, else the variable that stands for it."""
        if arguments[name] is not None:
            return arguments[name]
        value = task_vars.get(_VARIABLES[name])
        return self._templar.template(value) if value is not None else None


def _database(folders: list[str]) -> judge.Database:
    documents, faults = pairings.read_folders(folders)
    coverage, more = pairings.read_coverage()
    return pairing_database.build_database(documents, coverage, [*faults, *more])


def _facts(task_vars: dict[str, t.Any], name: str) -> t.Any:
    try:
        variables = task_vars["hostvars"][name]
    except KeyError:
        return None
    return (variables.get("ansible_facts") or {}).get("crashready")


def _today() -> str:
    return datetime.date.today().isoformat()


def _judge(
    facts: t.Any,
    database: judge.Database,
    derived: DerivedBugs,
    name: str,
    waivers: list[waiver.Waiver],
    suites: list[str] | None,
) -> dict[str, t.Any]:
    found = judge.judge_host(facts, database, waivers, name, _today())
    bugs = derived.of(facts) if found["remedies"] else None
    found["remedy"] = remedy.choose_remedy(facts, database, suites, waivers, name, _today(), bugs)
    return found
