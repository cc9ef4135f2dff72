# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The command line: which commands there are, usage errors, exit codes.

Every command is a module that is imported when it is asked for: `crashready
facts` must run with nothing but a Python 3.9 and its standard library.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import typing as t

from . import config
from .exits import FAILED, USAGE, WELL, ToolError
from .version import version

__all__ = ["COMMANDS", "Command", "main", "whole_parser"]


class Command(t.NamedTuple):
    """One subcommand. The module has `add_arguments(parser)` and `run(arguments) -> int`.

    With `whole` it has `main(argv) -> int` instead and reads its arguments itself.
    """

    module: str
    about: str
    whole: bool = False


COMMANDS: dict[str, Command] = {
    "facts": Command("crashready.facts", "NICs, kernel, crash capture and crashes, of this machine or of a rack"),
    "check": Command("crashready.check", "would the next panic be kept, and does a known bad pairing wait"),
    "report": Command("crashready.report", "where a rack stands: for the terminal, as JSON, as one page of HTML"),
    "diff": Command("crashready.diff", "what changed in a rack since a date"),
    "triage": Command("crashready.triage", "from a crash to its culprit, and to every host that waits for the same"),
    "harden": Command("crashready.harden", "arm the crash capture on every host of an inventory"),
    "rollout": Command("crashready.rollout", "harden a rack in waves: a canary for each pairing, then batches"),
    "drill": Command("crashready.drill", "panic hosts with consent by name, and prove that their dumps can be opened"),
    "soak": Command("crashready.soak", "load NICs with consent by name: reproduce a panic, prove that a fix holds"),
    "metrics": Command("crashready.metrics", "what check sees of a rack, for Prometheus: printed, in a file or served"),
    "pin": Command("crashready.pin", "bring another kernel, try it in one boot, keep it or take it away"),
    "pairings": Command("crashready.pairings", "known bad pairings of NIC, driver, firmware and kernel"),
    "demo": Command(
        "crashready.demo", "a small rack of virtual machines, hardened, one panicked, explained", whole=True
    ),
    "lab": Command("crashready.lab.cli", "start and stop virtual machines of a test rack", whole=True),
    "test": Command("crashready.testing", "run every test of the project, as CI does"),
    "setup": Command("crashready.setup", "prepare this checkout: virtual environment, collection, packages"),
    "completion": Command("crashready.completion", "completions of this command for bash, zsh or fish"),
    "manpage": Command("crashready.manpage", "the man page of this command"),
    "version": Command("crashready.version_command", "versions of the command, the collection and what they run on"),
}


class _Parser(argparse.ArgumentParser):
    """argparse with the exit code of this tool for wrong usage."""

    def error(self, message: str) -> t.NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, "{0}: {1}\n".format(self.prog, message))


def _parsers(wanted: t.Container[str]) -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of the command, and those of its subcommands; only the wanted ones have their options."""
    parser = _Parser(
        prog="crashready",
        description="Makes Debian servers ready for their next kernel crash, and proves it.",
        epilog="Exit codes: 0 well, 1 something bad was found, 2 something unknown or unreachable, "
        "3 wrong usage, 4 the tool itself failed.",
    )
    parser.add_argument("--version", action="version", version="crashready {0}".format(version()))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    found = {}
    for name, command in COMMANDS.items():
        has_help = not command.whole or name in wanted
        found[name] = commands.add_parser(name, help=command.about, description=command.about, add_help=has_help)
        if name in wanted:
            importlib.import_module(command.module).add_arguments(found[name])
    return parser, found


def whole_parser() -> argparse.ArgumentParser:
    """Every command with all its options, for the man page and the completions."""
    return _parsers(COMMANDS)[0]


def _parse(argv: list[str], chosen: str | None) -> argparse.Namespace:
    """The arguments, with what the configuration file and the environment say of one command."""
    parser, commands = _parsers({chosen} if chosen else ())
    if chosen is None:
        return parser.parse_args(argv)
    settings = config.read_settings(config.config_path(), COMMANDS, named="CRASHREADY_CONFIG" in os.environ)
    late = config.apply(commands[chosen], chosen, settings)
    return config.fill(parser.parse_args(argv), late)


def _run(argv: list[str]) -> int:
    chosen = argv[0] if argv and argv[0] in COMMANDS else None
    if chosen is not None and COMMANDS[chosen].whole:
        return int(importlib.import_module(COMMANDS[chosen].module).main(argv[1:]))
    try:
        arguments = _parse(argv, chosen)
    except config.ConfigError as error:
        print("crashready: {0}".format(error), file=sys.stderr)
        return USAGE
    return int(importlib.import_module(COMMANDS[arguments.command].module).run(arguments))


def _guarded(argv: list[str]) -> int:
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except ToolError as error:
        print("crashready: {0}".format(error), file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read has gone (`crashready facts | head`). Nothing may be written when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    except KeyboardInterrupt:
        print("crashready: interrupted", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        print(_missing(error), file=sys.stderr)
        return FAILED


def _missing(error: ModuleNotFoundError) -> str:
    return (
        "crashready: the Python module {0} is missing from {1}. In a checkout run `./crashready setup` and use "
        "`./crashready`; otherwise install crashready again.".format(error.name, sys.executable)
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is one of `crashready.exits`. A bug keeps its traceback and ends with FAILED."""
    try:
        return _guarded(sys.argv[1:] if argv is None else argv)
    except Exception:  # noqa: BLE001  whatever a bug is, its exit code is not that of a bad host
        sys.excepthook(*t.cast(t.Any, sys.exc_info()))
        return FAILED
