# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""NIC facts of recorded trees: documented real cards, a virtual machine, hostile answers.

A tree is tests/unit/cases/trees/<name>.json with what must be seen in
<name>.expected.json, written by hand. A tree without one fails; guest-*
trees may wait for theirs.
"""

from __future__ import annotations

import copy
import json
import pathlib

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.nics import collect_nics
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

TREES = next(parent for parent in pathlib.Path(__file__).resolve().parents if parent.name == "unit") / "cases" / "trees"
NAMES = sorted(path.stem for path in TREES.glob("*.json") if not path.name.endswith(".expected.json"))
KEYS = {
    "name", "mac", "pci", "driver", "module", "driver_version", "firmware", "firmware_files",
    "speed_mbps", "link", "queues", "numa_node", "bonded_in", "virtual", "vf_of", "unread",
}  # fmt: skip
#: Null without a reason: there is none.
MAY_BE_NONE = {"pci", "bonded_in", "vf_of"}


def manifest(name):
    return json.loads((TREES / (name + ".json")).read_text(encoding="utf-8"))


def by_name(host):
    return {nic["name"]: nic for nic in collect_nics(host)}


def test_there_are_trees():
    assert {"x710-da4", "82599-x520", "82599-sriov-bond", "connectx-5", "bcm57416", "no-nic"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_tree(name):
    path = TREES / (name + ".expected.json")
    assert collect_nics(TreeHost(manifest(name))) == json.loads(path.read_text(encoding="utf-8"))["nics"]


@pytest.mark.parametrize("name", NAMES)
def test_every_tree_names_its_source(name):
    assert len(manifest(name)["source"]) > 20


def leaves(value, path=()):
    """Every value of a nested dict with its dotted name."""
    for key, inner in value.items():
        if key in ("unread", "parsed", "pci") and inner is not None:
            continue
        if isinstance(inner, dict):
            yield from leaves(inner, (*path, key))
        else:
            yield ".".join((*path, key)), inner


def texts(value):
    """Every text in nested facts, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.items() if isinstance(value, dict) else value:
            yield from texts(list(inner) if isinstance(inner, tuple) else inner)


def assert_lawful(nics):
    """What holds for any host: the shape, a reason beside every null, clean and bounded text."""
    assert json.loads(json.dumps(nics)) == nics
    assert all(text.isprintable() and len(text) <= 256 for text in texts(nics))
    for nic in nics:
        assert set(nic) == KEYS
        for facts, ignored in ((nic, MAY_BE_NONE), *(((nic["pci"], set()),) if nic["pci"] else ())):
            nulls = {field for field, value in leaves(facts) if value is None}
            unexplained = nulls - set(facts["unread"]) - ignored
            assert not unexplained, unexplained
            assert set(facts["unread"]) <= nulls
            assert all(0 < len(reason) < 160 for reason in facts["unread"].values())
        if nic["virtual"] is None:
            assert {"pci", "vf_of", "bonded_in"} <= set(nic["unread"])


@pytest.mark.parametrize("name", NAMES)
def test_laws_hold_on_trees(name):
    assert_lawful(collect_nics(TreeHost(manifest(name))))


def test_laws_hold_on_this_machine():
    if not LocalHost().exists("/sys/class/net"):
        pytest.skip("no sysfs here")
    nics = collect_nics(LocalHost())
    assert_lawful(nics)
    assert "lo" not in [nic["name"] for nic in nics]


def test_without_sysfs_the_subset_is_unreadable():
    with pytest.raises(Unreadable, match="not found"):
        collect_nics(TreeHost({}))


@pytest.mark.parametrize("method", ["read_bytes", "readlink", "lstat", "driver_info", "channels"])
def test_one_interface_never_breaks_the_others(monkeypatch, method):
    """All that concerns ens1f0 fails; the others are as before."""
    host = TreeHost(manifest("82599-sriov-bond"))
    expected = by_name(host)
    real = getattr(host, method)

    def fail(path, *args):
        if "ens1f0/" in path + "/" or "0000:08:00.0" in path:
            raise Unreadable(path, "input/output error")
        return real(path, *args)

    monkeypatch.setattr(host, method, fail)
    nics = by_name(host)
    changed = {name for name in expected if nics.get(name) != expected[name]}
    assert changed == {"ens1f0"}
    assert_lawful(list(nics.values()))


@pytest.mark.parametrize("reason", ["not found", "permission denied (not root)", "input/output error"])
def test_a_host_that_shows_only_names(monkeypatch, reason):
    host = TreeHost(manifest("82599-sriov-bond"))

    def fail(path, *args):
        raise Unreadable(path, reason)

    for method in ("read_bytes", "readlink", "driver_info", "channels"):
        monkeypatch.setattr(host, method, fail)
    nics = collect_nics(host)
    assert len(nics) == 7
    assert_lawful(nics)


def test_an_interface_that_cannot_be_seen_is_not_called_virtual(monkeypatch):
    """Virtual interfaces need no judgement; an unseen one does."""
    host = TreeHost(manifest("connectx-5"))
    real = host.lstat

    def fail(path):
        if path.endswith("/device"):
            raise Unreadable(path, "permission denied (not root)")
        return real(path)

    monkeypatch.setattr(host, "lstat", fail)
    nic = by_name(host)["eth0"]
    assert nic["virtual"] is None
    assert nic["unread"]["virtual"] == nic["unread"]["pci"] == nic["unread"]["module"] == "permission denied (not root)"
    # The ioctl was not refused, so what it says stays.
    assert (nic["driver"], nic["firmware"]["raw"]) == ("mlx5_core", "16.25.1020 (MT_0000000080)")


def without_pci_ids(name):
    tree = manifest(name)
    del tree["files"]["/usr/share/misc/pci.ids"]
    return tree


