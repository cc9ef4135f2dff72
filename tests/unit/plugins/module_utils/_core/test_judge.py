# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Facts against entries: which verdict, and that nothing undecided turns good or bad."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge
from ansible_collections.rackops.crashready.plugins.module_utils._core.coverage import Coverage, read_coverage
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.waiver import Waiver, parse_waivers
from hypothesis import given, settings
from hypothesis import strategies as st

from ....pairings_seen import COVERAGE, ENTRY, NIC, database, entry, host, running

FILES = {"part_of_pairing": True, "role": "required-file", "decidable_from_host": True, "files": ["a.bin", "b.bin"]}
NEEDS = entry(suggested_use="file-check", firmware=FILES, kernel={"any": True}, debian=None)
MLX5 = entry(
    driver="mlx5_core",
    modules=["mlx5_core"],
    pci=[{"vendor": "15b3", "devices": ["1017", "1018"]}],
    firmware={
        "part_of_pairing": True,
        "role": "trigger",
        "decidable_from_host": True,
        "parser": "mlx5",
        "compare": "minor.sub",
        "affected": [{"ge": "40.1000", "le": "42.1000"}],
    },
)
TAINTED = {"taint": {"value": 1 << 12, "flags": []}}
PLAIN = {"taint": {"value": 0, "flags": []}}


