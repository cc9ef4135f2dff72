# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Looks at a rack go into the store, so that `crashready diff` and the report know what was before.

`check -i` and `report -i` remember by themselves; recorded facts, this machine and
`facts` only with --remember. `drill` and `soak` keep their outcomes. A store that
nobody asked for by name may be out of order: that is said, and the command goes on
without it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import types
import typing as t

from ._core.text import clean
from .exits import ToolError

if t.TYPE_CHECKING:
    from .check import Looked
    from .store.history import Look, Store

__all__ = [
    "Memory",
    "add_keeping_arguments",
    "add_store_arguments",
    "drilled_at",
    "keeper_for",
    "memory_for",
    "open_store",
]

#: Looks are written in parts: the facts of ten thousand hosts are not held at once, and other programs get a turn.
_PART = 500


def add_store_arguments(parser: argparse.ArgumentParser, without: str, optional: bool = True) -> None:
    """`--remember`, `--no-store` and `--store`. `without` says what happens without the first."""
    group = parser.add_argument_group("history")
    group.add_argument(
        "--store", metavar="URL", help="a file, or an URL of PostgreSQL (default: CRASHREADY_STORE, XDG state)"
    )
    if optional:
        either = group.add_mutually_exclusive_group()
        either.add_argument(
            "--remember", action="store_true", help="keep this look for `crashready diff` ({0})".format(without)
        )
        either.add_argument("--no-store", action="store_true", help="neither read nor write the history")


def add_keeping_arguments(parser: argparse.ArgumentParser) -> None:
    """`--no-store` and `--store` of a command that keeps its outcomes unless it is told not to."""
    group = parser.add_argument_group("history")
    group.add_argument(
        "--store", metavar="URL", help="a file, or an URL of PostgreSQL (default: CRASHREADY_STORE, XDG state)"
    )
    group.add_argument("--no-store", action="store_true", help="neither read nor write the history")


def drilled_at(outcome: t.Mapping[str, t.Any], written_s: float) -> dt.datetime:
    """When a drill was: by its record (the host's own clock), else when its outcome was written, as of one that hung.

    Raises KeyError, TypeError, ValueError or OverflowError.
    """
    record = outcome.get("record")
    at_s = float(record["when_s"]) if isinstance(record, dict) else written_s
    return dt.datetime.fromtimestamp(at_s, dt.timezone.utc)


def open_store(asked: str | None, must: bool, make: bool = True) -> Store | None:
    """The store; None where it cannot be had and need not be, or where it would have to be made and must not.

    Raises ToolError where it `must` be had.
    """
    from .store.place import file_of, store_url

    path = file_of(store_url(asked))
    if not make and path is not None and not os.path.exists(path):
        return None
    try:
        from .store.history import Store

        return Store(asked)
    except (ToolError, ImportError) as exc:
        if must:
            raise
        print("crashready: no history: {0}".format(clean(str(exc), 400)), file=sys.stderr)
        return None


class Memory:
    """What takes the looks of one run. Without a store it takes them and does nothing."""

    def __init__(self, store: Store | None, must: bool = False) -> None:
        self.store = store
        self._must = must
        self._looks: list[Look] = []
        self._kept = False

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: types.TracebackType | None) -> None:
        try:
            self._write()
            if self._kept:
                self._guarded(lambda store: store.forget())
        finally:
            if self.store is not None:
                self.store.close()

    def add(self, looked: Looked) -> None:
        """Keep a host's facts with their judgement; nothing of a host whose turn never came."""
        if self.store is None or not looked.asked:
            return
        from ._core.history import brief_judgement

        checked = looked.checked
        judged = brief_judgement(checked.state, checked.capture, checked.judged, checked.failure)
        self.add_facts(checked.host, looked.facts, judged, looked.seen_at)

    def add_facts(self, host: str, facts: t.Any, judged: dict[str, t.Any] | None, seen_at: dt.datetime) -> None:
        """Keep facts without a judgement, or a host that gave none."""
        if self.store is None:
            return
        from .store.history import Look

        self._looks.append(Look(host, facts if isinstance(facts, dict) else None, judged, seen_at))
        if len(self._looks) >= _PART:
            self._write()

    def add_drill(self, outcome: t.Mapping[str, t.Any], drilled_at: dt.datetime) -> None:
        """Keep the outcome of a drill; one that names no host or no drill is said and left out."""
        self._add(outcome, lambda store: store.add_drill(outcome, drilled_at))

    def add_soak(self, host: str, record: t.Any, outcome: t.Any, seen_at: dt.datetime) -> None:
        """Keep one host's part of a soak; half of one is said and left out."""
        self._add({"host": host}, lambda store: store.add_soak(host, record, outcome, seen_at))

    def _add(self, about: t.Mapping[str, t.Any], add: t.Callable[[Store], object]) -> None:
        def work(store: Store) -> None:
            from .store.canonical import Unfit

            try:
                add(store)
            except Unfit as exc:
                self._say({str(about.get("host")): str(exc)})

        self._guarded(work)

    def _write(self) -> None:
        looks, self._looks = self._looks, []
        self._kept = self._kept or bool(looks)
        self._guarded(lambda store: self._say(store.remember(looks).unfit))

    def _guarded(self, work: t.Callable[[Store], object]) -> None:
        if self.store is None:
            return
        try:
            work(self.store)
        except ToolError as exc:
            if self._must:
                raise
            print("crashready: this look is not kept: {0}".format(clean(str(exc), 400)), file=sys.stderr)
            self.store.close()
            self.store = None

    @staticmethod
    def _say(unfit: t.Mapping[str, str]) -> None:
        for host, why in unfit.items():
            print("crashready: {0} is not kept: {1}".format(clean(host, 100), clean(why, 300)), file=sys.stderr)


def memory_for(arguments: argparse.Namespace, by_itself: bool) -> Memory:
    """What the options ask for; `by_itself`: the command keeps looks at an inventory unasked."""
    of_rack = bool(arguments.inventory) and not arguments.local and not getattr(arguments, "recorded", None)
    if arguments.no_store or not (arguments.remember or (by_itself and of_rack)):
        return Memory(None)
    must = bool(arguments.remember or arguments.store)
    return Memory(open_store(arguments.store, must), must)


def keeper_for(arguments: argparse.Namespace) -> Memory:
    """What keeps the outcomes of `drill` and `soak`, see `add_keeping_arguments`; check mode keeps nothing.

    Raises ToolError for a store that was named and is not to be had. Once there is an outcome it has to be shown, so
    a store that fails then is only said.
    """
    without = arguments.no_store or arguments.check
    return Memory(None if without else open_store(arguments.store, must=bool(arguments.store)))