def test_model_prefers_pci_ids_over_udev():
    tree = manifest("connectx-5")
    tree["files"]["/run/udev/data/+pci:0000:81:00.0"] = "E:ID_MODEL_FROM_DATABASE=udev's name\n"
    assert by_name(TreeHost(tree))["eth0"]["pci"]["model"] == "MT27800 Family [ConnectX-5]"


def test_model_from_hwdata_where_misc_has_an_older_list():
    tree = manifest("connectx-5")
    tree["files"]["/usr/share/hwdata/pci.ids"] = tree["files"]["/usr/share/misc/pci.ids"]
    tree["files"]["/usr/share/misc/pci.ids"] = "8086  Intel Corporation\n"
    assert by_name(TreeHost(tree))["eth0"]["pci"]["model"] == "MT27800 Family [ConnectX-5]"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "the host has no list of PCI ids"),
        ({"/usr/share/misc/pci.ids": "8086  Intel Corporation\n"}, "not in the host's lists of PCI ids"),
        ({"/usr/share/misc/pci.ids": {"error": "input/output error"}}, "the host has no list of PCI ids"),
    ],
)
def test_model_that_is_not_known(files, reason):
    tree = without_pci_ids("connectx-5")
    tree["files"].update(files)
    pci = by_name(TreeHost(tree))["eth0"]["pci"]
    assert (pci["model"], pci["unread"]) == (None, {"model": reason})


def test_pci_ids_are_read_once_for_all_cards(monkeypatch):
    host = TreeHost(manifest("x710-da4"))
    reads = []
    real = host.read_bytes
    monkeypatch.setattr(host, "read_bytes", lambda path, *args: reads.append(path) or real(path, *args))
    collect_nics(host)
    assert reads.count("/usr/share/misc/pci.ids") == 1


def one_nic(device, bus, **extra):
    """A tree with eth0 on a device of a bus."""
    net = device + "/net/eth0"
    files = {
        "/sys/class/net/eth0": {"link": "../../" + net[len("/sys/") :]},
        net + "/device": {"link": device},
        net + "/address": "00:00:5e:00:53:40\n",
        device + "/subsystem": {"link": "/sys/bus/" + bus},
        device + "/driver": {"link": "/sys/bus/{0}/drivers/some".format(bus)},
    }
    files.update(extra)
    return TreeHost({"files": files, "directories": ["/sys/bus/{0}/drivers/some".format(bus)]})


def test_usb_sits_below_a_pci_controller_and_is_no_pci_card():
    nic = by_name(one_nic("/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0", "usb"))["eth0"]
    assert (nic["pci"], nic["virtual"]) == (None, False)
    assert nic["unread"]["pci"] == "not a PCI device: its bus is 'usb'"


def test_virtio_over_mmio_has_no_pci_card():
    nic = by_name(one_nic("/sys/devices/platform/virtio-mmio.0/virtio0", "virtio"))["eth0"]
    assert (nic["pci"], nic["virtual"]) == (None, False)


def test_a_subfunction_belongs_to_the_card_above():
    card = "/sys/devices/pci0000:80/0000:80:02.0/0000:81:00.0"
    ids = {
        "/sys/bus/pci/devices/0000:81:00.0/vendor": "0x15b3\n",
        "/sys/bus/pci/devices/0000:81:00.0/device": "0x1017\n",
    }
    nic = by_name(one_nic(card + "/mlx5_core.sf.2", "auxiliary", **ids))["eth0"]
    assert (nic["pci"]["address"], nic["pci"]["device"]) == ("0000:81:00.0", "1017")


def test_a_domain_behind_intel_vmd():
    nic = by_name(one_nic("/sys/devices/pci10000:00/10000:01:00.0", "pci"))["eth0"]
    assert nic["pci"]["address"] == "10000:01:00.0"


def test_a_bridge_above_a_port_is_no_bond():
    tree = manifest("82599-sriov-bond")
    tree["files"]["/sys/devices/pci0000:00/0000:00:03.0/0000:08:00.0/net/ens1f0/master"] = {
        "link": "../../../../../virtual/net/br0"
    }
    nics = by_name(TreeHost(tree))
    assert nics["ens1f0"]["bonded_in"] is None
    assert nics["ens1f1"]["bonded_in"] == "bond0"
    assert "bonded_in" not in nics["ens1f0"]["unread"]


def test_mlx4_is_read_by_the_grammar_of_the_driver_that_wrote_it():
    """sysfs has the bus driver mlx4_core; the text comes from mlx4_en."""
    tree = copy.deepcopy(manifest("connectx-5"))
    tree["ethtool"]["eth0"].update(driver="mlx4_en", firmware="2.42.5000")
    parsed = by_name(TreeHost(tree))["eth0"]["firmware"]["parsed"]
    assert (parsed["grammar"], parsed["components"]) == ("mlx4", [2, 42, 5000])


def test_a_driver_without_ethtool():
    tree = manifest("connectx-5")
    tree["ethtool"]["eth0"] = {"error": "not supported by the driver"}
    nic = by_name(TreeHost(tree))["eth0"]
    assert nic["driver"] == "mlx5_core"
    assert nic["firmware"] == {"raw": None, "parsed": None}
    reasons = {nic["unread"][field] for field in ("driver_version", "firmware.raw", "firmware.parsed")}
    assert reasons == {"not supported by the driver"}


def test_infiniband_has_a_longer_address():
    mac = ":".join(["80"] * 20)
    tree = manifest("connectx-5")
    tree["files"]["/sys/devices/pci0000:80/0000:80:02.0/0000:81:00.0/net/eth0/address"] = mac.upper() + "\n"
    assert by_name(TreeHost(tree))["eth0"]["mac"] == mac
