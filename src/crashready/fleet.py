# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is known of the rack when a crash is explained: facts, earlier crashes, pairing entries. Logic: `_core.fleet`.

Facts come from the inventory (asked now, see `fanout`), from a folder of recorded ones, and from
the store; the first that has a host counts. What is missing (SQLAlchemy, PyYAML, Ansible) is said
once, and the answer is smaller by it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import typing as t

from ._core import fleet, pairing_draft
from ._core.judge import Database, physical_cards
from ._core.text import clean
from ._host.base import Unreadable
from ._host.local import LocalHost
from .exits import ToolError
from .triage_tiers import Crash, say

__all__ = ["Knowledge", "Seen", "facts_of_inventory", "read_facts_folder"]

_FILE_LIMIT = 32 * 1024 * 1024
_FILES_LIMIT = 50_000

_SUBSETS = ("nics", "kernel", "crashes")


class Seen(t.NamedTuple):
    """Facts of a host."""

    facts: dict[str, t.Any]
    seen_at: dt.datetime | None
    origin: str
    before: bool | None = None  #: it looked so before it crashed


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


# --- facts -----------------------------------------------------------------------------------------------------------


def read_facts_folder(folder: str) -> dict[str, Seen]:
    """Recorded facts, one file a host: HOST.json from `crashready facts --json`, or a cache of Ansible.

    Raises ToolError for a folder that cannot be read; a file that is none is said and left out.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))[:_FILES_LIMIT]
    except OSError as exc:
        raise ToolError("the folder of facts {0}: {1}".format(folder, exc.strerror)) from exc
    found: dict[str, Seen] = {}
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        host = name[:-5] if name.endswith(".json") else name
        try:
            facts, moment = _read_facts(path)
        except (OSError, ValueError, RecursionError) as exc:
            say("{0}: no facts of a host ({1})".format(clean(path, 400), clean(str(exc))))
            continue
        found[host] = Seen(facts, moment, "file " + path)
    return found


def _read_facts(path: str) -> tuple[dict[str, t.Any], dt.datetime]:
    with open(path, "rb") as stream:
        data = stream.read(_FILE_LIMIT + 1)
        moment = dt.datetime.fromtimestamp(os.fstat(stream.fileno()).st_mtime, dt.timezone.utc)
    if len(data) > _FILE_LIMIT:
        raise ValueError("more than {0} bytes".format(_FILE_LIMIT))
    value = json.loads(data)
    for key in ("ansible_facts", "crashready"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise ValueError("it has no facts of crashready")
    return value, moment


def facts_of_inventory(inventories: t.Sequence[str]) -> dict[str, Seen]:
    """Ask every host of the inventories now, as `crashready facts -i` does; who does not answer is said and left out.

    Raises ToolError where the inventory cannot be read or no host answers.
    """
    from .fanout.gather import Limits, gather
    from .fanout.progress import progress_for, summary
    from .inventory_hosts import Asked, NoHosts, read_rack

    try:
        rack = read_rack(inventories, Asked())
    except NoHosts as exc:
        raise ToolError(str(exc)) from exc
    outcomes = gather(rack, _SUBSETS, Limits(), progress_for())
    found = {host: outcome.facts() for host, outcome in outcomes.items()}
    text = summary(outcomes.values())
    if text:
        say("not every host answered ({0} did)\n{1}".format(sum(facts is not None for facts in found.values()), text))
    moment = _now()
    seen = {host: Seen(facts, moment, "asked now") for host, facts in found.items() if facts is not None}
    if not seen:
        names = ", ".join(inventories)
        raise ToolError("no host of {0} gave facts. Look with: crashready facts -i {1}".format(names, inventories[0]))
    return seen


# --- all of it -------------------------------------------------------------------------------------------------------


class Knowledge:
    """The rack, the history and the database. Made once, used for every crash of a run."""

    def __init__(
        self,
        inventories: t.Sequence[str] = (),
        folder: str | None = None,
        store: str | None = None,
        use_store: bool = True,
        pairing_folders: t.Sequence[str] = (),
    ) -> None:
        self._store = self._open_store(store) if use_store else None
        self._seen: dict[str, Seen] = {}
        if folder is not None:
            self._seen.update(read_facts_folder(folder))
        if inventories:
            self._seen.update(facts_of_inventory(inventories))
        self._remember()
        self._pairing_folders = pairing_folders
        self._databases: list[Database | None] = []
        self._run: list[dict[str, t.Any]] = []

    @staticmethod
    def _open_store(asked: str | None) -> t.Any:
        try:
            from .store.history import Store
        except (ImportError, SyntaxError, TypeError) as exc:
            say(
                "no history: {0}. The record is printed and not kept, and the blast radius knows no earlier crash. "
                "Next: ./crashready setup, or --no-store".format(clean(str(exc)))
            )
            return None
        return Store(asked)

    @staticmethod
    def _load_database(folders: t.Sequence[str]) -> Database | None:
        try:
            from .pairings import load_database
        except (ImportError, SyntaxError) as exc:
            say("no pairing entries: {0}. Next: ./crashready setup".format(clean(str(exc))))
            return None
        return load_database(folders)

    def _remember(self) -> None:
        if self._store is None:
            return
        from .store.history import Unfit

        for host, seen in self._seen.items():
            try:
                self._store.add_facts(host, seen.facts, seen.seen_at or _now())
            except Unfit as exc:
                say("the facts of {0} are not kept: {1}".format(clean(host), clean(str(exc))))
        for host, snapshot in self._store.latest_facts().items():
            self._seen.setdefault(host, Seen(snapshot.facts, snapshot.seen_at, "store"))

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    def name_of(self, host: str | None) -> str | None:
        """The rack's name for a machine that calls itself `host`: the same one, or the only one that is it in short."""
        if host is None or host in self._seen:
            return host
        short = [name for name in self._seen if _short(name) == _short(host)]
        return short[0] if len(short) == 1 else host

    def facts_at(self, host: str | None, moment: dt.datetime | None) -> Seen | None:
        """What the host looked like when it crashed; where nothing is that old, what is known of it now."""
        if host is None:
            return None
        if self._store is not None and moment is not None:
            snapshot = self._store.facts_at(host, moment)
            if snapshot is not None:
                return Seen(snapshot.facts, snapshot.seen_at, "store", True)
        return self._seen.get(host) or _own_facts(host)

    def explain(self, crash: Crash, host: str | None) -> dict[str, t.Any]:
        """The published object: the record, whose it is, what the rack says of it. The store has it afterwards."""
        host = self.name_of(host or crash.source.host)
        moment = _moment(crash.source.crashed_at)
        seen = self.facts_at(host, moment)
        facts = seen.facts if seen is not None else None
        record = crash.record
        entries = self._entries(record, facts)
        record["pairing"] = [row["entry"] for row in entries if row["matches"]]
        result = {
            **record,
            "host": host,
            "crashed_at": moment.isoformat() if moment is not None else None,
            "crashed_at_from": crash.source.crashed_at_from,
            "event": crash.event,
            "files_unread": dict(crash.source.unread),
            "tiers": crash.tiers,
            "vmcore": crash.vmcore,
            "facts": _shown_facts(seen),
            "entries": entries,
        }
        if crash.found:
            self._keep(result, crash, host, moment)
        rack = {name: each.facts for name, each in self._seen.items()}
        result["fleet"] = fleet.blast_radius(record, host, facts, rack, self._crashes(record))
        result["draft"], result["draft_reason"] = None, None
        if crash.found:
            self._draft(result, host, facts)
        return result

    def _entries(self, record: t.Mapping[str, t.Any], facts: t.Any) -> list[dict[str, t.Any]]:
        """Pairing entries. They are read when the first driver is to blame: that takes longer than a triage."""
        if not record.get("driver"):
            return []
        if not self._databases:
            self._databases.append(self._load_database(self._pairing_folders))
        database = self._databases[0]
        return fleet.matching_entries(record, facts, database) if database is not None else []

    def _keep(self, result: dict[str, t.Any], crash: Crash, host: str | None, moment: dt.datetime | None) -> None:
        self._run.append(
            {"host": host, "event": crash.event, "crashed_at": result["crashed_at"], "signature": result["signature"]}
        )
        if self._store is None:
            return
        snapshot = self._store.facts_at(host, moment) if host is not None else None
        facts_id = snapshot.id if snapshot is not None else None
        self._store.add_crash(result, host, crash.event, moment, _now(), facts_id)

    def _crashes(self, record: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        """Earlier crashes that may be the same: of this run, of the store, and what the hosts' own triage left."""
        found = list(self._run)
        signature = record.get("signature") or {}
        if self._store is not None and signature.get("exact"):
            found += self._store.crashes(signature["exact"], signature.get("similar"))
        for host, seen in self._seen.items():
            for crash in seen.facts.get("crashes") or ():
                own = crash.get("record") if isinstance(crash, dict) else None
                if isinstance(own, dict) and isinstance(own.get("signature"), dict):
                    found.append({"host": host, **{key: own.get(key) for key in ("event", "crashed_at", "signature")}})
        unique = {(each["host"], each["event"]): each for each in found}
        return list(unique.values())

    def _draft(self, result: dict[str, t.Any], host: str | None, facts: t.Any) -> None:
        if result["pairing"]:
            result["draft_reason"] = "an entry matches: {0}".format(", ".join(result["pairing"]))
            return
        same = result["fleet"]["same_signature"]["exact"]
        crashes = sum(row["crashes"] for row in same) or 1
        result["draft"], result["draft_reason"] = pairing_draft.draft_entry(result, host, facts, crashes)


def _short(name: str) -> str:
    return name.partition(".")[0].lower()


def _moment(seconds: int | None) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc) if seconds is not None else None
    except (OverflowError, OSError, ValueError):
        return None