def verdict(facts: t.Any, *entries: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    found = judge.judge_host(facts, database(*entries, **more))
    assert found["verdict"] == judge.worst(nic["verdict"] for nic in found["nics"])
    return found


def mlx5(firmware: str | None, **nic: t.Any) -> dict[str, t.Any]:
    pci = {"vendor": "15b3", "device": "1017"}
    return host({"driver": "mlx5_core", "module": "mlx5_core", "pci": pci, "firmware": {"raw": firmware}, **nic})


@pytest.mark.parametrize(
    ("facts", "entries", "expected"),
    [
        (host(), (ENTRY,), "bad"),
        (host(kernel=running("6.1.159-1")), (ENTRY,), "clear"),
        (host(kernel=running("6.1.193-1")), (ENTRY,), "unknown"),  # newer than the review
        (host(kernel=running("5.10.223-1")), (ENTRY,), "unknown"),  # a branch that was not reviewed
        (host(kernel=running("6.16.3-1~bpo13+1")), (ENTRY,), "bad"),  # bad needs no coverage
        (host({"driver": "newnic", "module": "newnic"}), (ENTRY,), "unknown"),
        (host({"driver": None}), (ENTRY,), "unknown"),
        (host({"pci": {**NIC["pci"], "device": "1234"}}), (ENTRY,), "clear"),
        (host({"pci": {**NIC["pci"], "device": None}}), (ENTRY,), "unknown"),
        (host({"pci": None, "unread": {"pci": "permission denied"}}), (ENTRY,), "unknown"),
        (host({"pci": None}), (ENTRY,), "clear"),  # it has no PCI card: the entry is about others
        (host({"pci": None}), (entry(pci=None),), "bad"),  # an entry of a platform device
        # the use and the evidence
        (host(), (entry(suggested_use="advise"),), "suspect"),
        (host(), (entry(suggested_use="info"),), "suspect"),
        (host(), (entry(suggested_use="historical"),), "suspect"),
        (host(), (entry(suggested_use="info", kernel={"text": "many kernels"}, debian=None),), "suspect"),
        # the firmware test
        (mlx5("20.40.1000 (MT_0000000224)"), (MLX5,), "bad"),
        (mlx5("20.42.1000 (MT_0000000224)"), (MLX5,), "bad"),
        (mlx5("20.43.1014 (MT_0000000224)"), (MLX5,), "clear"),
        (mlx5("20.40.1000 (DEL0000000027)"), (MLX5,), "suspect"),
        (mlx5(""), (MLX5,), "suspect"),
        (mlx5(None), (MLX5,), "suspect"),
        (mlx5("\x00\xff" * 5), (MLX5,), "suspect"),
        (mlx5("9" * 10240), (MLX5,), "suspect"),
        (mlx5("0x80000c67, 1.1276.0"), (MLX5,), "suspect"),  # of another vendor
        # files
        (host({"firmware_files": {"a.bin": True, "b.bin": True}}), (NEEDS,), "clear"),
        (host({"firmware_files": {"a.bin": True, "b.bin": False}}), (NEEDS,), "bad"),
        (host(kernel={"firmware_files": {"a.bin": False}}), (NEEDS,), "bad"),
        (host({"firmware_files": {"a.bin": True, "b.bin": None}}), (NEEDS,), "suspect"),
        (host(), (NEEDS,), "suspect"),
        (
            host({"firmware_files": {"a.bin": False}}),
            ({**NEEDS, "confidence": "reported-by-users"},),
            "suspect",
        ),
        (
            host({"firmware_files": {"a.bin": False, "b.bin": True}}),
            ({**NEEDS, "firmware": {**FILES, "any_file": True}},),
            "clear",
        ),
        # boards
        (host(), (entry(pci=[{"vendor": "1d6a", "devices": ["07b1"], "subsystems": [{"vendor": "1043"}]}]),), "bad"),
        (host(), (entry(pci=[{"vendor": "1d6a", "devices": ["07b1"], "subsystems": [{"vendor": "8086"}]}]),), "clear"),
        (
            host(),
            (entry(pci=[{"vendor": "1d6a", "devices": ["07b1"], "subsystems": [{"vendor": "1043", "device": "1"}]}]),),
            "clear",
        ),
        (
            host({"pci": {"vendor": "1d6a", "device": "07b1", "subsystem_vendor": None}}),
            (entry(pci=[{"vendor": "1d6a", "devices": ["07b1"], "subsystems": [{"vendor": "1043"}]}]),),
            "suspect",
        ),
        # prefixes, virtual functions, architectures
        (host(), (entry(pci=[{"vendor": "1d6a", "devices": ["07*"]}]),), "bad"),
        (host(), (entry(pci=[{"vendor": "1d6a", "devices": ["08*"]}]),), "clear"),
        (host({"vf_of": "0000:01:00.0"}), (ENTRY,), "bad"),  # its id is listed
        (host({"vf_of": "0000:01:00.0"}), (entry(virtual_functions=False),), "clear"),
        (host({"vf_of": "0000:01:00.0"}), (entry(pci=[{"vendor": "1d6a", "devices": ["07*"]}]),), "suspect"),
        (
            host({"vf_of": "0000:01:00.0"}),
            (entry(virtual_functions=True, pci=[{"vendor": "1d6a", "devices": ["07*"]}]),),
            "bad",
        ),
        (host(), (entry(arch="arm64"),), "clear"),
        (host(), (entry(arch=["amd64", "arm64"]),), "bad"),
        (host(kernel={"machine": None}), (entry(arch="arm64"),), "suspect"),
        # whose driver it is
        (host({"driver_version": "2.5.12"}, TAINTED), (ENTRY,), "unknown"),
        (host({"driver_version": "2.5.12"}, PLAIN), (ENTRY,), "bad"),  # nothing foreign was loaded
        (host({}, TAINTED), (ENTRY,), "bad"),  # the kernel's release: the driver is its own
        (host({"driver_version": None}, TAINTED), (ENTRY,), "unknown"),
        (host({"driver_version": "2.5.12"}, {"taint": None}), (ENTRY,), "unknown"),
        # kernels
        (host(kernel={"package_version": None, "stream": None}), (ENTRY,), "unknown"),
        (
            host({"driver_version": "6.8.12-30-pve"}, {"release": "6.8.12-30-pve", "stream": "foreign"}),
            (ENTRY,),
            "unknown",
        ),
    ],
)
def test_verdicts(facts: t.Any, entries: tuple[dict[str, t.Any], ...], expected: str) -> None:
    found = verdict(facts, *entries)
    assert found["verdict"] == expected, found["says"]
    assert (found["entries"] == []) == (expected == "clear" or not found["nics"][0]["reasons"])
    if expected == "suspect":
        assert all(reason["look_for"] for reason in found["nics"][0]["reasons"])
    if expected == "unknown":
        assert found["nics"][0]["unknown"]


def test_a_foreign_kernel_shows_what_it_may_have() -> None:
    kernel = {"release": "6.8.12-30-pve", "stream": "foreign", "stream_reason": "a Proxmox kernel"}
    found = verdict(host({"driver_version": "6.8.12-30-pve"}, kernel))
    (reason,) = found["nics"][0]["reasons"]
    assert (reason["verdict"], reason["kernel"]["result"]) == ("suspect", "undecided")
    assert "a Proxmox kernel" in reason["kernel"]["says"]


def test_the_worst_nic_is_the_host_and_virtual_ones_are_none() -> None:
    facts = host()
    facts["nics"].append({**NIC, "name": "enp2s0", "pci": {**NIC["pci"], "device": "1234"}})
    facts["nics"].append({"name": "br0", "virtual": True})
    found = verdict(facts)
    assert [(nic["name"], nic["verdict"]) for nic in found["nics"]] == [("enp1s0", "bad"), ("enp2s0", "clear")]
    assert found["verdict"] == "bad"
    assert found["entries"] == ["atlantic-test"]
    assert found["remedies"][0]["advice"][0]["command"] == "ethtool -K enp1s0 gro off"
    assert judge.why_bad(found).startswith("enp1s0: atlantic-test: 6.1.140-1 is older than 6.1.159-1")


@pytest.mark.parametrize("facts", [{}, {"nics": []}, {"nics": [{"name": "br0", "virtual": True}]}, {"nics": None}])
def test_nothing_seen_is_not_clear(facts: t.Any) -> None:
    found = judge.judge_host(facts, database())
    assert found["verdict"] == "unknown"
    assert found["says"].startswith("unknown: ")


def test_without_coverage_nothing_is_clear() -> None:
    nothing = judge.Database(database().entries.values(), Coverage())
    assert judge.judge_host(host(kernel=running("6.1.159-1")), nothing)["verdict"] == "unknown"


def test_order() -> None:
    assert judge.ORDER == ("bad", "unknown", "suspect", "waived", "clear")
    assert judge.worst([]) == "unknown"
    assert judge.worst(["clear", "nonsense", "suspect"]) == "unknown"


# --- waivers -------------------------------------------------------------------------------------------------------


def waived(facts: t.Any, *waivers: Waiver, on: str = "2026-11-23") -> dict[str, t.Any]:
    return judge.judge_host(facts, database(), waivers, "store1", on)


WAIVER = Waiver("atlantic-test", (), "no large frames here", "2026-12-31")


@pytest.mark.parametrize(
    ("waiver", "expected"),
    [
        (WAIVER, "waived"),
        (WAIVER._replace(hosts=("store1", "store2")), "waived"),
        (WAIVER._replace(hosts=("store2",)), "bad"),
        (WAIVER._replace(hosts=("store11",)), "bad"),
        (WAIVER._replace(until="2026-11-23"), "waived"),  # the last day counts
        (WAIVER._replace(until="2026-11-22"), "bad"),
        (WAIVER._replace(entry="another"), "bad"),
    ],
)
def test_waivers(waiver: Waiver, expected: str) -> None:
    found = waived(host(), waiver)
    assert found["verdict"] == expected
    (nic,) = found["nics"]
    assert [reason["entry"] for reason in nic["waived"]] == (["atlantic-test"] if expected == "waived" else [])
    assert found["remedies"] == [] if expected == "waived" else found["remedies"]


def test_a_waived_one_is_not_clear_and_an_expired_one_is_shown() -> None:
    assert waived(host(), WAIVER)["nics"][0]["waived"][0]["waiver"]["reason"] == "no large frames here"
    (shown,) = waived(host(), WAIVER._replace(until="2026-11-22"))["waivers"]
    assert shown["expired"] is True


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"entry": "atlantic-test"}, "a list"),
        (["atlantic-test"], "not a mapping"),
        ([{"entry": "nobody", "reason": "x", "until": "2027-01-01"}], "no entry is called"),
        ([{"entry": "atlantic-test", "until": "2027-01-01"}], "needs one"),
        ([{"entry": "atlantic-test", "reason": " ", "until": "2027-01-01"}], "needs one"),
        ([{"entry": "atlantic-test", "reason": "x"}], "the last day"),
        ([{"entry": "atlantic-test", "reason": "x", "until": "soon"}], "the last day"),
        ([{"entry": "atlantic-test", "reason": "x", "until": "2027-02-30"}], "the last day"),
        ([{"entry": "atlantic-test", "reason": "x", "until": "2027-01-01", "host": "a"}], "unknown key host"),
        ([{"entry": "atlantic-test", "reason": "x", "until": "2027-01-01", "hosts": 5}], "host names"),
    ],
)
def test_waivers_that_do_not_hold(given_: t.Any, said: str) -> None:
    with pytest.raises(CoreError, match=said) as caught:
        parse_waivers(given_, {"atlantic-test"})
    assert "crashready_waivers" in str(caught.value)


