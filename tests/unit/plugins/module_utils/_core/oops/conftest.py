# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The tables, as they ship."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import oops

TRIAGE = pathlib.Path(__file__).resolve().parents[6] / "data" / "triage"


@pytest.fixture(scope="session")
def documents() -> dict[str, t.Any]:
    return {name: json.loads((TRIAGE / (name + ".json")).read_text("utf-8")) for name in ("core", "drivers", "rules")}


@pytest.fixture(scope="session")
def tables(documents: dict[str, t.Any]) -> oops.Tables:
    return oops.tables_from(documents)
