# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The data of the triage: routines of each driver, rules for names, roles of core functions.

The files are data/triage/*.json; who has them reads them and passes the objects in,
so that nothing here touches a file. data/triage/README.md has the schema.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import ParseError

__all__ = ["OTHER", "POLL", "RX", "TX", "Driver", "Rule", "Tables", "normalise", "tables_from"]

RX, TX, OTHER, POLL = "nic_rx", "nic_tx", "nic_other", "poll"
_WAYS = {"rx": RX, "tx": TX, "other": OTHER, "poll": POLL}

#: What the compiler adds to the name of a part or a clone of a function.
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|lto_priv|llvm|localalias|unlikely|hot|clone|\d+)(?:\.\d+)*")
_BPF = re.compile(r"bpf_prog_[0-9a-f]{16}(?:_\w*)?")


def normalise(function: str) -> str:
    """A function's name without what changes from build to build.

    >>> normalise("ixgbe_poll.part.0.isra.12"), normalise("bpf_prog_6deef7357e7b4530_xdp_pass")
    ('ixgbe_poll', 'bpf_prog')
    """
    return _SUFFIX.sub("", _BPF.sub("bpf_prog", function))


class Driver(t.NamedTuple):
    """One NIC driver: the name that facts use, its modules, the beginnings of its functions' names."""

    name: str
    modules: frozenset[str]
    prefixes: tuple[str, ...]
    ways: dict[str, str]  #: function: nic_rx, nic_tx, nic_other or poll
    libraries: frozenset[str] = frozenset()  #: modules whose code other drivers run too

    def begins(self, name: str) -> bool:
        """Whether a function's name begins as this driver's do."""
        return name.lstrip("_").startswith(self.prefixes)

    def knows(self, names: t.Iterable[str]) -> int:
        """How well names fit this driver: two for a routine that is listed, one for a beginning."""
        return sum(2 if name in self.ways else int(self.begins(name)) for name in names)


class Rule(t.NamedTuple):
    """A rule over the words of a function's name ("ice_clean_rx_irq" has four)."""

    name: str
    way: str
    all: frozenset[str]
    any: frozenset[str]
    none: frozenset[str]
    below: str | None  #: "poll": counts only where a poll or an interrupt stands below it

    def fits(self, words: t.AbstractSet[str]) -> bool:
        """Whether the words of a name fit."""
        return self.all <= words and not (self.none & words) and (not self.any or bool(self.any & words))


class Names:
    """Function names, whole or by their beginning (written with a `*` at the end)."""

    def __init__(self, names: t.Iterable[str]) -> None:
        listed = list(names)
        self._exact = frozenset(name for name in listed if not name.endswith("*"))
        self._starts = tuple(name[:-1] for name in listed if name.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or (bool(self._starts) and name.startswith(self._starts))


class Tables:
    """Everything that the verdict and the signature look up."""

    def __init__(
        self, drivers: t.Sequence[Driver], foreign: t.Iterable[str], rules: t.Sequence[Rule], core: dict[str, Names]
    ) -> None:
        self.drivers = {driver.name: driver for driver in drivers}
        self.foreign = frozenset(foreign)
        self.rules = tuple(rules)
        self._core = core
        self._modules = {module: [driver] for driver in drivers for module in driver.modules}
        for driver in drivers:
            for module in driver.libraries:
                self._modules.setdefault(module, []).append(driver)
        self._prefixes = [(prefix, driver) for driver in drivers for prefix in driver.prefixes]
        self._prefixes.sort(key=lambda item: -len(item[0]))
        self._functions: dict[str, list[Driver]] = {}
        for driver in drivers:
            for function in driver.ways:
                self._functions.setdefault(function, []).append(driver)

    def has_role(self, role: str, function: str) -> bool:
        """Whether a core function has a role of core.json."""
        return normalise(function) in self._core[role]

    def driver_of_module(self, module: str) -> Driver | None:
        """The NIC driver that a module belongs to; of a library the first driver that runs its code."""
        found = self.owner_of_module(module, ())
        return found[0] if found is not None else None

    def owner_of_module(self, module: str, loaded: t.Container[str]) -> tuple[Driver, bool] | None:
        """The NIC driver whose code a module holds, and whether no other one runs it on this host."""
        drivers = self._modules.get(module.replace("-", "_"), [])
        here = [driver for driver in drivers if any(each in loaded for each in driver.modules)]
        chosen = here if len(drivers) > 1 and here else drivers
        return (chosen[0], len(chosen) == 1) if chosen else None

    def built_in(
        self, function: str, loaded: t.Container[str], near: t.Iterable[str] = ()
    ) -> tuple[Driver, bool] | None:
        """The driver that owns a function without a module, and whether it is the only one that could.

        `near` are the other functions without a module on the same stack. A driver whose module is loaded is
        not built in. A name that does not begin as the driver's do ("receive_buf" is one of drivers/tty as
        well) is the driver's only where another function near it begins so.
        """
        name = normalise(function)
        found = {driver.name: driver for driver in (*self._functions.get(name, ()), *self._by_prefix(name))}
        if not found:
            return None
        names = [name, *(normalise(each) for each in near)]
        known = [
            (driver.knows(names), driver)
            for driver in found.values()
            if any(driver.begins(each) for each in names) and not any(module in loaded for module in driver.modules)
        ]
        if not known:
            return None
        best = max(known, key=lambda item: item[0])
        return best[1], sum(1 for item in known if item[0] == best[0]) == 1

    def _by_prefix(self, name: str) -> list[Driver]:
        """The drivers with the longest beginning that fits."""
        fits = [(prefix, driver) for prefix, driver in self._prefixes if name.lstrip("_").startswith(prefix)]
        return [driver for prefix, driver in fits if len(prefix) == len(fits[0][0])]

    def rule_for(self, function: str) -> Rule | None:
        """The first rule that fits a name."""
        words = frozenset(normalise(function).lower().split("_"))
        for rule in self.rules:
            if rule.fits(words):
                return rule
        return None


#: The lists that core.json must have.
ROLES = (
    *(
        "machinery",
        "observers",
        "entries",
        "softirq",
        "hardirq",
        "task",
        "roots",
        "poll_callers",
        "waits",
        "switches",
        "network",
    ),
    *("helpers_rx", "helpers_tx", "helpers_any", "helper_modules", "noise"),
)


def tables_from(documents: t.Mapping[str, t.Any]) -> Tables:
    """Tables from the parsed files by name: "drivers", "rules", "core". Raises ParseError that names the place."""
    drivers = _mapping(documents, "drivers", "drivers")
    listed = [_driver(name, _check(item, dict, "drivers.json: " + name)) for name, item in drivers.items()]
    _refuse_twice(listed)
    rules = _check(_mapping(documents, "rules").get("rules"), list, "rules.json: rules")
    core = _mapping(documents, "core", "roles")
    missing = [role for role in ROLES if role not in core]
    if missing:
        raise ParseError("data/triage/core.json: no list {0}".format(", ".join(missing)))
    return Tables(
        listed,
        _texts(documents["drivers"], "not_nic", "drivers.json"),
        [_rule(item) for item in rules],
        {role: Names(_texts(core, role, "core.json")) for role in ROLES},
    )


def _check(value: t.Any, kind: type, where: str) -> t.Any:
    if not isinstance(value, kind):
        raise ParseError("data/triage/{0}: not a {1}: {2!r:.60}".format(where, kind.__name__, value))
    return value


def _mapping(documents: t.Mapping[str, t.Any], name: str, key: str | None = None) -> dict[str, t.Any]:
    found: dict[str, t.Any] = _check(documents.get(name), dict, name + ".json")
    if key is not None:
        found = _check(found.get(key), dict, "{0}.json: {1}".format(name, key))
    return found


def _texts(item: t.Mapping[str, t.Any], key: str, where: str) -> list[str]:
    values: list[str] = _check(item.get(key, []), list, "{0}: {1}".format(where, key))
    for value in values:
        _check(value, str, "{0}: {1}".format(where, key))
    return values


def _driver(name: str, item: dict[str, t.Any]) -> Driver:
    where = "drivers.json: " + name
    unknown = set(item) - {"modules", "libraries", "prefixes", "source", *_WAYS}
    if unknown:
        raise ParseError("data/triage/{0}: unknown key {1}".format(where, ", ".join(sorted(unknown))))
    ways: dict[str, str] = {}
    for key, way in _WAYS.items():
        for function in _texts(item, key, where):
            if function in ways:
                raise ParseError("data/triage/{0}: {1} is listed twice".format(where, function))
            ways[function] = way
    modules = _texts(item, "modules", where) or [name]
    libraries = frozenset(_texts(item, "libraries", where))
    return Driver(name, frozenset(modules), tuple(_texts(item, "prefixes", where)), ways, libraries)


def _refuse_twice(drivers: t.Sequence[Driver]) -> None:
    seen: dict[str, str] = {}
    for driver in drivers:
        for module in driver.modules:
            if module in seen:
                raise ParseError(
                    "data/triage/drivers.json: module {0} belongs to {1} and to {2}".format(
                        module, seen[module], driver.name
                    )
                )
            seen[module] = driver.name


def _rule(item: t.Any) -> Rule:
    item = _check(item, dict, "rules.json: rule")
    where = "rules.json: rule {0}".format(item.get("id"))
    way = _WAYS.get(str(item.get("way")))
    if way is None or not isinstance(item.get("id"), str) or item.get("below") not in (None, "poll"):
        raise ParseError("data/triage/{0}: wants id, way (rx, tx, other, poll) and below (poll or none)".format(where))
    words = [frozenset(_texts(item, key, where)) for key in ("all", "any", "none")]
    return Rule(item["id"], way, words[0], words[1], words[2], item.get("below"))
