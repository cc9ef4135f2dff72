# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready triage FILE...`: what died, where, who owns it, and which other hosts wait for the same.

The text tier runs with the standard library of Python 3.9 alone, before any set-up: this module and
what it imports must stay so. Everything heavier (SQLAlchemy, PyYAML, rich, drgn, Ansible) is
imported where it is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import typing as t

from ._core.errors import ParseError
from ._core.text import clean
from ._host.base import Unreadable
from ._host.crashlogs import CrashSource, find_sources
from ._host.local import LocalHost
from .exits import BAD, UNKNOWN, ToolError
from .triage_tiers import TIERS, Crash, Options, read_crash, say, stdin_source

if t.TYPE_CHECKING:
    from .fleet import Knowledge

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, and what may be used to explain them."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a kernel log, a vmcore, a folder of kdump-tools or pstore, a folder of such folders, or - for a log on "
        "standard input",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a crash, each on a line of its own")
    parser.add_argument(
        "-i", "--inventory", action="append", default=[], metavar="RACK", help="ask these hosts for their facts now"
    )
    parser.add_argument("--facts", metavar="DIR", help="recorded facts of the rack, HOST.json each")
    parser.add_argument("--host", metavar="NAME", help="whose crash it is, where neither path nor dump says so")
    parser.add_argument(
        "--store", metavar="URL", help="history: a file, or an URL of PostgreSQL (default: CRASHREADY_STORE, XDG state)"
    )
    parser.add_argument("--no-store", action="store_true", help="neither read nor write the history")
    parser.add_argument(
        "--symbols",
        default="auto",
        metavar="auto|never|DIR",
        help="debug symbols for a dump: found and fetched by build id (auto), none, or only from this folder or "
        "linux-image-*-dbg package",
    )
    parser.add_argument("--tier", choices=TIERS, default="drgn", help="the highest tier to use (default: drgn)")
    parser.add_argument("--draft", metavar="FILE", help="write the draft of a new pairing entry here")
    parser.add_argument("--pairings", action="append", default=[], metavar="DIR", help="pairing entries of your own")
    parser.add_argument("--scratch", metavar="DIR", help="where a dump may be put together (default: TMPDIR, /var/tmp)")


def run(arguments: argparse.Namespace) -> int:
    """Explain every file. 1 where a crash was found, 2 where a file holds none or could not be read."""
    from .triage_tables import read_tables

    if arguments.symbols not in ("auto", "never") and not os.path.exists(arguments.symbols):
        raise ToolError("--symbols {0}: there is no such folder or package".format(arguments.symbols))
    work = _Work(arguments, read_tables())
    try:
        for file in arguments.files:
            work.file(file)
    finally:
        work.close()
    return work.code()


class _Work:
    """One run over all files."""

    def __init__(self, arguments: argparse.Namespace, tables: t.Any) -> None:
        self._arguments = arguments
        self._tables = tables
        self._options = Options(arguments.tier, arguments.symbols, arguments.scratch)
        self._knowledge: Knowledge | None = None
        self._draft: str | None = None
        self._no_draft: list[str] = []
        self._found: list[bool] = []

    def file(self, name: str) -> None:
        """Every crash behind one argument. What cannot be read is said; the other files go on."""
        try:
            if name == "-":
                self._show(stdin_source(self._tables))
                return
            sources = find_sources(LocalHost(), os.path.abspath(name))
        except (ParseError, Unreadable) as exc:
            say(clean(str(exc), 4096))
            self._found.append(False)
            return
        for source in sources:
            self._show(self._read(source))

    def _read(self, source: CrashSource) -> Crash:
        return read_crash(source, self._tables, self._options)

    def _show(self, crash: Crash) -> None:
        if self._knowledge is None:
            self._knowledge = self._learn()
        result = self._knowledge.explain(crash, self._arguments.host)
        self._found.append(crash.found)
        if result["draft"] is not None:
            self._draft = self._draft or result["draft"]
        else:
            self._no_draft.append(result["draft_reason"] or "no crash was found")
        if self._arguments.json:
            print(json.dumps(result, sort_keys=True, ensure_ascii=True), flush=True)
            return
        from .triage_page import page, show

        show(page(result))

    def _learn(self) -> Knowledge:
        from .fleet import Knowledge

        given = self._arguments
        return Knowledge(given.inventory, given.facts, given.store, not given.no_store, given.pairings)

    def close(self) -> None:
        """Write the draft, let go of the store."""
        if self._knowledge is not None:
            self._knowledge.close()
        if self._arguments.draft is None:
            return
        if self._draft is None:
            say(
                "{0} was not written: {1}".format(
                    self._arguments.draft, "; ".join(dict.fromkeys(self._no_draft)) or "no crash"
                )
            )
            return
        try:
            with open(self._arguments.draft, "x", encoding="utf-8") as stream:
                stream.write(self._draft)
        except OSError as exc:
            raise ToolError("--draft {0}: {1}".format(self._arguments.draft, exc.strerror)) from exc
        say("wrote the draft {0}".format(self._arguments.draft))

    def code(self) -> int:
        """A crash is something bad; a file without one is unknown and never good."""
        return BAD if any(self._found) else UNKNOWN
