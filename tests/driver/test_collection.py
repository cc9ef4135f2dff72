# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which copy of the collection is used, and what is refused."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from crashready import collection
from crashready.exits import ToolError
from crashready.version import version

Run = t.Callable[..., "subprocess.CompletedProcess[str]"]


def _installed(base: pathlib.Path, number: str) -> pathlib.Path:
    """A copy as ansible-galaxy leaves it: MANIFEST.json and no galaxy.yml."""
    place = base / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    manifest = {"collection_info": {"namespace": "rackops", "name": "crashready", "version": number}, "format": 1}
    (place / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    return place


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"MANIFEST.json": '{"collection_info": {"version": "1.2.3"}}', "galaxy.yml": "version: 9.9.9\n"}, "1.2.3"),
        ({"galaxy.yml": "---\nname: crashready\nversion: 0.4.0\n"}, "0.4.0"),
        ({"galaxy.yml": 'version: "0.4.0-rc1"  # soon\n'}, "0.4.0-rc1"),
        ({"MANIFEST.json": "{", "galaxy.yml": "version: 0.4.0\n"}, "0.4.0"),
        ({"MANIFEST.json": "[]"}, "unknown"),
        ({"galaxy.yml": "versions: 1\n"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_version_of(tmp_path: pathlib.Path, files: dict[str, str], expected: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert collection.version_of(str(tmp_path)) == expected


def test_the_first_copy_wins(tmp_path: pathlib.Path) -> None:
    _installed(tmp_path / "second", "2.0.0")
    place = _installed(tmp_path / "third", "3.0.0")
    paths = [str(tmp_path / name) for name in ("first", "second", "third")]
    found = collection.find_copy(paths)
    assert found is not None
    assert found.version == "2.0.0"
    assert collection.find_copy([str(tmp_path / "third" / "ansible_collections")]) == (str(place), "3.0.0")
    assert collection.find_copy([str(tmp_path / "first")]) is None


@pytest.mark.parametrize(
    ("own", "other", "command"),
    [
        ("0.2.0", "0.1.0", "ansible-galaxy collection install --force -p {base} rackops.crashready:==0.2.0"),
        ("0.10.0", "0.9.0", "ansible-galaxy collection install --force -p {base} rackops.crashready:==0.10.0"),
        ("0.1.0", "0.2.0", "{python} -m pip install crashready==0.2.0"),
        ("0.1.0", "unknown", "ansible-galaxy collection install --force -p {base} rackops.crashready:==0.1.0"),
    ],
)
def test_a_mismatch_names_both_versions_and_the_mending_command(
    tmp_path: pathlib.Path, own: str, other: str, command: str
) -> None:
    place = _installed(tmp_path, other)
    with pytest.raises(ToolError) as caught:
        collection.check(collection.Copy(str(place), other), own)
    text = str(caught.value)
    assert "version {0},".format(own) in text
    assert "version {0} of".format(other) in text
    assert text.endswith("Run: " + command.format(base=tmp_path, python=sys.executable))


def test_harden_refuses_another_version_before_anything_runs(crashready: Run, tmp_path: pathlib.Path) -> None:
    _installed(tmp_path, "99.0.0")
    done = crashready("harden", "-i", "localhost,", cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert done.returncode == 4
    assert done.stdout == ""
    assert "99.0.0" in done.stderr
    assert version() in done.stderr


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the checkout", "in another directory"])
def test_the_copy_found_is_the_copy_ansible_uses(root: pathlib.Path, tmp_path: pathlib.Path, elsewhere: bool) -> None:
    """`chosen_copy` repeats Ansible's order of search; here Ansible itself is asked, in the driver's environment."""
    question = (
        "import json, os\n"
        "from crashready import collection\n"
        "print(json.dumps([collection.chosen_copy().path, collection.environment()['ANSIBLE_COLLECTIONS_PATH']]))"
    )
    cwd = tmp_path if elsewhere else root
    asked = subprocess.run([sys.executable, "-c", question], cwd=cwd, capture_output=True, text=True, check=True)
    ours, paths = json.loads(asked.stdout)
    program = os.path.join(os.path.dirname(sys.executable), "ansible-galaxy")
    listed = subprocess.run(
        [program, "collection", "list", "--format", "json", "rackops.crashready"],
        cwd=cwd,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    first = next(iter(json.loads(listed.stdout)))
    assert os.path.realpath(ours) == os.path.realpath(os.path.join(first, "rackops", "crashready"))


def test_an_installed_copy_comes_before_the_checkout(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _installed(tmp_path, "0.0.1")
    monkeypatch.setattr(collection, "_configured_paths", lambda: [str(tmp_path)])
    assert collection.chosen_copy() == (str(place), "0.0.1")


def test_no_copy_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "_configured_paths", list)
    monkeypatch.setattr(collection, "_own_paths", list)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ToolError, match=r"finds no copy of the collection rackops\.crashready\. Run: "):
        collection.chosen_copy()
