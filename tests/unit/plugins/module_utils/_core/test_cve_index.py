# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The index of driver bugs, with ranges of real records of the kernel CNA (state of 2026-08-21)."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import cve_index, nic_modules
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

# The four records that reading rules go wrong on; titles, files and pairs as the repository vulns has them.
ATLANTIC = {
    "cve": "CVE-2025-68301",
    "title": "net: atlantic: fix fragment overflow handling in RX path",
    "files": ["drivers/net/ethernet/aquantia/atlantic/aq_ring.c"],
    "ranges": [
        ["5.10.118", "cd66ab20a8f8", "5.10.247", "34147477eeab"],
        ["5.15.42", "948ddbdc5663", "5.15.197", "b0c4d5135b04"],
        ["5.18", "6aecbba12b5c", "6.1.159", "5d6051ea1b04"],
        ["5.18", "6aecbba12b5c", "6.6.119", "3be37c3c96b1"],
        ["5.18", "6aecbba12b5c", "6.12.61", "3fd2105e1b7e"],
        ["5.18", "6aecbba12b5c", "6.17.11", "64e47cd1fd63"],
        ["5.18", "6aecbba12b5c", "6.18", "5ffcb7b890f6"],
        ["5.17.10", "dd4fb02847e7", "0", "0"],
    ],
}
# Applied in 6.12.91, reverted in 6.12.92: the record of August has no pair for 6.12.
ICE = {
    "cve": "CVE-2026-53009",
    "title": "ice: fix double-free of tx_buf skb",
    "files": ["drivers/net/ethernet/intel/ice/ice_txrx.c"],
    "ranges": [["4.17", "d76a60ba7afb", "7.0.10", "4c08fc2119ef"], ["4.17", "d76a60ba7afb", "7.1", "1a303baa715e"]],
}
# Introduced and fixed within one mainline cycle.
BNXT = {
    "cve": "CVE-2024-44933",
    "title": "bnxt_en : Fix memory out-of-bounds in bnxt_fill_hw_rss_tbl()",
    "files": ["drivers/net/ethernet/broadcom/bnxt/bnxt.c"],
    "ranges": [["6.10.4", "bc57f879a420", "6.10.5", "abd573e9ad2b"], ["6.11", "98ba1d931f61", "6.11", "da03f5d1b2c3"]],
}
# Came in by a backport in five branches.
VIRTIO = {
    "cve": "CVE-2026-64552",
    "title": "virtio-net: fix len check in receive_big()",
    "files": ["drivers/net/virtio_net.c"],
    "ranges": [
        ["6.1.159", "82f9028e8394", "6.1.178", "f9451d0fd5ba"],
        ["6.6.117", "946dec89c417", "6.6.145", "38e94d63e29f"],
        ["6.12.58", "82fe78065450", "6.12.97", "fbeb65154583"],
        ["6.18", "0c716703965f", "6.18.40", "c7fc9adf4e00"],
        ["6.18", "0c716703965f", "7.1.5", "e6b8463b7d79"],
        ["6.18", "0c716703965f", "7.2", "9e5ad06ea826"],
        ["6.17.8", "3e9d89f2ecd3", "0", "0"],
    ],
}
#: No bug of a card: only says how far the data reaches (6.12.103 and 6.17.13 are the newest that it names).
REACH = {
    "cve": "CVE-2026-00001",
    "title": "igb: x",
    "files": ["drivers/net/ethernet/intel/igb/igb_main.c"],
    "ranges": [["4.0", "0" * 12, "6.12.103", "1" * 12], ["4.0", "0" * 12, "6.17.13", "2" * 12]],
}
RECORDS = [ATLANTIC, ICE, BNXT, VIRTIO, REACH]
INDEX = cve_index.build_index(RECORDS, "kernel CNA", "2026-08-21")


def _standing(driver: str, version: str) -> str:
    found = cve_index.bugs_in(INDEX, driver, version)
    (name,) = [name for name in ("carries", "fixed", "undecided") if found[name]]
    return name


