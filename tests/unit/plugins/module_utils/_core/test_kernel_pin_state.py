# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a host remembers of its kernel transaction is checked like any text from outside."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_state import (
    ARMED,
    TEXT_LIMIT,
    State,
    parse_state,
    render_state,
)
from hypothesis import given
from hypothesis import strategies as st

BEFORE: dict[str, t.Any] = {
    "nics": [{"name": "eno1", "kind": "physical", "mac": None, "link": True, "addresses": []}],
    "default_routes": [{"family": 4, "interface": "eno1"}],
    "failed_units": [],
    "capture_problems": [{"id": "x", "severity": "error", "message": "m", "remedy": "r"}],
    "armed": None,
}
STATE = State(
    stage=ARMED,
    package="linux-image-amd64",
    version="7.3.4-1~bpo13+1",
    suite="trixie-backports",
    old_release="6.12.117+deb13-amd64",
    new_release="7.3.4+deb13-amd64",
    boot_id="3f1c8c5e-1111-4222-8333-444455556666",
    installed=("linux-image-7.3.4+deb13-amd64",),
    prior_default=None,
    before=BEFORE,
)


def test_what_is_written_is_read_back() -> None:
    assert parse_state(render_state(STATE)) == STATE
    assert parse_state(render_state(STATE._replace(before=None))).before is None


def changed(**fields: t.Any) -> str:
    return json.dumps({**json.loads(render_state(STATE)), **fields})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        " " * (TEXT_LIMIT + 1),
        changed(schema=2),
        changed(stage="proven"),
        changed(package="--purge"),
        changed(version="1; reboot"),
        changed(suite="../x"),
        changed(new_release="$(reboot)"),
        changed(new_release=None),
        changed(boot_id="x"),
        changed(installed="linux-image"),
        changed(installed=["bash; x"]),
        changed(installed=["a" * 3] * 65),
        changed(prior_default="a\nb"),
        changed(before=[]),
        changed(before={**BEFORE, "nics": [{"name": 1}]}),
        changed(before={**BEFORE, "nics": {}}),
        changed(before={**BEFORE, "default_routes": [["x"]]}),
        changed(before={**BEFORE, "failed_units": [1]}),
        changed(before={**BEFORE, "capture_problems": None}),
        changed(before={**BEFORE, "armed": "yes"}),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_state(text)


@given(st.text(max_size=500))
def test_garbage_is_never_more_than_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_state(text)
