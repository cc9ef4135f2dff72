# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings`: list, show, lint and explain, as a user types them."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t

import pytest

from crashready import cli, exits, pairings
from crashready._core.judge import Database

Run = t.Callable[..., subprocess.CompletedProcess[str]]

FACTS: dict[str, t.Any] = {
    "schema": 1,
    "nics": [
        {
            "name": "enp1s0",
            "pci": {"vendor": "1d6a", "device": "07b1"},
            "driver": "atlantic",
            "module": "atlantic",
            "driver_version": "6.1.0-37-amd64",
            "firmware": {"raw": "3.1.78"},
            "virtual": False,
            "vf_of": None,
        }
    ],
    "kernel": {
        "release": "6.1.0-37-amd64",
        "machine": "x86_64",
        "package_version": "6.1.140-1",
        "stream": "stable",
        "taint": {"value": 0},
        "candidates": {
            "bookworm-security": [{"package": "linux-image-amd64", "version": "6.1.192-2"}],
            "bookworm-backports": [{"package": "linux-image-amd64", "version": "6.12.57-1~bpo12+1"}],
        },
    },
}


@pytest.fixture(scope="module")
def database() -> Database:
    """The shipped entries: reading them takes longer than what most tests do with them."""
    return pairings.load_database([])


@pytest.fixture
def facts(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FACTS), encoding="utf-8")
    return path


def test_lint_of_what_is_shipped(crashready: Run) -> None:
    done = crashready("pairings", "lint", "--json")
    assert done.returncode == exits.WELL, done.stdout
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["entries"] > 80


def test_lint_names_file_line_and_field(crashready: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine.yml").write_text("id: mine\ndriver: atlantic\nid: twice\n", encoding="utf-8")
    done = crashready("pairings", "lint", "--dir", str(tmp_path))
    assert done.returncode == exits.BAD
    assert "{0}/mine.yml:3: id: the key stands here twice".format(tmp_path) in done.stdout
    assert done.stdout.endswith("1 faults\n")


def test_a_broken_entry_stops_explain(crashready: Run, tmp_path: pathlib.Path, facts: pathlib.Path) -> None:
    (tmp_path / "mine.yml").write_text("id: mine\n", encoding="utf-8")
    done = crashready("pairings", "explain", str(facts), "--dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (exits.FAILED, "")
    assert "mine.yml:1: " in done.stderr
    assert "Traceback" not in done.stderr


def test_list(crashready: Run) -> None:
    done = crashready("pairings", "list", "--driver", "atlantic", "--json")
    assert done.returncode == exits.WELL
    assert "atlantic-rx-frag-overflow" in [entry["id"] for entry in json.loads(done.stdout)["entries"]]
    shown = crashready("pairings", "list", "--driver", "atlantic", "--use", "pin")
    assert "atlantic-rx-frag-overflow" in shown.stdout
    assert "qede-tpa-null" not in shown.stdout
    assert shown.stdout.splitlines()[0].startswith("id ")


def test_show(crashready: Run) -> None:
    done = crashready("pairings", "show", "mlx5-multiplane-old-fw")
    assert done.returncode == exits.WELL
    assert "trixie: fixed in 6.12.9-1" in done.stdout
    assert "ge 40.1000 and le 42.1000" in done.stdout
    raw = json.loads(crashready("pairings", "show", "mlx5-multiplane-old-fw", "--json").stdout)
    assert raw["firmware"]["affected"] == [{"ge": "40.1000", "le": "42.1000"}]


def test_show_of_nothing(crashready: Run) -> None:
    done = crashready("pairings", "show", "nonsense")
    assert (done.returncode, done.stdout) == (exits.USAGE, "")
    assert "crashready pairings list" in done.stderr


def test_explain(crashready: Run, facts: pathlib.Path) -> None:
    done = crashready("pairings", "explain", str(facts))
    assert done.returncode == exits.BAD, done.stderr
    assert "enp1s0: bad" in done.stdout
    assert "6.1.140-1 is older than 6.1.159-1" in done.stdout
    assert "remedy: linux-image-amd64 6.1.192-2 from bookworm-security fixes atlantic-rx-frag-overflow" in done.stdout
    assert "not linux-image-amd64 6.12.57-1~bpo12+1 (bookworm-backports): it does not carry the fix" in done.stdout
    assert re.search(r"known CVEs of its NIC drivers it fixes [1-9]", done.stdout)


def test_explain_as_json_and_with_a_waiver(crashready: Run, facts: pathlib.Path, tmp_path: pathlib.Path) -> None:
    waivers = tmp_path / "waivers.yml"
    text = "crashready_waivers:\n  - {entry: atlantic-rx-frag-overflow, reason: no jumbo frames, until: 2999-12-31}\n"
    waivers.write_text(text, encoding="utf-8")
    done = crashready("pairings", "explain", str(facts), "--json", "--waivers", str(waivers))
    assert done.returncode == exits.WELL, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "waived"
    assert found["remedy"]["needed"] is False


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"nics": ', "[" * 100000])
def test_explain_of_what_are_no_facts(
    facts: pathlib.Path,
    text: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pairings, "load_database", lambda _folders: database)
    facts.write_text(text, encoding="utf-8")
    assert cli.main(["pairings", "explain", str(facts)]) == exits.FAILED
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "crashready facts --json" in shown.err


def test_explain_this_machine(crashready: Run) -> None:
    done = crashready("pairings", "explain", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == pairings.exit_code(found["verdict"])


def test_import_is_among_them(crashready: Run) -> None:
    done = crashready("pairings", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("list", "show", "lint", "explain", "import"))


@pytest.mark.parametrize(("verdict", "code"), [("bad", 1), ("unknown", 2), ("suspect", 0), ("waived", 0), ("clear", 0)])
def test_exit_codes(verdict: str, code: int) -> None:
    assert pairings.exit_code(verdict) == code


def test_bugs(crashready: Run) -> None:
    done = crashready("pairings", "bugs", "atlantic", "6.1.140-1", "--to", "6.1.159")
    assert done.returncode == exits.WELL, done.stderr
    assert "CVE-2025-68301" in done.stdout.partition("6.1.159 fixes")[2]
    raw = json.loads(crashready("pairings", "bugs", "bnxt_en", "6.12.95", "--json").stdout)
    assert raw["drivers"] == ["bnxt_en", "bnxt_re"]
    assert raw["carries"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("no_such_driver", "6.12.95"), exits.UNKNOWN, "no record names the driver"),
        (("ice", "new"), exits.FAILED, "'new' is no kernel version"),
    ],
)
def test_bugs_of_what_is_not_known(crashready: Run, arguments: tuple[str, str], code: int, words: str) -> None:
    done = crashready("pairings", "bugs", *arguments)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
