# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The draft of a pairing entry: valid as it stands, whatever the crash was."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_draft import draft_entry
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_entry import read_entry
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils._core.test_fleet import RECORD, facts

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")

SCHEMA = pathlib.Path(__file__).resolve().parents[5] / "data" / "pairings" / "schema.json"


def valid(text: str | None) -> dict[str, t.Any]:
    assert text is not None
    value = yaml.safe_load(text)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(value)
    assert read_entry(value).use == "info", "a draft judges nothing"
    return t.cast("dict[str, t.Any]", value)


def test_a_draft_is_an_entry() -> None:
    text, reason = draft_entry({**RECORD, "panic_line": "Kernel panic", "cause_line": 'BUG: "a\\b"'}, "s0", facts(), 3)
    assert reason is None
    value = valid(text)
    assert value["id"] == "draft-i40e-clean-rx-irq"
    assert value["pci"] == [{"vendor": "8086", "devices": ["1572"]}]
    assert value["firmware"]["seen_bad"] == ["9.20 0x8000d8bd 1.3353.0"]
    assert value["symptom"]["class"] == "panic"
    assert value["symptom"]["functions"] == ["i40e_clean_rx_irq", "i40e_napi_poll"]
    assert 'BUG: "a\\b"' in value["symptom"]["summary"]
    assert "3 crashes on s0" in (text or "")
    assert "TODO" not in (text or "")


def test_without_facts_the_card_is_a_question() -> None:
    text, _reason = draft_entry(RECORD, None, None)
    value = valid(text)
    assert "pci" not in value
    assert "Which card and firmware was it?" in (text or "")


def test_what_is_not_known_is_not_called_none() -> None:
    text, _reason = draft_entry({**RECORD, "kernel": {"release": "6.17.0-custom"}, "signature": None}, "s0", facts())
    valid(text)
    assert "# Kernel: 6.17.0-custom. Signature: none." in (text or "")
    assert "None" not in (text or "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"driver": None}, "names no NIC driver"),
        ({"driver": "../x"}, "names no NIC driver"),
        ({"kind": "sysrq"}, "kind sysrq"),
        ({"kind": "mce"}, "kind mce"),
    ],
)
def test_no_draft_where_there_is_no_pairing(change: dict[str, t.Any], told: str) -> None:
    text, reason = draft_entry({**RECORD, **change}, "s0", facts())
    assert text is None
    assert told in (reason or "")


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        ({"driver": "8139too"}, facts(driver="8139too")),
        ({"driver": "on"}, facts(driver="on")),
        ({"cause_line": "\x1b[31m: - # {x}\n---\nid: evil"}, facts(firmware='"\n- x: &a *a')),
        ({"frames": [{"function": "a b", "module": "i40e"}, 7, None], "function": "\x00"}, facts()),
        ({"kernel": {"release": "a: b\nc", "package_version": None}}, facts()),
        ({"function": "i40e_" + "x" * 300}, facts()),
        ({"source": {"name": "a\nb: c"}}, facts(device="zzzz")),
        ({"arch": "aarch64", "kind": "netdev_watchdog", "path": "nic_tx"}, facts()),
    ],
)
def test_hostile_words_stay_inside_their_quotes(record: dict[str, t.Any], seen: t.Any) -> None:
    text, reason = draft_entry({**RECORD, **record}, "s0\nid: other", seen)
    assert reason is None
    value = valid(text)
    assert value["id"].startswith("draft-")
    assert value["driver"] == record.get("driver", "i40e")
