# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Changes that a plan consists of, and how a person is shown them."""

from __future__ import annotations

import typing as t

__all__ = ["Change", "as_diff", "as_results"]


class Change(t.NamedTuple):
    """One thing that is not as it should be.

    `kind` says which part of `_change` carries it out, `target` on what. `before`
    and `after` are texts for people; `None` means "is not there". What the change
    needs beyond that is in `data`, which is never shown.
    """

    kind: str
    target: str
    before: str | None
    after: str | None
    why: str
    data: t.Mapping[str, t.Any] = {}

    @property
    def name(self) -> str:
        """Stable name, the same in check mode and in the real run: "file /etc/..."."""
        return "{0} {1}".format(self.kind, self.target)


def as_results(changes: t.Iterable[Change]) -> list[dict[str, str | None]]:
    """The changes as a module returns them: name, why, before, after (texts, or null)."""
    return [{"name": c.name, "why": c.why, "before": c.before, "after": c.after} for c in changes]


def as_diff(changes: t.Iterable[Change]) -> list[dict[str, str]]:
    """The changes in the form that Ansible's --diff prints."""
    return [
        {
            "before_header": c.name,
            "after_header": "{0} ({1})".format(c.name, c.why),
            "before": _lines(c.before),
            "after": _lines(c.after),
        }
        for c in changes
    ]


def _lines(text: str | None) -> str:
    if text is None:
        return ""
    return text if text.endswith("\n") else text + "\n"
