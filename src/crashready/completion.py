# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready completion SHELL`: completions made from the parsers that `--help` shows.

They are files that a shell reads by itself (shtab): no Python is started at a press
of the key.
"""

from __future__ import annotations

import argparse

from .exits import WELL

__all__ = ["SHELLS", "add_arguments", "run", "script"]

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=SHELLS, help="for which shell")


def run(arguments: argparse.Namespace) -> int:
    """Print the completions of a shell."""
    print(script(arguments.shell))
    return WELL


def script(shell: str) -> str:
    """The completions of a shell, as a text for its own place (see docs/driver.md)."""
    import shtab

    parser = _whole_parser()
    _mark_files(parser, shtab.FILE, shtab.DIRECTORY)
    return str(shtab.complete(parser, shell=shell))


def _whole_parser() -> argparse.ArgumentParser:
    from .cli import whole_parser

    return whole_parser()


def _mark_files(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    """Tell which options take a file or a folder, by the word that stands for their value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _mark_files(each, file, folder)
        elif action.metavar in ("FILE", "FACTS", "PATH") or action.dest == "inventory":
            action.complete = file  # type: ignore[attr-defined]
        elif action.metavar in ("FOLDER", "RUN", "DIR"):
            action.complete = folder  # type: ignore[attr-defined]
