# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reading the database on the controller: whatever is wrong is named by file, line and field."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_database import (
    DatabaseError,
    build_database,
    build_entries,
)
from ansible_collections.rackops.crashready.plugins.plugin_utils import pairings

from ...pairings_seen import ENTRY, entry


@pytest.fixture
def shipped(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder that stands for the shipped one, with one entry."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    write(folder, ENTRY)
    return folder


@pytest.fixture
def mine(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def write(folder: pathlib.Path, mapping: dict[str, t.Any], name: str = "") -> pathlib.Path:
    path = folder / (name or mapping["id"] + ".yml")
    path.write_text(yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")
    return path


def read(shipped: pathlib.Path, *folders: pathlib.Path) -> tuple[list[t.Any], list[t.Any]]:
    return pairings.read_folders([str(folder) for folder in folders], str(shipped))


def fault(shipped: pathlib.Path, mine: pathlib.Path, text: str, name: str = "mine.yml") -> t.Any:
    (mine / name).write_text(text, encoding="utf-8")
    documents, faults = read(shipped, mine)
    assert [document.path for document in documents] == [str(shipped / "atlantic-test.yml")]
    assert faults
    assert {each.path for each in faults} == {str(mine / name)}
    return faults[0]


def test_an_entry_is_read_with_its_lines(shipped: pathlib.Path) -> None:
    (document,), faults = read(shipped)
    assert faults == []
    lines = pathlib.Path(document.path).read_text(encoding="utf-8").splitlines()
    assert lines[document.lines["kernel.affected.1"] - 1].strip().startswith("- branch:")
    assert "fixed: 6.12.63-1" in lines[document.lines["debian.trixie.fixed"] - 1]


@pytest.mark.parametrize(
    ("text", "line", "field", "said"),
    [
        ("", 1, "", "one mapping"),
        ("- a\n", 1, "", "one mapping"),
        ("id: x\n  driver: [\n", 2, "", ""),
        ("id: a\nid: b\n", 2, "id", "twice"),
        ("a: &x [1]\nb: *x\n", 1, "", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [true]\n", 1, "", "constructor"),
        ("a: 2026-99-99\n", 0, "", "YAML cannot take"),
        ("a: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", 1, "", "nested deeper"),
        ("a: [" + "1," * 25000 + "]\n", 1, "", "too much in it"),
        ("a: " + "x" * 70000, 0, "", "larger than"),
    ],
)
def test_what_is_no_entry_at_all(
    shipped: pathlib.Path, mine: pathlib.Path, text: str, line: int, field: str, said: str
) -> None:
    found = fault(shipped, mine, text)
    assert (found.line, found.field) == (line, field)
    assert said in found.message


def test_other_bytes(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    (mine / "mine.yml").write_bytes(b"id: x\nnote: \xff\n")
    _documents, (found,) = read(shipped, mine)
    assert (found.line, found.message) == (2, "not UTF-8")


def test_a_folder_in_place_of_a_file(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    (mine / "mine.yml").mkdir()
    _documents, (found,) = read(shipped, mine)
    assert found.message == "not a regular file"


def test_a_folder_that_is_not_there(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    _documents, (found,) = read(shipped, mine / "nowhere")
    assert "No such file" in found.message
    assert "crashready_pairings_dirs" in found.message


#: One deviation from the schema a row: the replaced text, and field and words of the fault.
@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("driver: atlantic", "bound_driver: atlantic", "", "bound_driver"),
        ("suggested_use: pin", "suggested_use: panic", "suggested_use", "panic"),
        ("first_bad: 6.1.0", "first_bad: 6.1", "kernel.affected.0.first_bad", "none of the forms"),  # a YAML float
        ("- 07b1", "- 1614", "pci.0.devices.0", "quotes are missing?"),  # a YAML integer
        ("- 07b1", "- 0x07b1", "pci.0.devices.0", "not of type"),
        ("class: panic", "class: boom", "symptom.class", "boom"),
        ("id: atlantic-mine", "id: atlantic-other", "id", "has to be called atlantic-other.yml"),
        ("summary: It panics.", "summary: ''", "symptom.summary", ""),
    ],
)
def test_structure(shipped: pathlib.Path, mine: pathlib.Path, old: str, new: str, field: str, said: str) -> None:
    text = yaml.safe_dump(entry(id="atlantic-mine"), sort_keys=False)
    assert old in text
    text = text.replace(old, new, 1)
    found = fault(shipped, mine, text, "atlantic-mine.yml")
    assert found.field == field
    assert said in found.message
    if field:
        assert new.partition(":")[0].strip(" -") in text.splitlines()[found.line - 1]


def test_meaning_has_lines_too(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    path = write(mine, entry(id="mine", confidence="reported-by-users"))
    documents, faults = read(shipped, mine)
    assert not faults
    _entries, (found,) = build_entries(documents)
    assert str(found).startswith("{0}:".format(path))
    assert "suggested_use" in path.read_text(encoding="utf-8").splitlines()[found.line - 1]


def test_a_broken_entry_is_no_database(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    write(mine, entry(id="mine", confidence="reported-by-users"))
    documents, faults = read(shipped, mine)
    with pytest.raises(DatabaseError, match=r"mine\.yml:\d+: suggested_use: "):
        build_database(documents, None, faults)


def test_two_folders_with_one_id_name_both_files(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    write(mine, ENTRY)
    documents, _faults = read(shipped, mine)
    with pytest.raises(DatabaseError) as caught:
        build_database(documents, None)
    assert str(shipped) in str(caught.value)
    assert str(mine) in str(caught.value)


def test_a_user_replaces_a_shipped_entry(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    write(mine, entry(id="mine", replaces="atlantic-test", suggested_use="advise"))
    documents, _faults = read(shipped, mine)
    assert list(build_database(documents, None).entries) == ["mine"]


def test_hidden_files_and_others_are_passed_over(shipped: pathlib.Path, mine: pathlib.Path) -> None:
    (mine / ".swp.yml").write_text("{", encoding="utf-8")
    (mine / "README.md").write_text("{", encoding="utf-8")
    documents, faults = read(shipped, mine)
    assert (len(documents), faults) == (1, [])


def test_without_jsonschema_it_is_said(shipped: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairings, "jsonschema", None)
    documents, (found,) = read(shipped)
    assert documents == []
    assert "pip install jsonschema" in str(found)
