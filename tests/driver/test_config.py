# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The configuration file and the environment: what counts, in which order, and what is never taken from them."""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import typing as t

import pytest

from crashready import check, cli, facts, harden
from crashready.config import ConfigError, apply, config_path, fill, read_settings

Run = t.Callable[..., subprocess.CompletedProcess[str]]


def parsed(
    tmp_path: pathlib.Path, text: str, *words: str, command: str = "facts", **environ: str
) -> argparse.Namespace:
    path = tmp_path / "config.toml"
    path.write_text(text)
    parser = cli._Parser()
    {"facts": facts, "check": check, "harden": harden}[command].add_arguments(parser)
    late = apply(parser, command, read_settings(str(path), cli.COMMANDS), environ)
    return fill(parser.parse_args(list(words)), late)


FILE = "forks = 10\n[facts]\nforks = 20\n"


@pytest.mark.parametrize(
    ("text", "words", "environ", "forks"),
    [
        ("", (), {}, 50),
        ("forks = 10\n", (), {}, 10),
        (FILE, (), {}, 20),
        (FILE, (), {"CRASHREADY_FORKS": "30"}, 30),
        (FILE, (), {"CRASHREADY_FORKS": "30", "CRASHREADY_FACTS_FORKS": "40"}, 40),
        (FILE, ("--forks", "60"), {"CRASHREADY_FACTS_FORKS": "40"}, 60),
        ("[check]\nforks = 10\n", (), {}, 50),
    ],
)
def test_precedence(
    tmp_path: pathlib.Path, text: str, words: tuple[str, ...], environ: dict[str, str], forks: int
) -> None:
    assert parsed(tmp_path, text, *words, **environ).forks == forks


@pytest.mark.parametrize(
    ("text", "words", "environ", "inventory"),
    [
        ('inventory = "rack"\n', (), {}, ["rack"]),
        ('inventory = ["a", "b"]\n', (), {}, ["a", "b"]),
        ('inventory = ["a", "b"]\n', ("-i", "c"), {}, ["c"]),
        ("", (), {"CRASHREADY_INVENTORY": "h1,h2,"}, ["h1,h2,"]),
        ("", (), {"CRASHREADY_INVENTORY": '["a", "b"]'}, ["a", "b"]),
        ("", (), {}, None),
    ],
)
def test_lists_are_replaced_and_not_added_to(
    tmp_path: pathlib.Path, text: str, words: tuple[str, ...], environ: dict[str, str], inventory: list[str] | None
) -> None:
    assert parsed(tmp_path, text, *words, **environ).inventory == inventory


def test_kinds_of_values(tmp_path: pathlib.Path) -> None:
    found = parsed(
        tmp_path,
        'become = true\ntimeout = 5\n[check]\nfail_on = "suspect"\nfrom = ["/a"]\n',
        command="check",
        CRASHREADY_JSON="yes",
    )
    assert (found.become, found.timeout, found.fail_on, found.json) == (True, 5.0, "suspect", True)
    assert found.recorded == [pathlib.Path("/a")]
    subsets = parsed(tmp_path, 'subset = "nics"\n').subset
    assert subsets == ("nics",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[fakts]\nforks = 1\n", "did you mean facts"),
        ("[facts]\nfroks = 1\n", "did you mean forks"),
        ("forks = 0\n", "less than 1"),
        ('forks = "many"\n', "invalid literal"),
        ("forks = [1]\n", "one text or number"),
        ('become = "perhaps"\n', "true or false"),
        ("not toml", "is not TOML"),
        ('[check]\nfail_on = "never"\n', "one of bad, suspect"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: pathlib.Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as found:
        parsed(tmp_path, text, command="check" if "fail_on" in text else "facts")
    assert "config.toml" in str(found.value)


@pytest.mark.parametrize("name", ["yes_reboot", "check", "resume", "ask_become_pass", "local"])
def test_consents_come_from_the_command_line_alone(tmp_path: pathlib.Path, name: str) -> None:
    command = "facts" if name in ("ask_become_pass", "local") else "harden"
    with pytest.raises(ConfigError, match="has no setting"):
        parsed(tmp_path, "[{0}]\n{1} = true\n".format(command, name), command=command)
    found = parsed(tmp_path, "", command=command, **{"CRASHREADY_" + name.upper(): "1"})
    assert not getattr(found, name)


def test_place_of_the_file() -> None:
    assert config_path({"CRASHREADY_CONFIG": "/x"}) == "/x"
    assert config_path({"XDG_CONFIG_HOME": "/c"}) == "/c/crashready/config.toml"
    assert config_path({}).endswith("/.config/crashready/config.toml")
    assert read_settings("/nowhere/config.toml", ()).general == {}
    with pytest.raises(ConfigError, match="not there"):
        read_settings("/nowhere/config.toml", (), named=True)


def test_the_command_reads_it(crashready: Run, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[facts]\njson = true\nsubset = 'kernel'\n")
    done = crashready("facts", CRASHREADY_CONFIG=str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert '"nics"' not in done.stdout
    path.write_text("[facts]\nnonsense = 1\n")
    done = crashready("facts", CRASHREADY_CONFIG=str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "nonsense" in done.stderr
    path.write_text("inventory = '/nowhere/rack'\n")
    assert crashready("facts", CRASHREADY_CONFIG=str(path)).returncode == 3
    assert crashready("facts", "--local", "--json", CRASHREADY_CONFIG=str(path)).returncode == 0
