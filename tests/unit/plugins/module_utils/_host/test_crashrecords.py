# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Records on the host, and how facts show them."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host import crashrecords
from ansible_collections.rackops.crashready.plugins.module_utils._host.crashrecords import record_name, with_records
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

RECORD = {
    "kind": "null_deref",
    "driver": "i40e",
    "signature": {"exact": "cr1:x:1"},
    "unread": {},
    "frames": [1],
    "host": "s0",
}


def host(**files: t.Any) -> TreeHost:
    return TreeHost(
        {"source": "a test", "files": {crashrecords.FOLDER + "/" + name: text for name, text in files.items()}}
    )


def entry(path: str) -> dict[str, t.Any]:
    return {"path": path, "valid": True, "unread": {}}


def test_a_record_stands_with_its_crash() -> None:
    crashes = [entry("/var/crash/202611231305"), entry("/var/crash/202611231400")]
    found = with_records(host(**{"202611231305.json": json.dumps(RECORD)}), crashes)
    assert [each["record"] and each["record"]["driver"] for each in found] == ["i40e", None]
    assert "frames" not in found[0]["record"], "facts carry the short form"
    assert found[1]["unread"]["record"] == "no triage has read it"


def test_a_record_without_its_folder_is_an_entry() -> None:
    (found,) = with_records(host(**{"pstore-ramoops.json": json.dumps(RECORD)}), [])
    assert (found["valid"], found["reason"], found["host"]) == (False, "only its record is kept", "s0")
    assert found["path"].endswith("/pstore-ramoops.json")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"kind": 7}', "[" * 100_000, "\x00"])
def test_garbage_is_a_reason(text: str) -> None:
    (found,) = with_records(host(**{"202611231305.json": text}), [entry("/var/crash/202611231305")])
    assert found["record"] is None
    assert "not a record" in found["unread"]["record"]


def test_texts_of_a_record_are_cleaned() -> None:
    record = {**RECORD, "driver": "\x1b[31mi40e", "kernel": {"release": "6\n", "deep": {"a": {"b": 1}}}, "host": ["x"]}
    (found,) = with_records(host(**{"x.json": json.dumps(record)}), [])
    assert found["record"]["driver"] == "[31mi40e"
    assert found["record"]["kernel"] == {"release": "6", "deep": {"a": None}}
    assert found["record"]["host"] is None


def test_a_folder_that_may_not_be_listed() -> None:
    tree = TreeHost({"source": "a test", "files": {crashrecords.FOLDER: {"error": "permission denied (not root)"}}})
    (found,) = with_records(tree, [entry("/var/crash/202611231305")])
    assert found["unread"]["record"] == "permission denied (not root)"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("202611231305", "202611231305.json"),
        ("db1-202611231305", "db1-202611231305.json"),
        ("../../etc/x", "etc_x.json"),
        ("a b\nc", "a_b_c.json"),
        ("x" * 500, "x" * 180 + ".json"),
    ],
)
def test_names_stay_in_their_folder(source: str, name: str) -> None:
    assert record_name(source) == name
