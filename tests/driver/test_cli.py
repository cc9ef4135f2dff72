# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The command line: exit codes, and nothing but results on standard output."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest

from crashready import cli, exits, harden, pin, rack_run

Run = t.Callable[..., "subprocess.CompletedProcess[str]"]


def test_version_is_the_one_in_galaxy_yml(crashready: Run, root: pathlib.Path) -> None:
    version = re.findall(r"(?m)^version: (\S+)$", (root / "galaxy.yml").read_text(encoding="utf-8"))[0]
    done = crashready("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "crashready {0}\n".format(version), "")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("facts", "--nonsense"),
        ("facts", "--subset", "nics,nonsense"),
        ("harden",),
        ("harden", "-i", "rack", "--yes-reboot", "a,,b"),
        ("harden", "-i", "rack", "--yes-reboot", ""),
        ("test", "--only", "nonsense"),
    ],
)
def test_wrong_usage_is_3_and_silent_on_stdout(crashready: Run, words: tuple[str, ...]) -> None:
    done = crashready(*words)
    assert done.returncode == exits.USAGE
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_help_names_every_command(crashready: Run) -> None:
    done = crashready("--help")
    assert done.returncode == 0
    assert all(re.search(r"(?m)^    {0}( |$)".format(name), done.stdout) for name in cli.COMMANDS)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(crashready: Run, name: str) -> None:
    done = crashready(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_facts_as_json(crashready: Run, tmp_path: pathlib.Path) -> None:
    done = crashready("facts", "--json", "--subset", "nics,kernel", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["schema"] == 1
    assert "nics" in facts
    assert facts["kernel"]["release"] == pathlib.Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip()
    assert done.stdout == json.dumps(facts, indent=2, sort_keys=True) + "\n"


def test_facts_for_people(crashready: Run, tmp_path: pathlib.Path) -> None:
    done = crashready("facts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert pathlib.Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip() in done.stdout


def test_facts_need_the_standard_library_alone(root: pathlib.Path) -> None:
    """-S leaves site-packages out, -E the environment; the import of a third-party package would fail."""
    code = "import sys; sys.path.insert(0, {0!r}); from crashready.cli import main; sys.exit(main())".format(
        str(root / "src")
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, "facts", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1


def test_a_reader_that_leaves_is_no_error(root: pathlib.Path) -> None:
    command = "set -o pipefail; {0} -m crashready facts --json | head -c 1 >/dev/null".format(sys.executable)
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bug_ends_with_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(argv: list[str]) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr(cli, "_run", broken)
    assert cli.main([]) == exits.FAILED
    assert "boom" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-i", "rack"], ["-i", "rack"]),
        (
            ["-i", "a", "-i", "b", "--check", "--diff", "--limit", "web*"],
            ["-i", "a", "-i", "b", "--check", "--diff", "--limit", "web*"],
        ),
        (["-i", "r", "--yes-reboot", "all"], ["-i", "r", "-e", '{"crashready_yes_reboot": ["all"]}']),
        (
            ["-i", "r", "--yes-reboot", "a, b", "--yes-reboot", "c"],
            ["-i", "r", "-e", '{"crashready_yes_reboot": ["a", "b", "c"]}'],
        ),
        (
            ["-i", "r", "-e", "x=1", "--", "-v", "--ask-become-pass"],
            ["-i", "r", "-e", "x=1", "-v", "--ask-become-pass"],
        ),
    ],
)
def test_harden_builds_one_ansible_command(words: list[str], expected: list[str]) -> None:
    parser = cli._Parser()
    harden.add_arguments(parser)
    built = rack_run.command_line(harden.HARDEN, parser.parse_args(words))
    assert built == ["rackops.crashready.harden_crash", *expected]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-i", "rack"], ["-i", "rack"]),
        (
            ["-i", "r", "--state", "absent", "--check", "--limit", "a"],
            ["-i", "r", "--check", "--limit", "a", "-e", '{"backports_kernel_state": "absent"}'],
        ),
        (
            ["-i", "r", "--kernel", "6.12.9-1", "--suite", "s", "--package", "p", "--diff"],
            [
                *("-i", "r", "--diff", "-e"),
                '{"backports_kernel_package": "p", "backports_kernel_version": "6.12.9-1", '
                '"backports_kernel_suite": "s"}',
            ],
        ),
        (
            ["-i", "r", "--yes-reboot", "a", "--yes-hang", "a,b", "--", "-v"],
            [
                *("-i", "r", "-e", '{"crashready_yes_reboot": ["a"]}'),
                *("-e", '{"crashready_yes_hang": ["a", "b"]}', "-v"),
            ],
        ),
    ],
)
def test_pin_builds_one_ansible_command(words: list[str], expected: list[str]) -> None:
    parser = cli._Parser()
    pin.add_arguments(parser)
    assert rack_run.command_line(pin.PIN, parser.parse_args(words)) == ["rackops.crashready.pin", *expected]


@pytest.mark.parametrize(
    ("ansible", "ours"), [(0, 0), (1, 4), (2, 1), (4, 2), (5, 3), (6, 1), (8, 1), (99, 4), (250, 4), (-9, 4)]
)
def test_exit_codes_of_ansible_are_mapped(ansible: int, ours: int) -> None:
    assert rack_run.exit_code(ansible) == ours
