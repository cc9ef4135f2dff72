# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads the tables of the triage: data/triage/*.json of the collection.

The logic in `_core.oops` takes them as values, since hosts have no such files.
"""

from __future__ import annotations

import json
import os
import typing as t

from ._core.errors import ParseError
from ._core.oops import Tables, tables_from
from .exits import ToolError

__all__ = ["FILES", "folder", "read_documents", "read_tables"]

#: The files that make up the tables, without their ending.
FILES = ("core", "drivers", "rules")
_LIMIT = 4 * 1024 * 1024


def folder() -> str:
    """Where the tables lie: in the checkout, or beside the collection in the wheel. Raises ToolError."""
    here = os.path.dirname(os.path.abspath(__file__))
    for place in (
        os.path.join(here, os.pardir, os.pardir),
        os.path.join(here, os.pardir, "ansible_collections", "rackops", "crashready"),
    ):
        path = os.path.join(os.path.normpath(place), "data", "triage")
        if os.path.isfile(os.path.join(path, "core.json")):
            return path
    raise ToolError("the tables of the triage are missing: data/triage lies neither in a checkout nor in this package")


def read_documents(path: str | None = None) -> dict[str, t.Any]:
    """The parsed files by name, as `tables_from` and the module's argument take them. Raises ToolError."""
    path = path or folder()
    documents = {}
    for name in FILES:
        file = os.path.join(path, name + ".json")
        try:
            with open(file, encoding="utf-8") as stream:
                documents[name] = json.loads(stream.read(_LIMIT))
        except (OSError, ValueError) as exc:
            raise ToolError("cannot read the triage table {0}: {1}".format(file, exc)) from exc
    return documents


def read_tables(path: str | None = None) -> Tables:
    """The tables, checked. Raises ToolError that names file and place."""
    try:
        return tables_from(read_documents(path))
    except ParseError as exc:
        raise ToolError(str(exc)) from exc
