# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Machines and inventories that are not as one wishes: each run ends well or with words, and never with a traceback."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

Run = t.Callable[..., subprocess.CompletedProcess[str]]

#: This machine, looked at and not touched: a run in check mode. Nothing of it needs root.
HOST = {"ansible_connection": "local", "ansible_become": "false", "ansible_python_interpreter": sys.executable}


def inventory(folder: pathlib.Path, end: str = "\n", ini: bool = False) -> pathlib.Path:
    path = folder / ("rack.ini" if ini else "rack.yml")
    if ini:
        lines = ["[storage]", "localhost " + " ".join("{0}={1}".format(*item) for item in HOST.items()), ""]
    else:
        lines = ["all:", "  hosts:", "    localhost:", *("      {0}: {1}".format(*item) for item in HOST.items()), ""]
    path.write_bytes(end.join(lines).encode())
    return path


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def looked_at(done: subprocess.CompletedProcess[str]) -> bool:
    """The run came to its table, with this host in it; what the host is like is another matter."""
    table = re.search(r"(?m)^localhost(?:  |: ).*(?:would change|failed|not applicable|not armed|armed)", done.stdout)
    return table is not None and "Traceback" not in done.stdout + done.stderr


# --- the inventory -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ini", "settings"),
    [(True, {"LC_ALL": "", "LANG": "de_DE.UTF-8"}), (False, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"})],
    ids=["INI, a locale that is not installed", "YAML, the locale C"],
)
def test_windows_line_ends_in_an_inventory_and_a_locale_that_ansible_refuses(
    crashready: Run, tmp_path: pathlib.Path, ini: bool, settings: dict[str, str]
) -> None:
    done = crashready("harden", "-i", str(inventory(tmp_path, "\r\n", ini)), "--check", **settings)
    assert looked_at(done), done.stdout + done.stderr
    assert "\r" not in done.stdout
    assert not re.search(r"(?m)^storage\b", done.stdout), "a group's name is no host"


def test_inventory_that_is_not_there(crashready: Run, tmp_path: pathlib.Path) -> None:
    done = crashready("harden", "-i", str(tmp_path / "nowhere.yml"), "--check")
    assert done.returncode != 0
    assert "nowhere.yml" in said(done)
    assert "Traceback" not in said(done)


# --- the machine of the user ------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LANG": "xx"}])
def test_facts_in_any_locale(crashready: Run, settings: dict[str, str]) -> None:
    for words in (("facts",), ("facts", "--json")):
        done = crashready(*words, **settings)
        assert (done.returncode, done.stderr) == (0, "")


def test_home_that_cannot_be_written(crashready: Run, tmp_path: pathlib.Path) -> None:
    """/proc takes no files, from root neither. What Ansible keeps goes elsewhere, and is gone afterwards."""
    env = {"HOME": "/proc", "TMPDIR": str(tmp_path), "ANSIBLE_HOME": "", "XDG_STATE_HOME": ""}
    done = crashready("harden", "-i", str(inventory(tmp_path)), "--check", **env)
    assert looked_at(done), done.stdout + done.stderr
    assert "/proc/.ansible cannot be written" in said(done)
    # What stays is the run itself, and the command says where.
    left = [path.name for path in tmp_path.iterdir() if path.name != "rack.yml"]
    assert [name[:14] for name in left] == ["crashready-run"]
    assert left[0] in said(done)
    assert crashready("facts", "--json", HOME="/proc").returncode == 0


def test_offline(tmp_path: pathlib.Path) -> None:
    """A network namespace without an interface that is up: neither facts nor a run want anything from outside."""
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine makes no network namespaces")
    for words in (["facts", "--json"], ["harden", "-i", str(inventory(tmp_path)), "--check"]):
        command = [*alone, sys.executable, "-m", "crashready", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        assert words[0] == "facts" or looked_at(done), done.stdout + done.stderr


# --- the terminal ----------------------------------------------------------------------


def on_a_terminal(words: t.Sequence[str], **env: str) -> str:
    """What a command writes to a terminal of its own."""
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crashready", *words],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        env={**os.environ, "TERM": "xterm-256color", **env},
    )
    os.close(writer)
    found = b""
    while True:
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        found += chunk
    process.wait(60)
    os.close(reader)
    return found.decode("utf-8", "replace").replace("\r\n", "\n")


def test_no_color_and_sixty_columns(tmp_path: pathlib.Path) -> None:
    path = str(inventory(tmp_path))
    text = on_a_terminal(["harden", "-i", path, "--check"], NO_COLOR="1", COLUMNS="60")
    # NO_COLOR is about colours (no-color.org); the progress may still be bold and move the cursor.
    assert not re.search(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[;m]", text)
    text = re.sub(r"\x1b\[[0-?]*[A-Za-z]", "", text)
    block = text[re.search(r"(?m)^\r?localhost: would change$", text).end() :].split("\nevents of")[0].splitlines()[1:]
    assert len(block) > 1
    table = [line for line in block if line.startswith("  ")]
    assert max(map(len, table)) <= 60, text
    assert "HOST  " not in text, "the table would be wider"


def test_facts_for_people_have_no_colours_of_their_own() -> None:
    assert "\x1b[" not in on_a_terminal(["facts"], NO_COLOR="1", COLUMNS="60")


# --- an Ansible that is not tested ------------------------------------------------------


@pytest.fixture
def newer_checkout(root: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A checkout whose collection asks for an ansible-core that is not here: to it, this one is too old."""
    place = tmp_path / "checkout/.venv/collections/ansible_collections/rackops/crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "roles", "playbooks", "meta"):
        shutil.copytree(root / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "galaxy.yml", place)
    runtime = place / "meta/runtime.yml"
    text = re.sub(r"(?m)^requires_ansible:.*$", 'requires_ansible: ">=99.0.0"', runtime.read_text(encoding="utf-8"))
    runtime.write_text(text, encoding="utf-8")
    checkout = tmp_path / "checkout"
    for name in ("ansible.cfg", "harden-crash.yml"):
        shutil.copy(root / name, checkout)
    shutil.copytree(root / "playbooks", checkout / "playbooks")
    return checkout


@pytest.mark.parametrize(
    "words",
    [["ansible-playbook", "harden-crash.yml"], ["ansible", "all", "-m", "rackops.crashready.crash_facts"]],
)
def test_ansible_core_that_is_too_old_is_refused_before_anything(
    newer_checkout: pathlib.Path, tmp_path: pathlib.Path, words: list[str]
) -> None:
    """Debian 12's own ansible-core 2.14 ends with the same words."""
    program = str(pathlib.Path(sys.executable).parent / words[0])
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [program, *words[1:], "-i", str(inventory(tmp_path))],
        cwd=newer_checkout,
        env={**env, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert re.search(r"rackops\.crashready does not support Ansible version \d+\.\d+", said(done)), said(done)
    assert "TASK" not in done.stdout
    assert "Traceback" not in said(done)
