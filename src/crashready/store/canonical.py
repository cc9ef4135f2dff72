# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The one text of a JSON value in the store, and what is too odd or too large to be kept."""

from __future__ import annotations

import json
import typing as t

from .database import StoreError

__all__ = ["Unfit", "canonical"]

#: A record or the facts of one host are some ten kilobytes; more than this is not kept.
_LIMIT_BYTES = 8 * 1024 * 1024


class Unfit(StoreError):
    """One value cannot be kept; the store is well."""


def canonical(value: t.Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal texts. ASCII, since PostgreSQL's text has no NUL.

    Raises Unfit.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise Unfit("no JSON can be made of it: {0}".format(exc)) from exc
    if len(text) > _LIMIT_BYTES:
        raise Unfit("{0} bytes of JSON for one host, more than the {1} that are kept".format(len(text), _LIMIT_BYTES))
    return text