@pytest.mark.parametrize(
    ("driver", "version", "standing"),
    [
        ("atlantic", "5.10.117", "fixed"),  # before the backport that brought it
        ("atlantic", "5.10.118", "carries"),
        ("atlantic", "5.10.246", "carries"),
        ("atlantic", "5.10.247", "fixed"),
        ("atlantic", "5.17.9", "fixed"),
        ("atlantic", "5.17.10", "carries"),  # no fix recorded
        ("atlantic", "5.17.11", "undecided"),  # and no record names a newer 5.17
        ("atlantic", "5.18", "carries"),
        ("atlantic", "5.16.5", "fixed"),  # before mainline brought it
        ("atlantic", "6.1.158", "carries"),
        ("atlantic", "6.1.159", "fixed"),
        ("atlantic", "6.12.0", "carries"),
        ("atlantic", "6.12.60", "carries"),
        ("atlantic", "6.12.61", "fixed"),
        ("atlantic", "6.18", "fixed"),
        ("atlantic", "7.3.4", "fixed"),
        ("ice", "4.16", "fixed"),
        ("ice", "6.12.90", "carries"),
        ("ice", "6.12.103", "carries"),
        ("ice", "6.12.114", "undecided"),  # the fix did come then, after the data
        ("ice", "7.0.9", "carries"),
        ("ice", "7.0.10", "fixed"),
        ("ice", "7.1", "fixed"),
        ("bnxt_en", "6.10.3", "fixed"),
        ("bnxt_en", "6.10.4", "carries"),
        ("bnxt_en", "6.10.5", "fixed"),
        ("bnxt_en", "6.11", "fixed"),
        ("bnxt_en", "6.12.9", "fixed"),
        ("bnxt_en", "6.11~rc3", "undecided"),  # within the cycle that brought and fixed it
        ("virtio_net", "6.1.158", "fixed"),
        ("virtio_net", "6.1.159", "carries"),
        ("virtio_net", "6.1.177", "carries"),
        ("virtio_net", "6.1.178", "fixed"),
        ("virtio_net", "6.17.7", "fixed"),
        ("virtio_net", "6.17.8", "carries"),
        ("virtio_net", "6.18", "carries"),
        ("virtio_net", "6.18.40", "fixed"),
        ("virtio_net", "6.19", "carries"),  # an ended branch, judged by mainline
        ("virtio_net", "7.2", "fixed"),
        ("virtio_net", "6.16.12", "fixed"),
    ],
)
def test_bugs_in(driver: str, version: str, standing: str) -> None:
    assert _standing(driver, version) == standing


def test_applied_reverted_applied_again_is_two_stretches() -> None:
    record = {
        **ICE,
        "ranges": [["4.17", "", "6.12.91", ""], ["6.12.92", "", "6.12.114", ""], ["4.17", "", "7.1", ""]],
    }
    index = cve_index.build_index([record])
    standing = [
        name
        for version in ("6.12.90", "6.12.91", "6.12.92", "6.12.113", "6.12.114")
        for name in ("carries", "fixed", "undecided")
        if cve_index.bugs_in(index, "ice", version)[name]
    ]
    assert standing == ["carries", "fixed", "carries", "carries", "fixed"]


def test_what_the_data_does_not_know_is_said() -> None:
    assert cve_index.bugs_in(INDEX, "tg3", "6.1.0")["driver_known"] is False
    assert cve_index.bugs_in(INDEX, "ice", "6.12.103")["newer_than_data"] is False
    assert cve_index.bugs_in(INDEX, "ice", "6.12.104")["newer_than_data"] is True
    assert cve_index.bugs_in(INDEX, "ice", "7.3.4")["newer_than_data"] is True


def test_compare() -> None:
    row = {"cve": "CVE-2026-64552", "class": "other", "drivers": ["virtio_net"]}
    found = cve_index.compare(INDEX, ["virtio_net", "virtio_net"], "6.1.158", "6.1.170")
    assert found == {"fixes": [], "brings": [row], "undecided": []}
    assert cve_index.compare(INDEX, ["virtio_net"], "6.1.170", "6.12.97")["fixes"] == [row]
    assert cve_index.compare(INDEX, ["virtio_net"], "6.1.170", "6.12.96") == {
        "fixes": [],
        "brings": [],
        "undecided": [],
    }
    (ice,) = cve_index.compare(INDEX, ["ice"], "6.12.95", "6.12.117")["undecided"]
    assert ice == {"cve": "CVE-2026-53009", "class": "corruption", "drivers": ["ice"]}


