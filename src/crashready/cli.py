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

from .exits import FAILED, USAGE, WELL, ToolError
from .version import version

__all__ = ["COMMANDS", "Command", "main"]


class Command(t.NamedTuple):
    """One subcommand. The module has `add_arguments(parser)` and `run(arguments) -> int`.

    With `whole` it has `main(argv) -> int` instead and reads its arguments itself.
    """

    module: str
    about: str
    whole: bool = False


COMMANDS: dict[str, Command] = {
    "facts": Command("crashready.facts", "what this machine's NICs, kernel, crash capture and crashes look like"),
    "harden": Command("crashready.harden", "arm the crash capture on every host of an inventory"),
    "demo": Command(
        "crashready.demo", "a small rack of virtual machines, hardened, one panicked, explained", whole=True
    ),
    "lab": Command("crashready.lab.cli", "start and stop virtual machines of a test rack", whole=True),
    "test": Command("crashready.testing", "run every test of the project, as CI does"),
    "setup": Command("crashready.setup", "prepare this checkout: virtual environment, collection, packages"),
    "version": Command("crashready.version_command", "versions of the command, the collection and what they run on"),
}


class _Parser(argparse.ArgumentParser):
    """argparse with the exit code of this tool for wrong usage."""

    def error(self, message: str) -> t.NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, "{0}: {1}\n".format(self.prog, message))


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="crashready",
        description="Makes Debian servers ready for their next kernel crash, and proves it.",
        epilog="Exit codes: 0 well, 1 something bad was found, 2 something unknown or unreachable, "
        "3 wrong usage, 4 the tool itself failed.",
    )
    parser.add_argument("--version", action="version", version="crashready {0}".format(version()))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.about, description=command.about, add_help=not command.whole)
        if name == chosen and not command.whole:
            importlib.import_module(command.module).add_arguments(subparser)
    return parser


def _run(argv: list[str]) -> int:
    chosen = argv[0] if argv and argv[0] in COMMANDS else None
    if chosen is not None and COMMANDS[chosen].whole:
        return int(importlib.import_module(COMMANDS[chosen].module).main(argv[1:]))
    arguments = _parser(chosen).parse_args(argv)
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
