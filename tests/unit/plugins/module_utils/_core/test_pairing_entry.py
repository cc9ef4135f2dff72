# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What no schema can check in an entry, and entries that contradict each other."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_entry import (
    Entry,
    EntryError,
    find_conflicts,
    merge_entries,
    read_entry,
)
from hypothesis import given
from hypothesis import strategies as st

from ....pairings_seen import ENTRY, entry


def faults(mapping: t.Any, own: bool = False) -> list[tuple[str, str]]:
    with pytest.raises(EntryError) as caught:
        read_entry(mapping, "x.yml", own)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def rows(*given: tuple[str, str, str | None]) -> dict[str, t.Any]:
    names = ("branch", "first_bad", "first_good")
    return entry(kernel={"affected": [dict(zip(names, each)) for each in given]})


def ranged(*affected: dict[str, str], compare: str = "full", **changes: t.Any) -> dict[str, t.Any]:
    wanted = {
        "part_of_pairing": True,
        "role": "trigger",
        "decidable_from_host": True,
        "parser": "bnxt_en",
        "compare": compare,
        "affected": list(affected),
    }
    wanted.update(changes)
    return entry(firmware={key: value for key, value in wanted.items() if value is not None})


FILES = {"part_of_pairing": True, "role": "required-file", "decidable_from_host": True, "files": ["a/b.bin"]}


def test_the_entry_itself_is_sound() -> None:
    assert read_entry(ENTRY).may_be_bad


@pytest.mark.parametrize(
    ("mapping", "field", "said"),
    [
        (rows(("6.1", "6.1.9", "6.1.3")), "kernel.affected.0", "after first_good"),
        (rows(("6.1", "6.12.0", "6.1.3")), "kernel.affected.0.first_bad", "not of the branch 6.1"),
        (rows(("6.1", "6.1.0", "6.2")), "kernel.affected.0.first_good", "not of the branch 6.1"),
        (rows(("6.1", "6.1.0", "6.1.9"), ("6.1", "6.1.5", "6.1.12")), "kernel.affected.1", "overlapping"),
        (rows(("mainline", "5.0", None), ("mainline", "5.4", "5.9")), "kernel.affected.1", "overlapping"),
        (entry(kernel={**ENTRY["kernel"], "any": True}), "kernel.any", "ranges beside it"),
        (entry(debian={"bookworm": {"fixed": "6.12.3-1"}}), "debian.bookworm.fixed", "whose kernels are 6.1"),
        (entry(debian={"bookworm": {"fixed": "6.1.3-1~bpo12+1"}}), "debian.bookworm.fixed", "a rebuild"),
        (entry(debian={"bookworm_backports": {"fixed": "6.12.3-1"}}), "debian.bookworm_backports.fixed", "~bpo12"),
        (entry(debian={"trixie": {"first_bad": "6.12.9-1", "fixed": "6.12.5-1"}}), "debian.trixie", "not before"),
        (entry(debian={"trixie": {"first_bad": "6.12.9-1", "fixed": "all"}}), "debian.trixie", "no package"),
        (entry(debian={"trixie": {"fixed": "nonsense-1"}}), "debian.trixie.fixed", "not a released kernel"),
        (entry(kernel={"text": "?"}, debian=None), "suggested_use", "needs a range of kernels"),
        (rows(("mainline", "unknown", "6.4")) | {"debian": {}}, "suggested_use", "with a beginning"),
        (entry(confidence="reported-by-users"), "suggested_use", "only users"),
        (entry(firmware={"part_of_pairing": True, "role": "trigger"}), "suggested_use", "can never be decided"),
        (entry(firmware={"part_of_pairing": True, "role": "victim"}), "firmware.role", "does not go with"),
        (entry(firmware={"part_of_pairing": False, "role": "trigger"}), "firmware.role", "does not go with"),
        (entry(firmware=FILES), "suggested_use", "go together"),
        (entry(suggested_use="file-check"), "suggested_use", "go together"),
        (
            entry(suggested_use="file-check", firmware={**FILES, "files": ["../../etc/shadow"]}),
            "firmware.files",
            "outside of /lib/firmware",
        ),
        (ranged({"ge": "9", "le": "5"}), "firmware.affected.0", "empty range"),
        (ranged({"ge": "x"}), "firmware.affected.0", "not an end"),
        (ranged({"ge": "1", "gt": "1"}), "firmware.affected.0", "two lower"),
        (ranged({"eq": "1", "le": "2"}), "firmware.affected.0", "eq stands alone"),
        (ranged({"when": "Ethernet"}), "firmware.affected.0", "without a limit"),
        (ranged({"le": "0x80"}, compare="equal-only"), "firmware.affected.0", "eq alone"),
        (ranged({"eq": "1"}, compare=None), "firmware", "need parser and compare"),
        (ranged({"eq": "1"}, parser="nonsense"), "firmware.parser", "no grammar"),
        (ranged({"eq": "1"}, decidable_from_host=False), "firmware.decidable_from_host", "goes with"),
        (
            entry(symptom={**ENTRY["symptom"], "dmesg": ["Event logged [IO_PAGE_FAULT"]}),
            "symptom.dmesg.0",
            "not a regular expression",
        ),
        (entry(symptom={**ENTRY["symptom"], "dmesg": ["(a+)+x"]}), "symptom.dmesg.0", "take for ever"),
        (
            entry(remedy={"actions": [{"kind": "ethtool", "command": "ethtool {interface}", "says": "x"}]}),
            "remedy.actions.0.command",
            "{nic} is the only placeholder",
        ),
        (entry(replaces="other"), "replaces", "replaces none"),
    ],
)
def test_faults(mapping: t.Any, field: str, said: str) -> None:
    found = faults(mapping)
    assert [message for name, message in found if name == field and said in message], found


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(entry(confidence="reported-by-users", debian={"trixie": {"fixed": "6.1.3-1"}}))) == 2


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.sampled_from(sorted(ENTRY)), JSON)
def test_whatever_a_field_holds_is_an_entry_or_an_error(key: str, value: t.Any) -> None:
    try:
        found = read_entry({**ENTRY, key: value})
    except EntryError:
        return
    assert isinstance(found, Entry)