@pytest.mark.parametrize(
    ("title", "bug_class"),
    [
        ("net: atlantic: fix fragment overflow handling in RX path", "corruption"),
        ("igc: Fix Kernel Panic during ndo_tx_timeout callback", "crash"),
        ("ionic: remove WARN_ON to prevent panic_on_warn", "other"),
        ("vmxnet3: fix BUG_ON in vmxnet3_get_hdr_len() for Geneve packets", "crash"),
        ("virtio_net: fix xdp_rxq_info bug after suspend/resume", "other"),
        ("net: txgbe: leave space for null terminators on property_entry", "other"),
        ("iavf: Fix hang during reboot/shutdown", "hang"),
        ("igb: revert rtnl_lock() that causes deadlock", "hang"),
        ("RDMA/irdma: Fix kernel stack leak in irdma_create_user_ah()", "info-leak"),
        ("ice: fix Rx page leak on multi-buffer frames", "leak"),
        ("i40e: Fix preempt count leak in napi poll tracepoint", "other"),
        ("ixgbe: fix pci device refcount leak", "leak"),
        ("ice: fix wrong fallback logic for FDIR", "other"),
        ("", "other"),
    ],
)
def test_classify(title: str, bug_class: str) -> None:
    assert cve_index.classify(title) == bug_class


# --- records ---------------------------------------------------------------------------------------------------------


def _git(pair: list[str]) -> dict[str, t.Any]:
    row = {"version": pair[1], "status": "affected", "versionType": "git"}
    return row if pair[2] == "0" else {**row, "lessThan": pair[3]}


def _cve_json(record: dict[str, t.Any], cpe: bool = True) -> dict[str, t.Any]:
    """As the kernel CNA writes it (bippy 1.2): commits in one block, releases in another, the pairs as CPEs."""
    block = {"product": "Linux", "vendor": "Linux", "programFiles": record["files"]}
    versions: list[dict[str, t.Any]] = [{"version": "5.18", "status": "affected"}]
    versions.append({"version": "0", "lessThan": "5.18", "status": "unaffected", "versionType": "semver"})
    matches = []
    for introduced, _commit, fixed, _fix in record["ranges"]:
        match = {"vulnerable": True, "criteria": "cpe:2.3:o:linux:linux_kernel:*", "versionStartIncluding": introduced}
        matches.append(match if fixed == "0" else {**match, "versionEndExcluding": fixed})
        if fixed != "0":
            end = "*" if fixed.count(".") == 1 else fixed.rpartition(".")[0] + ".*"
            versions.append({"version": fixed, "lessThanOrEqual": end, "status": "unaffected", "versionType": "semver"})
    cna: dict[str, t.Any] = {
        "title": record["title"],
        "descriptions": [{"lang": "en", "value": "a long text"}],
        "affected": [
            {**block, "defaultStatus": "unaffected", "versions": [_git(pair) for pair in record["ranges"]]},
            {**block, "defaultStatus": "affected", "versions": versions},
        ],
    }
    if cpe:
        cna["cpeApplicability"] = [{"nodes": [{"operator": "OR", "cpeMatch": matches}]}]
    return {
        "containers": {"cna": cna},
        "cveMetadata": {"cveId": record["cve"], "state": "PUBLISHED"},
        "dataType": "CVE_RECORD",
    }


def test_cve_json_is_the_same_as_the_row() -> None:
    assert cve_index.bug_from_record(_cve_json(ATLANTIC)) == cve_index.bug_from_record(ATLANTIC)


def test_cve_json_without_cpe() -> None:
    """Without the pairs, where a branch older than the mainline release got the bug is not known."""
    index = cve_index.build_index([_cve_json(ATLANTIC, cpe=False)])
    found = [
        next(name for name in ("carries", "fixed", "undecided") if cve_index.bugs_in(index, "atlantic", version)[name])
        for version in ("5.10.100", "5.10.247", "6.1.158", "6.1.159", "6.18")
    ]
    assert found == ["undecided", "fixed", "carries", "fixed", "fixed"]


def test_a_branch_that_ended_unfixed() -> None:
    """ "5.17.10, less than 5.18": the branch ended with the bug, and mainline 5.18 is another matter."""
    record = {**ATLANTIC, "ranges": [["5.17.10", "", "5.18", ""]]}
    reach = {**REACH, "ranges": [["4.0", "", "5.17.15", ""]]}
    index = cve_index.build_index([record, reach])
    versions = ("5.17.9", "5.17.10", "5.17.15", "5.18")
    assert [len(cve_index.bugs_in(index, "atlantic", version)["carries"]) for version in versions] == [0, 1, 1, 0]


