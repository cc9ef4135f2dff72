# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The reviewer of the story: answers the questions that the draft of a pairing entry asks, and nothing else.

A crash cannot know where its fault came in and what mends it. Here both are known, since the rack was made so; the
card, the driver, its functions and the symptom stay as `crashready triage` wrote them.
"""

from __future__ import annotations

import typing as t

__all__ = ["ENTRY", "review"]

ENTRY = "story-e1000e-rx-ring"


def review(draft: t.Mapping[str, t.Any], first: str, before: str) -> dict[str, t.Any]:
    """The entry from its draft and the range, such as "6.12.0" and "7.3"."""
    good = "{0}.0".format(before)
    return {
        **draft,
        "id": ENTRY,
        "kernel": {
            "introduced": [{"version": first}],
            "fixed_mainline": {"version": good},
            "affected": [
                {"branch": ".".join(first.split(".")[:2]), "first_bad": first, "first_good": None},
                {"branch": "mainline", "first_bad": first, "first_good": good},
            ],
        },
        "debian": {"trixie": {"fixed": None, "evidence": "declared"}},
        "remedy": {"kernel": "{0} or later".format(before)},
        "confidence": "confirmed-upstream",
        "suggested_use": "pin",
    }