def read(mapping: dict[str, t.Any], path: str, own: bool = False) -> Entry:
    return read_entry(mapping, path, own)


def test_an_id_in_two_folders_is_an_error_that_names_both() -> None:
    entries, problems = merge_entries([read(ENTRY, "shipped.yml"), read(ENTRY, "mine.yml", True)])
    assert len(entries) == 1
    assert [(problem.path, problem.field) for problem in problems] == [("mine.yml", "id")]
    assert "shipped.yml" in problems[0].message
    assert "replaces: atlantic-test" in problems[0].message


@pytest.mark.parametrize("name", ["atlantic-test", "atlantic-mine"])
def test_replaces_takes_the_place(name: str) -> None:
    mine = entry(id=name, replaces="atlantic-test", suggested_use="advise")
    entries, problems = merge_entries([read(ENTRY, "shipped.yml"), read(mine, "mine.yml", True)])
    assert not problems
    assert [(each.id, each.use) for each in entries] == [(name, "advise")]


def test_replaces_of_nothing_is_an_error() -> None:
    _entries, problems = merge_entries([read(entry(id="mine", replaces="nobody"), "mine.yml", True)])
    assert "no shipped entry is called nobody" in problems[0].message


def other(**changes: t.Any) -> dict[str, t.Any]:
    return entry(id="other", **changes)


MOVED = rows(("6.1", "6.1.0", "6.1.170"))["kernel"]
SAME_FIX = {"fixed_mainline": ENTRY["kernel"]["fixed_mainline"]}


@pytest.mark.parametrize(
    ("changed", "conflict"),
    [
        (other(kernel={**MOVED, **SAME_FIX}), True),
        (other(kernel={**MOVED, "fixed_mainline": {"commit": "5ffcb7b890f61541201461580bb6622ace405aec"}}), True),
        (other(debian={"trixie": {"fixed": "6.12.73-1"}}), True),
        (other(), False),  # twice the same, but nothing contradicts
        (other(kernel={**MOVED, "fixed_mainline": {"commit": "aaaaaaaaaaaa"}}), False),  # another fault
        (other(kernel={**MOVED, **SAME_FIX}, pci=[{"vendor": "1d6a", "devices": ["04c0"]}]), False),  # other cards
        (other(kernel={**MOVED, **SAME_FIX}, pci=[{"vendor": "1d6a", "devices": ["07*"]}]), True),
        (other(kernel={**MOVED, **SAME_FIX}, suggested_use="advise"), False),
    ],
)
def test_pins_that_contradict(changed: dict[str, t.Any], conflict: bool) -> None:
    problems = find_conflicts([read(ENTRY, "a.yml"), read(changed, "b.yml")])
    assert bool(problems) is conflict
    if conflict:
        assert problems[0].path == "b.yml"
        assert "a.yml" in problems[0].message