def test_a_waiver_is_read() -> None:
    given_ = [{"entry": "atlantic-test", "reason": "x", "until": "2027-01-31", "hosts": "a,b"}]
    assert parse_waivers(given_, {"atlantic-test"}) == [Waiver("atlantic-test", ("a", "b"), "x", "2027-01-31")]


# --- coverage ------------------------------------------------------------------------------------------------------


def test_coverage_of_a_driver_of_its_own() -> None:
    coverage, problems = read_coverage({**COVERAGE, "drivers": {"r8169": {"branches": {"6.1": {"until": "6.1.5"}}}}})
    assert not problems
    assert coverage.limits == {"r8169": {(6, 1): (6, 1, 5)}}


def test_a_limit_of_another_branch_is_a_fault() -> None:
    _coverage, problems = read_coverage({"branches": {"6.1": {"until": "6.12.3"}}, "drivers": {}}, "coverage.yml")
    assert [(problem.field, problem.path) for problem in problems] == [("branches.6.1.until", "coverage.yml")]


# --- properties ----------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
#: Facts in which any part may be anything.
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "nics": JSON
        | st.lists(
            JSON
            | st.fixed_dictionaries(
                {"driver": st.just("atlantic") | JSON},
                optional={
                    name: st.just(NIC.get(name)) | JSON
                    for name in ("name", "pci", "module", "driver_version", "firmware", "virtual", "vf_of", "unread")
                }
                | {"firmware_files": JSON},
            ),
            max_size=3,
        ),
        "kernel": JSON
        | st.fixed_dictionaries({}, optional={name: st.just(value) | JSON for name, value in host()["kernel"].items()}),
    },
)
DATABASE = database(ENTRY, {**NEEDS, "id": "needs-test"}, {**MLX5, "id": "mlx5-test"})


