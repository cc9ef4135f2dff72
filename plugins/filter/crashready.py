# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Filters over `_core`: no parsing or arithmetic is done in templates. Documented in the .yml files beside this one."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge, rack, rollout_view, routes
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError


def why_not_armed(result: t.Any) -> str:
    """What stands against the next dump in a result of the module kdump; empty where nothing does."""
    try:
        return rack.why_not_armed(result)
    except (KeyError, TypeError) as exc:
        raise AnsibleFilterError("why_not_armed: this is not a result of the module kdump ({0!r})".format(exc)) from exc


def host_list(value: t.Any) -> list[str]:
    """Host names from a list or from one text with commas."""
    try:
        return rack.host_list(value)
    except CoreError as exc:
        raise AnsibleFilterError("host_list: {0}".format(exc)) from exc


def worst_verdict(verdicts: t.Any) -> str:
    """The one that counts of several verdicts; of none it is unknown."""
    if isinstance(verdicts, str) or not isinstance(verdicts, t.Iterable):
        raise AnsibleFilterError("worst_verdict: a list of verdicts is needed, not {0!r}".format(verdicts))
    return judge.worst(str(verdict) for verdict in verdicts)


def why_bad(judged: t.Any) -> str:
    """One line about each bad pairing of a host that the action pairing_verdict has judged; empty where none is."""
    try:
        return judge.why_bad(judged)
    except (KeyError, TypeError) as exc:
        raise AnsibleFilterError("why_bad: this is not a host of pairing_verdict ({0!r})".format(exc)) from exc


def nics_to_avoid(judged: t.Any) -> list[str]:
    """Names of the NICs of a host whose pairing is bad or suspect."""
    try:
        return routes.nics_to_avoid(judged)
    except (KeyError, TypeError) as exc:
        raise AnsibleFilterError("nics_to_avoid: this is not a host of pairing_verdict ({0!r})".format(exc)) from exc


def failure_of(result: t.Any) -> str:
    """Why a task failed, in one line, from its result."""
    return rollout_view.failure_of(result)


class FilterModule:
    """Makes the filters known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Names as they are used after `rackops.crashready.`."""
        return {
            "why_not_armed": why_not_armed,
            "host_list": host_list,
            "worst_verdict": worst_verdict,
            "why_bad": why_bad,
            "nics_to_avoid": nics_to_avoid,
            "failure_of": failure_of,
        }
