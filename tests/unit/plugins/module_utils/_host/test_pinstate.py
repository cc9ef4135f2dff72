# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The fact `kernel.pin`: what a host shows of its kernel transaction, and a file that is not believed."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_state import (
    ARMED,
    STATE_FILE,
    State,
    render_state,
)
from ansible_collections.rackops.crashready.plugins.module_utils._host.pinstate import collect_pin, read_pin_state
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

BOOT = "00000000-0000-4000-8000-000000000001"
STATE = State(
    *(ARMED, "linux-image-amd64", "6.12.9-1~bpo12+1", "bookworm-backports"),
    *("6.1.0-56-amd64", "6.12.9+bpo-amd64", BOOT, ("linux-image-6.12.9+bpo-amd64",), None, None),
)


def host(text: t.Any, **stat: t.Any) -> TreeHost:
    return TreeHost({"files": {STATE_FILE: text}, "stat": {STATE_FILE: {"mode": "0600", **stat}}})


def test_the_fact() -> None:
    unread: dict[str, str] = {}
    assert collect_pin(host(render_state(STATE)), unread) == {
        "stage": "armed",
        "package": "linux-image-amd64",
        "version": "6.12.9-1~bpo12+1",
        "suite": "bookworm-backports",
        "old_release": "6.1.0-56-amd64",
        "new_release": "6.12.9+bpo-amd64",
    }
    assert unread == {}
    assert read_pin_state(host(render_state(STATE))) == (STATE, None)


def test_no_transaction() -> None:
    unread: dict[str, str] = {}
    assert collect_pin(TreeHost({"files": {}}), unread) is None
    assert unread == {}


@pytest.mark.parametrize(
    ("text", "stat", "told"),
    [
        (render_state(STATE), {"mode": "0666"}, "not root's own file"),
        (render_state(STATE), {"uid": 33}, "not root's own file"),
        ("{", {}, "not JSON"),
        ({"error": "permission denied (not root)"}, {}, "permission denied"),
    ],
)
def test_what_is_not_believed_is_unread(text: t.Any, stat: dict[str, t.Any], told: str) -> None:
    unread: dict[str, str] = {}
    assert collect_pin(host(text, **stat), unread) is None
    assert told in unread["pin"]
