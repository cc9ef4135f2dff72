# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Shows the console where a test fails."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """A failure comes with the end of every guest's serial console."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        for console in sorted(FOLDER.glob("lab/guests/*/console*")):
            text = console.read_bytes()[-4000:].decode("utf-8", "replace")
            report.sections.append(("console of {0}".format(console.parent.name), text))