def test_cve_json_of_2024() -> None:
    """bippy of 2024: cveID, and affected releases instead of unaffected ones; the empty mainline range is left out."""
    record = _cve_json(BNXT, cpe=False)
    record["cveMetadata"] = {"cveID": BNXT["cve"], "state": "PUBLISHED", "serial": "1"}
    record["containers"]["cna"]["affected"][1]["versions"] = [
        {"version": "6.10.4", "lessThan": "6.10.5", "status": "affected", "versionType": "custom"}
    ]
    index = cve_index.build_index([record])
    assert [len(cve_index.bugs_in(index, "bnxt_en", v)["carries"]) for v in ("6.10.3", "6.10.4", "6.10.5")] == [0, 1, 0]


DYAD = """\
# dyad version: 1.2.0
# 	getting vulnerable:fixed pairs for git id 5ffcb7b890f61541201461580bb6622ace405aec
5.10.118:cd66ab20a8f84474564a68fffffd37d998f6c340:5.10.247:34147477eeab24077fcfe9649e282849347d760c
5.17.10:dd4fb02847e737cc38ca75e708b1a836fba45faf:0:0
0:0:4.4.1:34147477eeab24077fcfe9649e282849347d760c
"""


def test_dyad() -> None:
    assert cve_index.parse_dyad(DYAD) == (
        cve_index.Range("5.10.118", "cd66ab20a8f8", "5.10.247", "34147477eeab"),
        cve_index.Range("5.17.10", "dd4fb02847e7", None, None),
        cve_index.Range("0", None, "4.4.1", "34147477eeab"),
    )


def test_dyad_goes_before_the_record() -> None:
    (bug,) = cve_index.build_index([(_cve_json(ATLANTIC), cve_index.parse_dyad(DYAD))]).bugs
    assert len(bug.ranges) == 3


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "not an object but NoneType"),
        ({}, "no CVE id"),
        ({**ICE, "cve": "CVE-1"}, "no CVE id"),
        ({**ICE, "files": []}, "names no source file"),
        ({**ICE, "files": ["net/ipv4/route.c"]}, "touches no NIC driver"),
        ({**ICE, "ranges": None}, "`ranges` is not a list"),
        ({**ICE, "ranges": []}, "no range of versions"),
        ({**ICE, "ranges": [["7", "", "8.1", ""]]}, "not a version of the kernel: '7'"),
        ({**ICE, "ranges": [["6.1", "", ["6.2"], ""]]}, "not a version of the kernel: list"),
        ({**ICE, "ranges": [["6.5", "", "6.1.9", ""]]}, "introduced in 6.5, after it was fixed in 6.1.9"),
        ({**ICE, "ranges": [["6.1", "", "6.2.{0}".format(n), ""] for n in range(300)]}, "more than 256"),
        ({"containers": []}, "no containers.cna"),
        ({"containers": {"cna": {}}, "cveMetadata": {"state": "REJECTED"}}, "state REJECTED"),
        (
            {
                "containers": {"cna": {"affected": [{"programFiles": 7}]}},
                "cveMetadata": {"state": "PUBLISHED", "cveId": "CVE-2026-53009"},
            },
            "names no source file",
        ),
    ],
)
def test_records_that_cannot_be_used(record: t.Any, reason: str) -> None:
    heard: list[tuple[str, str]] = []
    assert cve_index.build_index([record], skipped=lambda name, why: heard.append((name, why))).bugs == ()
    ((_name, why),) = heard
    assert reason in why


# --- the file --------------------------------------------------------------------------------------------------------


def test_same_records_same_bytes() -> None:
    text = cve_index.dump_index(INDEX)
    assert cve_index.dump_index(cve_index.build_index(reversed(RECORDS), "kernel CNA", "2026-08-21")) == text
    again = cve_index.load_index(text)
    assert cve_index.dump_index(again) == text
    assert (again.source, again.date) == ("kernel CNA", "2026-08-21")
    assert len(text.splitlines()) == len(RECORDS) + 3
    assert "atlantic: fix" not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"header": {"format": "crashready-cve-index", "schema": 2}}',
        '{"header": {"format": "crashready-cve-index", "schema": 1, "count": 2}, "bugs": [{}]}',
        '{"header": {"format": "crashready-cve-index", "schema": 1, "count": 1}, "bugs": [{}]}',
        '{"header": {"format": "crashready-cve-index", "schema": 1, "count": 1}, "bugs": [{"cve": "CVE-2024-1234"}]}',
        "[" * 100_000,
    ],
)
def test_index_that_is_none(text: str) -> None:
    with pytest.raises(ParseError):
        cve_index.load_index(text)


