# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware texts of real cards, and the laws of their comparison.

Sources: the netdev and intel-wired-lan lists, public issue trackers and the
kernel's and DPDK's own documentation, as noted.
"""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.firmware import (
    _GRAMMARS,
    _WITHOUT_FIRMWARE,
    IncomparableError,
    compare,
    parse_firmware,
)
from hypothesis import given, settings
from hypothesis import strategies as st

#: driver, text, named fields, components, ordered, train
CASES = [
    # github.com/terpstra/xl710-unlocker issue 9: X710-DA4
    (
        "i40e",
        "9.20 0x8000d8bd 1.3353.0",
        {"nvm": "9.20", "etrack": "0x8000d8bd", "image": "1.3353.0"},
        [9, 0x20],
        True,
        "",
    ),
    # the same repository, issue 4
    ("i40e", "6.01 0x8000351b 0.0.0", {"nvm": "6.01", "etrack": "0x8000351b", "image": "0.0.0"}, [6, 1], True, ""),
    ("i40e", "9.54 0x8000fb2b 24.0.5", {"nvm": "9.54", "etrack": "0x8000fb2b", "image": "24.0.5"}, [9, 0x54], True, ""),
    # i40e_nvm_version_str, eTrack 0xffffffff
    ("i40e", "13.5.2b", {"oem": "13.5.2b"}, ["13.5.2b"], False, "oem"),
    (
        "ice",
        "4.40 0x8001c967 1.3534.0",
        {"nvm": "4.40", "etrack": "0x8001c967", "image": "1.3534.0"},
        [4, 64],
        True,
        "",
    ),
    # grantcurell.github.io, Testing Intel x520 on RHEL 6: one card under ixgbe 4.2.1-k and 5.5.5
    ("ixgbe", "0x61c10001", {"etrack": "0x61c10001"}, ["0x61c10001"], False, ""),
    (
        "ixgbe",
        "0x61c10001, 255.65535.255",
        {"etrack": "0x61c10001", "option_rom": "255.65535.255"},
        ["0x61c10001"],
        False,
        "",
    ),
    # E610
    ("ixgbe", "0x00012b2c, 1.3429.0", {"etrack": "0x00012b2c", "option_rom": "1.3429.0"}, ["0x00012b2c"], False, ""),
    # github.com/isc-projects/ethq issue 22: I210
    ("igb", "3.25, 0x800005cc", {"nvm": "3.25", "etrack": "0x800005cc"}, [3, 25], True, ""),
    (
        "igb",
        "1.63, 0x80000a05, 1.949.0",
        {"nvm": "1.63", "etrack": "0x80000a05", "option_rom": "1.949.0"},
        [1, 63],
        True,
        "",
    ),
    ("igb", "1.5.2", {"nvm": "1.5", "build": "2"}, [1, 5], True, ""),
    ("igb", " 0. 6-1", {"invm": "0. 6", "image_type": "1"}, ["0.6-1"], False, "invm"),
    ("igc", "1082:8770", {"nvm": "1082", "phy": "8770"}, ["1082:8770"], False, ""),
    ("igc", "1045:740", {"nvm": "1045", "phy": "740"}, ["1045:740"], False, ""),
    # QEMU's e1000e
    ("e1000e", "2.1-0", {"nvm": "2.1", "image": "0"}, ["2.1-0"], False, ""),
    # lore.kernel.org/netdev/df826cdd-f2cf-b7da-f24a-cec9d463a600@ucloud.cn
    (
        "mlx5_core",
        "16.25.1020 (MT_0000000080)",
        {"version": "16.25.1020", "psid": "MT_0000000080"},
        [25, 1020],
        True,
        "16 mt",
    ),
    # github.com/isc-projects/ethq issue 8
    ("mlx5_core", "14.23.1020", {"version": "14.23.1020"}, [23, 1020], True, "14"),
    (
        "mlx5_core",
        "14.32.2004 (DEL2420110034)",
        {"version": "14.32.2004", "psid": "DEL2420110034"},
        [32, 2004],
        True,
        "14 DEL2420110034",
    ),
    ("mlx4_en", "2.42.5000", {"version": "2.42.5000"}, [2, 42, 5000], True, ""),
    # lore.kernel.org/netdev/20230816200120.603cc65a@kernel.org: BCM57416
    (
        "bnxt_en",
        "218.0.153.0/pkg 218.0.169.0",
        {"version": "218.0.153.0", "package": "218.0.169.0"},
        [218, 0, 153, 0],
        True,
        "",
    ),
    ("bnxt_en", "229.0.121.0/pkg N/A", {"version": "229.0.121.0"}, [229, 0, 121, 0], True, ""),
    ("bnxt_en", "20.6.55", {"version": "20.6.55"}, [20, 6, 55], True, ""),
    # netdev, BCM57711 and BCM57810
    (
        "bnx2x",
        "7.8.16 bc 6.2.26 phy aa0.406",
        {"vendor": "7.8.16", "bootcode": "6.2.26", "rest": "phy aa0.406"},
        [6, 2, 26],
        True,
        "",
    ),
    ("bnx2x", "bc 7.10.4", {"bootcode": "7.10.4"}, [7, 10, 4], True, ""),
    ("bnx2x", "mbi 7.15.42 bc 7.15.23", {"vendor": "mbi 7.15.42", "bootcode": "7.15.23"}, [7, 15, 23], True, ""),
    # github.com/isc-projects/ethq issue 14
    ("bnx2", "bc 5.2.3 NCSI 2.0.12", {"bootcode": "5.2.3", "rest": "NCSI 2.0.12"}, [5, 2, 3], True, ""),
    # netdev: BCM5719, BCM5720, and older ones
    (
        "tg3",
        "5719-v1.46 NCSI v1.5.18.0",
        {"chip": "5719", "bootcode": "1.46", "management": "NCSI v1.5.18.0"},
        [1, 46, 0],
        True,
        "5719",
    ),
    (
        "tg3",
        "FFV21.40.21 bc 5720-v1.39",
        {"vendor": "FFV21.40.21", "chip": "5720", "bootcode": "1.39"},
        [1, 39, 0],
        True,
        "5720",
    ),
    (
        "tg3",
        "5722-v3.07, ASFIPMI v6.02",
        {"chip": "5722", "bootcode": "3.07", "management": "ASFIPMI v6.02"},
        [3, 7, 0],
        True,
        "5722",
    ),
    ("tg3", "5751-v3.29a", {"chip": "5751", "bootcode": "3.29a"}, [3, 29, 1], True, "5751"),
    ("tg3", "57766a-v1.13", {"chip": "57766a", "bootcode": "1.13"}, [1, 13, 0], True, "57766a"),
    ("tg3", "sb v1.04", {"bootcode": "1.04"}, [1, 4, 0], True, "sb"),
    ("tg3", "something else", {"text": "something else"}, ["something else"], False, "text"),
    ("be2net", "10.7.110.31", {"running": "10.7.110.31"}, [10, 7, 110, 31], True, ""),
    (
        "be2net",
        "4.1.450.16 [4.9.416.0]",
        {"running": "4.1.450.16", "on_flash": "4.9.416.0"},
        [4, 1, 450, 16],
        True,
        "",
    ),
    # an out-of-tree qede 8.10; qede_get_drvinfo of Linux 6.1 for the next two
    ("qede", "mfw 8.25.7.0 storm 8.20.0.0", {"mfw": "8.25.7.0", "storm": "8.20.0.0"}, [8, 25, 7, 0], True, "mfw"),
    ("qede", "mbi 15.35.1 [mfw 8.52.9.0]", {"mbi": "15.35.1", "mfw": "8.52.9.0"}, [8, 52, 9, 0], True, "mfw"),
    ("qede", "mbi 15.35.1", {"mbi": "15.35.1"}, [15, 35, 1], True, "mbi"),
    # DPDK, guides/nics/cxgbe.rst
    ("cxgb4", "1.25.6.0, TP 0.1.23.2", {"version": "1.25.6.0", "tp": "0.1.23.2"}, [1, 25, 6, 0], True, ""),
    ("sfc", "8.0.0.1015 rx1 tx1", {"version": "8.0.0.1015", "datapath": "rx1 tx1"}, [8, 0, 0, 1015], True, ""),
    # Documentation/networking/device_drivers/ethernet: aquantia, pensando
    ("atlantic", "3.1.78", {"version": "3.1.78"}, [3, 1, 78], True, ""),
    ("ionic", "1.8.0-28", {"text": "1.8.0-28"}, ["1.8.0-28"], False, ""),
    # OpenNFP documentation
    (
        "nfp",
        "0.0.3.5 0.22 nic-2.0.4 nic",
        {"vnic": "0.0.3.5", "nsp": "0.22", "mip": "nic-2.0.4", "application": "nic"},
        ["0.0.3.5", "0.22", "nic-2.0.4", "nic"],
        False,
        "",
    ),
    ("hns3", "1.8.15.0", {"version": "1.8.15.0"}, [1, 8, 15, 0], True, ""),
    ("hns3", "0x0114001b", {"version": "0x0114001b"}, ["0x0114001b"], False, "hex"),
    (
        "r8169",
        "rtl8168h-2_0.0.2 02/26/15",
        {"text": "rtl8168h-2_0.0.2 02/26/15"},
        ["rtl8168h-2_0.0.2 02/26/15"],
        False,
        "",
    ),
]


@pytest.mark.parametrize(("driver", "raw", "fields", "components", "ordered", "train"), CASES)
def test_real_texts(driver, raw, fields, components, ordered, train):
    facts = parse_firmware(driver, raw).as_facts()
    assert facts.pop("grammar") in (driver, "mlx4")
    assert facts == {
        "train": train,
        "fields": fields,
        "components": components,
        "ordered": ordered,
        "complete": True,
    }


@pytest.mark.parametrize(("driver", "raw"), [case[:2] for case in CASES])
def test_a_version_is_the_same_as_itself(driver, raw):
    assert compare(parse_firmware(driver, raw), parse_firmware(driver, raw + "\n")) == 0


#: Real texts in the order of their release.
ASCENDING = {
    "i40e": ["6.01 0x8000351b 0.0.0", "7.20 0x80007a01 0.0.0", "9.05 0x8000a000 1.0.0", "9.20 0x8000d95e 1.3353.0"],
    "ice": ["2.09 0x80000001 1.0.0", "4.40 0x8001c967 1.3534.0", "4.80 0x800206a0 24.0.5"],
    "igb": ["1.5.2", "1.63, 0x80000a05", "3.25, 0x800005d0"],
    "mlx5_core": ["16.9.1000 (MT_0000000080)", "16.25.1020 (MT_0000000080)", "16.35.2000 (MT_0000000012)"],
    "bnxt_en": [
        "20.6.55.0",
        "214.0.222.1/pkg 21.40.22.21",
        "218.0.153.0/pkg 218.0.169.0",
        "233.0.151.0/pkg 36.11.73.00",
    ],
    "tg3": ["5719-v1.9", "5719-v1.46 NCSI v1.5.18.0", "5719-v1.46a", "FFV1 bc 5719-v1.47"],
    "be2net": ["4.1.450.16", "10.7.110.31 [11.0.0.0]", "11.0.0.0"],
    "qede": ["mfw 8.25.7.0 storm 8.20.0.0", "mbi 15.35.1 [mfw 8.52.9.0]"],
}


@pytest.mark.parametrize("driver", sorted(ASCENDING))
def test_order(driver):
    versions = [parse_firmware(driver, raw) for raw in ASCENDING[driver]]
    for older, newer in itertools.combinations(versions, 2):
        assert compare(older, newer) == -1
        assert compare(newer, older) == 1


INCOMPARABLE = [
    (("i40e", "9.20 0x8000d8bd 1.3353.0"), ("ice", "9.20 0x8000d8bd 1.3353.0"), "another driver"),
    (("i40e", "9.20", "1572"), ("i40e", "9.20", "37d0"), "X710 and X722"),
    (("i40e", "9.20", "1572"), ("i40e", "9.20"), "a family and an unknown one"),
    (("i40e", "9.20"), ("i40e", "9.2.0"), "an OEM's own numbering"),
    (("igb", "1.63, 0x80000a05", "1521"), ("igb", "1.63, 0x80000a05", "1533"), "I350 and I210"),
    (("mlx5_core", "16.25.1020"), ("mlx5_core", "14.25.1020"), "ConnectX-5 and ConnectX-4 Lx"),
    (("mlx5_core", "16.25.1020 (MT_0000000080)"), ("mlx5_core", "16.25.1020 (DEL0000000004)"), "an OEM's card"),
    (("mlx5_core", "16.25.1020 (MT_0000000080)"), ("mlx5_core", "16.25.1020"), "a PSID and none"),
    (("tg3", "5719-v1.46"), ("tg3", "5720-v1.46"), "two chips"),
    (("qede", "mbi 15.35.1"), ("qede", "mfw 8.25.7.0"), "the image and its part"),
    (("ixgbe", "0x61c10001"), ("ixgbe", "0x61c10002"), "eTrack ids are not ordered"),
    (("igc", "1082:8770"), ("igc", "1085:8770"), "equality alone"),
    (("nfp", "0.0.3.5 0.22 nic-2.0.4 nic"), ("nfp", "0.0.3.5 0.22 nic-2.0.4"), "a missing field"),
]


@pytest.mark.parametrize(("left", "right"), [case[:2] for case in INCOMPARABLE], ids=[case[2] for case in INCOMPARABLE])
def test_no_order_is_an_error_and_never_an_answer(left, right):
    for one, other in ((left, right), (right, left)):
        with pytest.raises(IncomparableError):
            compare(parse_firmware(*one), parse_firmware(*other))


def test_the_option_rom_does_not_make_another_firmware():
    assert compare(parse_firmware("ixgbe", "0x61c10001"), parse_firmware("ixgbe", "0x61C10001, 255.65535.255")) == 0


@pytest.mark.parametrize("driver", ["ixgbe", "tg3", "nfp", "ionic", "mlx5_core"])
@pytest.mark.parametrize("raw", ["", " ", "N/A", "n/a", "\n"])
def test_nothing_is_never_a_version(driver, raw):
    with pytest.raises(ParseError, match="reports none"):
        parse_firmware(driver, raw)


@pytest.mark.parametrize(
    ("driver", "raw"),
    [("iavf", "N/A"), ("ena", ""), ("virtio_net", ""), ("vmxnet3", ""), ("bonding", "2"), ("cdc_ncm", "CDC NCM")],
)
def test_drivers_without_firmware_say_so(driver, raw):
    with pytest.raises(ParseError, match=driver):
        parse_firmware(driver, raw)


@pytest.mark.parametrize(
    ("driver", "raw"),
    [
        ("i40e", "garbage"),
        ("i40e", "9.20 8000d8bd 1.3353.0"),
        ("i40e", "9.20 0x8000d8bd 1.3353.0 more"),
        ("ixgbe", "61c10001"),
        ("ixgbe", "0x61c1\x1b[31m0001"),
        ("igb", "3.25 0x800005cc"),
        ("igb", "\u0663.25, 0x800005cc"),
        ("mlx5_core", "16.25 (MT_0000000080)"),
        ("bnxt_en", "218/pkg 218.0.169.0"),
        ("bnxt_en", "218.0.153.0/pkg \u202e218"),
        ("bnx2x", "BC:5.2.7 PHY:baa0:0105"),
        ("qede", "storm 8.20.0.0"),
        ("qede", "mbi 15.35.1 [mfw 8.52.9.0"),
        ("cxgb4", "TP 0.1.23.2"),
        ("nfp", "a b c d e"),
        ("ionic", "caf\u00e9"),
        ("ionic", "x" * 33),
        ("atlantic", "9" * 5000),
        ("no-such-driver", "1.2.3"),
    ],
)
def test_what_no_driver_prints(driver, raw):
    with pytest.raises(ParseError) as caught:
        parse_firmware(driver, raw)
    assert len(str(caught.value)) < 120
    assert str(caught.value).isprintable()


CUT = [
    # 31 characters: the driver's field is full and the last part may have lost its end
    ("bnxt_en", "216.4.55.0/pkg 219.0.144.0abcde", {"version": "216.4.55.0"}),
    ("tg3", "FFV21.40.21 bc 5720-v1.39 NCSI ", {"vendor": "FFV21.40.21", "chip": "5720", "bootcode": "1.39"}),
    ("be2net", "10.7.110.3100 [10.7.110.3200.11", {"running": "10.7.110.3100"}),
    ("nfp", "0.0.3.5 0.22 sriov-2.1.16.1 nic", {"vnic": "0.0.3.5", "nsp": "0.22", "mip": "sriov-2.1.16.1"}),
]


@pytest.mark.parametrize(("driver", "raw", "fields"), CUT)
def test_a_full_field_loses_its_last_part(driver, raw, fields):
    assert len(raw) == 31
    read = parse_firmware(driver, raw)
    assert not read.complete
    assert dict(read.fields) == fields


def test_a_cut_text_without_order_equals_nothing():
    read = parse_firmware("nfp", "0.0.3.5 0.22 sriov-2.1.16.1 nic")
    with pytest.raises(IncomparableError):
        compare(read, read)


def test_a_cut_text_of_one_part_is_no_version():
    with pytest.raises(ParseError):
        parse_firmware("ionic", "x" * 31)


DRIVERS = st.one_of(
    st.sampled_from(sorted(_GRAMMARS)), st.sampled_from(sorted(_WITHOUT_FIRMWARE)), st.text(max_size=20)
)
#: Random text seldom reaches a grammar's inside: also mix the parts that the real texts are made of.
PARTS = st.lists(
    st.sampled_from(
        sorted({part for case in CASES for part in case[1].replace(".", " . ").split()} | {" ", "", "(", "/"})
    ),
    max_size=12,
).map(" ".join)
TEXTS = st.one_of(st.text(max_size=40), PARTS, PARTS.map(lambda text: text.replace(" . ", ".")))


@settings(max_examples=600)
@given(DRIVERS, TEXTS, st.one_of(st.none(), st.text(max_size=6)))
def test_any_text_is_a_version_or_a_parse_error(driver, raw, device):
    try:
        read = parse_firmware(driver, raw, device)
    except ParseError:
        return
    facts = read.as_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["components"]
    assert all(isinstance(part, int) for part in facts["components"]) or not facts["ordered"]
    assert all(text.isprintable() and text for text in facts["fields"].values())


@st.composite
def ordered_texts(draw, driver):
    """A text of a grammar with an order, within one train."""
    one, two, three, four = (draw(st.integers(0, 9)) * draw(st.sampled_from([1, 11, 99])) for _count in range(4))
    forms = {
        "i40e": "{0:x}.{1:02x} 0x{2:x} 1.2.3".format(one % 256, two % 256, three),
        "bnxt_en": "{0}.{1}.{2}.{3}/pkg {0}".format(one, two, three, four),
        "mlx5_core": "16.{0}.{1:04d} (MT_0000000080)".format(one, two),
        "tg3": "5719-v{0}.{1:02d}{2}".format(one, two, draw(st.sampled_from(["", "a", "b"]))),
        "cxgb4": "{0}.{1}.{2}.{3}".format(one, two, three, four),
        "atlantic": "{0}.{1}.{2}".format(one, two, three),
        "igb": "{0}.{1}, 0x80000a05".format(one, two),
    }
    return forms[driver]


ORDERED = ["atlantic", "bnxt_en", "cxgb4", "i40e", "igb", "mlx5_core", "tg3"]


@given(st.sampled_from(ORDERED).flatmap(lambda driver: st.tuples(st.just(driver), *[ordered_texts(driver)] * 3)))
def test_the_order_within_a_grammar_is_total(drawn):
    driver, *texts = drawn
    one, two, three = (parse_firmware(driver, raw) for raw in texts)
    assert compare(one, one) == 0
    assert compare(one, two) == -compare(two, one)
    assert (compare(one, two) == 0) == (one.components == two.components)
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


@given(
    st.permutations(ORDERED).flatmap(
        lambda drivers: st.tuples(*[ordered_texts(each) for each in drivers]).map(lambda texts: (drivers, texts))
    )
)
def test_there_is_no_order_across_grammars(drawn):
    drivers, texts = drawn
    versions = [parse_firmware(driver, raw) for driver, raw in zip(drivers, texts)]
    for left, right in itertools.combinations(versions, 2):
        with pytest.raises(CoreError):
            compare(left, right)
