# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The units of the triage after a boot: files, plan, and that no secret is shown."""

from __future__ import annotations

import json

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import host_program, triage_unit
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import Seen
from ansible_collections.rackops.crashready.plugins.module_utils._core.plan import Change, as_diff
from ansible_collections.rackops.crashready.plugins.module_utils._core.triage_unit import Wanted, webhook_from

NOTHING = Seen({}, {})
HOOK = webhook_from("https://hooks.example.org/t0ken/crash", "Authorization", "Bearer s3cret")
WANTED = Wanted(True, b"PK", "/srv/crash", True, HOOK)


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    return host_program.plan(triage_unit.LAYOUT, triage_unit.wanted_files(wanted), seen)


def there(wanted: Wanted) -> Seen:
    units = {"crashready-triage.service": True, "crashready-triage.path": True}
    return Seen(dict(triage_unit.files_for(wanted)), units)


def test_everything_is_planned_and_then_nothing() -> None:
    assert [change.kind for change in plan(WANTED, NOTHING)] == ["file"] * 4 + ["unit"] * 2
    assert plan(WANTED, there(WANTED)) == []
    assert plan(Wanted(False), NOTHING) == []


def test_removal_disables_first() -> None:
    kinds = [change.kind for change in plan(Wanted(False), there(WANTED))]
    assert kinds == ["unit"] * 2 + ["file"] * 4


def test_a_new_secret_is_a_change_that_shows_neither() -> None:
    other = WANTED._replace(webhook=webhook_from(HOOK.url if HOOK else None, "Authorization", "Bearer 0ther"))
    changes = plan(other, there(WANTED))
    assert [change.target for change in changes] == [triage_unit.CONFIG]
    shown = json.dumps([as_diff(changes), as_diff(plan(WANTED, NOTHING))])
    assert not any(word in shown for word in ("s3cret", "0ther", "t0ken"))
    assert "https://hooks.example.org/(not shown)" in shown


def test_the_config_has_what_the_program_reads() -> None:
    config = json.loads(triage_unit.files_for(WANTED)[triage_unit.CONFIG])
    assert config["folder"] == "/srv/crash"
    assert config["thin_out"] is True
    assert config["webhook"]["value"] == "Bearer s3cret"


def test_the_network_is_closed_without_a_webhook() -> None:
    service = triage_unit.files_for(Wanted(True, b""))[triage_unit.SERVICE].decode()
    assert "PrivateNetwork=yes" in service
    assert "network-online" not in service
    assert "PrivateNetwork" not in triage_unit.files_for(WANTED)[triage_unit.SERVICE].decode()


@pytest.mark.parametrize("folder", ["/srv/x\nExecStart=/bin/sh", "relative", "/a b", "/a%n", ""])
def test_a_folder_that_breaks_the_unit_is_refused(folder: str) -> None:
    with pytest.raises(ParseError):
        triage_unit.files_for(Wanted(True, b"", folder))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("ftp://x", None, None), "no http or https"),
        (("https://x y", None, None), "no http or https"),
        (("https://x", "Authorization", None), "name and a value"),
        (("https://x", None, "v"), "name and a value"),
        (("https://x", "A:b", "v"), "other letters"),
        (("https://x", "A", "v\r\nHost: y"), "one line"),
        ((None, None, "v"), "no webhook"),
    ],
)
def test_webhooks_that_cannot_be_meant(given: tuple[str | None, ...], told: str) -> None:
    with pytest.raises(ParseError, match=told):
        webhook_from(*given)


def test_no_webhook() -> None:
    assert webhook_from(None, None, None) is None