@settings(max_examples=300, deadline=None)
@given(FACTS | JSON)
def test_judging_never_raises(facts: t.Any) -> None:
    found = judge.judge_host(facts, DATABASE, [WAIVER], "store1", "2026-11-23")
    assert found["verdict"] in judge.ORDER


@settings(deadline=None)
@given(st.sampled_from(["driver", "pci", "firmware", "driver_version"]), JSON)
def test_unreadable_never_turns_good(field: str, value: t.Any) -> None:
    """A host that is bad stays anything but clear when a field of it becomes unreadable."""
    if isinstance(value, str) or (field == "pci" and value is None):
        return  # a text is a reading, and no PCI card at all is one too
    facts = host({field: value}, TAINTED if field == "driver_version" else None)
    assert judge.judge_host(facts, DATABASE)["verdict"] != "clear"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_firmware_text_that_is_none_is_not_clear(raw: str) -> None:
    found = judge.judge_host(mlx5(raw), DATABASE)["nics"][0]
    assert found["verdict"] == "suspect"
    assert found["reasons"][0]["firmware"]["result"] == "undecided"


def test_the_same_question_is_judged_once() -> None:
    data = database()
    judge.judge_host(host(), data)
    judge.judge_host(host({"name": "enp9s0", "mac": "00:00:5e:00:53:09"}), data)
    assert len(data._cards) == 1