def _own_facts(host: str) -> Seen | None:
    """Where the triage runs on the machine that crashed, it can look at itself."""
    local = LocalHost()
    try:
        here = local.read_line("/proc/sys/kernel/hostname")
    except Unreadable:
        return None
    if _short(here) != _short(host):
        return None
    from ._host.facts import collect_facts

    return Seen(collect_facts(local, ("nics", "kernel")), _now(), "this machine")


def _shown_facts(seen: Seen | None) -> dict[str, t.Any] | None:
    """NICs and kernel of the host in the record, with when they were seen; null where nothing is known."""
    if seen is None:
        return None
    kernel = seen.facts.get("kernel") if isinstance(seen.facts.get("kernel"), dict) else {}
    return {
        "from": clean(seen.origin, 400),
        "seen_at": seen.seen_at.isoformat() if seen.seen_at is not None else None,
        "before_the_crash": seen.before,
        "kernel": {key: (kernel or {}).get(key) for key in ("release", "package_version", "stream")},
        "nics": [
            {
                "name": name,
                "driver": card.driver,
                "ids": "{0}:{1}".format(*card.pci[:2]) if card.pci and None not in card.pci[:2] else None,
                "firmware": clean(card.firmware, 64) if card.firmware else None,
            }
            for name, card in physical_cards(seen.facts) or ()
        ],
    }