@pytest.mark.parametrize("text", ["", "6", "6.1.2.3", "v6.1", "6.1-rc", "2.6", "6.1.1 ", "9" * 80, "6.1\n6"])
def test_versions_that_are_none(text: str) -> None:
    if text.strip() == "6.1.1":
        assert cve_index.parse_release(text) == ((6, 1), 1, False)
        return
    with pytest.raises(ParseError):
        cve_index.parse_release(text)


@given(
    st.tuples(st.integers(4, 8), st.integers(0, 20)),
    st.integers(1, 300),
    st.integers(0, 299),
    st.integers(1, 400),
)
def test_a_stretch_is_half_open(branch: tuple[int, int], fixed: int, introduced: int, point: int) -> None:
    """Within one branch: carried exactly from introduced to before fixed, never undecided."""
    introduced = min(introduced, fixed)
    name = "{0}.{1}".format(*branch)
    start = name if introduced == 0 else "{0}.{1}".format(name, introduced)
    record = {**ICE, "ranges": [[start, "", "{0}.{1}".format(name, fixed), ""]]}
    found = cve_index.bugs_in(cve_index.build_index([record]), "ice", "{0}.{1}".format(name, point))
    assert found["undecided"] == []
    assert bool(found["carries"]) == (introduced <= point < fixed)


KEYS = ("cve", "files", "ranges", "containers", "cna", "affected", "versions", "cveMetadata", "state", "programFiles")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["PUBLISHED", "6.1", "CVE-2024-1234", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_hostile_records_are_skipped(record: t.Any) -> None:
    heard: list[str] = []
    index = cve_index.build_index([record], skipped=lambda name, why: heard.append(why))
    assert len(index.bugs) + len(heard) == 1


# --- which module ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("drivers/net/ethernet/intel/ice/ice_main.c", ("ice",)),
        ("drivers/net/ethernet/intel/igbvf/netdev.c", ("igbvf",)),
        ("drivers/net/ethernet/intel/e1000e/netdev.c", ("e1000e",)),
        ("drivers/net/ethernet/mellanox/mlx4/en_rx.c", ("mlx4_en",)),
        ("drivers/net/ethernet/mellanox/mlx4/main.c", ("mlx4_core",)),
        ("drivers/net/ethernet/sfc/siena/efx.c", ("sfc_siena",)),
        ("drivers/infiniband/hw/bnxt_re/main.c", ("bnxt_re",)),
        ("include/linux/mlx5/driver.h", ("mlx5_core",)),
        ("drivers/net/ethernet/broadcom/bnx2.c", ("bnx2",)),
        ("drivers/net/ethernet/broadcom/bnx2x/bnx2x_main.c", ("bnx2x",)),
        ("net/core/dev.c", ()),
        ("", ()),
    ],
)
def test_modules_of_files(name: str, modules: tuple[str, ...]) -> None:
    assert nic_modules.modules_of_files([name]) == modules


@pytest.mark.parametrize(
    ("title", "modules"),
    [
        ("net/mlx5e: Fix crash", ("mlx5_core",)),
        ("RDMA/mlx5: Enable multiplane mode only when it is supported", ("mlx5_core", "mlx5_ib")),
        ("eth: bnxt: fix truesize for mb-xdp-pass case", ("bnxt_en",)),
        ("bnxt_en : Fix memory out-of-bounds in bnxt_fill_hw_rss_tbl()", ("bnxt_en",)),
        ("net:emac/emac-mac: Fix a use after free in emac_mac_tx_buf_send", ()),
        ("qed/qede: Fix scheduling while atomic", ("qed", "qede")),
        ("virtio-net: fix len check in receive_big()", ("virtio_net",)),
        ("tcp: fix a race seen with ice", ()),
        ("ice", ()),
    ],
)
def test_modules_of_title(title: str, modules: tuple[str, ...]) -> None:
    assert nic_modules.modules_of_title(title) == modules


def test_companions_are_modules_of_the_table() -> None:
    assert nic_modules.companions("bnxt_en") == ("bnxt_re",)
    assert nic_modules.companions("e1000") == ()
