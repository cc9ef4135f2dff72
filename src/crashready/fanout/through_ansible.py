# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Hosts that are not reached by SSH (local, containers, community plugins): asked through ansible itself."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import typing as t

from .._core.text import clean
from ..inventory_hosts import Rack
from ..playbook_run import Event, RunFolder, run_playbook
from .outcome import Failure, Outcome, pack_facts

__all__ = ["ask_through_ansible"]

_TASK = "Facts of the host are known"


def ask_through_ansible(
    rack: Rack,
    names: t.Sequence[str],
    subsets: t.Sequence[str],
    forks: int,
    report: t.Callable[[Outcome], None],
    cancelled: t.Callable[[], bool],
) -> str:
    """Run the module crash_facts on some hosts of a rack; `report` gets each as it answers.

    Returns Ansible's last words, for the hosts that it never came to.
    """
    play = {
        "name": "Facts of hosts that are not reached by SSH",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"name": _TASK, "rackops.crashready.crash_facts": {"gather_subset": list(subsets)}}],
    }
    with tempfile.TemporaryDirectory(prefix="crashready-") as name:
        folder = RunFolder.make("facts", (), pathlib.Path(name))
        playbook, limit = os.path.join(name, "facts.yml"), os.path.join(name, "hosts")
        for path, text in ((playbook, json.dumps([play])), (limit, "\n".join(names) + "\n")):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)  # JSON is YAML
        view = _Reader(report)
        run_playbook([playbook, *_words(rack, limit, forks)], folder, view, _passwords(rack), cancelled)
        return view.last_words


def _words(rack: Rack, limit: str, forks: int) -> list[str]:
    asked = rack.asked
    words = [word for source in rack.sources for word in ("-i", source)]
    words += ["--limit", "@" + limit, "--forks", str(min(forks, 50))]
    words += ["--become"] if asked.become else []
    words += ["--ask-become-pass"] if asked.become_password is not None else []
    words += [word for each in asked.vault_ids for word in ("--vault-id", each)]
    words += [word for each in asked.vault_files for word in ("--vault-password-file", each)]
    words += [word for each in asked.extra_vars for word in ("-e", each)]
    return words


def _passwords(rack: Rack) -> dict[str, str]:
    password = rack.asked.become_password
    return {r"^BECOME password.*:\s*?$": password} if password is not None else {}


class _Reader:
    """Turns events of ansible-runner into outcomes."""

    def __init__(self, report: t.Callable[[Outcome], None]) -> None:
        self._report = report
        self.last_words = ""

    def event(self, event: Event) -> None:
        """One event."""
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind in ("error", "verbose") and str(event.get("stdout") or "").strip():
            self.last_words = clean(str(event["stdout"]), 400)
        if data.get("task") != _TASK or not isinstance(data.get("host"), str):
            return
        result: dict[str, t.Any] = data["res"] if isinstance(data.get("res"), dict) else {}
        if kind == "runner_on_ok":
            self._report(_with_facts(data["host"], result))
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            self._report(_without(data["host"], str(result.get("msg") or "no message"), kind))

    def close(self) -> None:
        """Nothing is left open."""


def _with_facts(host: str, result: dict[str, t.Any]) -> Outcome:
    facts = (result.get("ansible_facts") or {}).get("crashready")
    if not isinstance(facts, dict):
        return Outcome(host, "ansible", cause="garbage", says="the module's answer has no facts")
    return Outcome(host, "ansible", packed=pack_facts(facts))


# The words of plugins/action/crash_facts.py, which says Ansible's failures in ours.
_SAYS = (
    ("no-python", "has no Python that Ansible can find"),
    ("old-python", "has a Python that is too old"),
    ("no-space", "has no room for a temporary file"),
)


def _without(host: str, message: str, kind: str) -> Outcome:
    cause = next(
        (name for name, words in _SAYS if words in message),
        "unreachable" if kind == "runner_on_unreachable" else "ansible",
    )
    return Outcome(host, "ansible", cause=cause, says=Failure(cause, " ".join(message.split())).says)
