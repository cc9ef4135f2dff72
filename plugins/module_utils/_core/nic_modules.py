# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernel module a source file or the title of a commit belongs to: reviewed tables of NIC drivers.

Files decide for records that name them; titles are all that a changelog has, and
their prefixes follow habits, not rules ("net/mlx5e:", "RDMA/mlx5:", "eth: bnxt:").
Names are those of the modules, as `ethtool -i` and sysfs show the bound driver.
Left out: drivers of system-on-chip Ethernet that no Debian server carries.
"""

from __future__ import annotations

import re
import typing as t

__all__ = ["companions", "modules_of_files", "modules_of_title"]

# The Makefiles of Linux 6.12 below drivers/. A name that ends in / is a folder, any other the start of a file's name;
# the longest that fits wins.
_ETHERNET = {
    "3com/3c59x": ("3c59x",),
    "amazon/ena/": ("ena",),
    "amd/pds_core/": ("pds_core",),
    "amd/xgbe/": ("amd_xgbe",),
    "aquantia/atlantic/": ("atlantic",),
    "atheros/alx/": ("alx",),
    "atheros/atl1c/": ("atl1c",),
    "broadcom/bnge/": ("bnge",),
    "broadcom/bnx2.": ("bnx2",),
    "broadcom/bnx2x/": ("bnx2x",),
    "broadcom/bnxt/": ("bnxt_en",),
    "broadcom/cnic": ("cnic",),
    "broadcom/genet/": ("genet",),
    "broadcom/tg3": ("tg3",),
    "brocade/bna/": ("bna",),
    "cadence/macb": ("macb",),
    "cavium/liquidio/": ("liquidio", "liquidio_vf"),
    "cavium/liquidio/lio_main.c": ("liquidio",),
    "cavium/liquidio/lio_vf_main.c": ("liquidio_vf",),
    "cavium/liquidio/lio_vf_rep": ("liquidio",),
    "cavium/thunder/": ("nicvf",),
    "chelsio/cxgb3/": ("cxgb3",),
    "chelsio/cxgb4/": ("cxgb4",),
    "chelsio/cxgb4vf/": ("cxgb4vf",),
    "chelsio/inline_crypto/ch_ktls/": ("ch_ktls",),
    "cisco/enic/": ("enic",),
    "dlink/dl2k": ("dl2k",),
    "ec_bhf": ("ec_bhf",),
    "emulex/benet/": ("be2net",),
    "faraday/ftgmac100": ("ftgmac100",),
    "freescale/enetc/": ("fsl_enetc",),
    "freescale/fec": ("fec",),
    "google/gve/": ("gve",),
    "hisilicon/hibmcge/": ("hibmcge",),
    "hisilicon/hns3/": ("hns3",),
    "huawei/hinic/": ("hinic",),
    "huawei/hinic3/": ("hinic3",),
    "ibm/ibmveth": ("ibmveth",),
    "ibm/ibmvnic": ("ibmvnic",),
    "intel/e100.": ("e100",),
    "intel/e1000/": ("e1000",),
    "intel/e1000e/": ("e1000e",),
    "intel/fm10k/": ("fm10k",),
    "intel/i40e/": ("i40e",),
    "intel/iavf/": ("iavf",),
    "intel/ice/": ("ice",),
    "intel/idpf/": ("idpf",),
    "intel/igb/": ("igb",),
    "intel/igbvf/": ("igbvf",),
    "intel/igc/": ("igc",),
    "intel/ixgbe/": ("ixgbe",),
    "intel/ixgbevf/": ("ixgbevf",),
    "intel/libeth/": ("libeth",),
    "intel/libie/": ("libie",),
    "marvell/mvneta.": ("mvneta",),
    "marvell/mvpp2/": ("mvpp2",),
    "marvell/octeon_ep/": ("octeon_ep",),
    "marvell/octeon_ep_vf/": ("octeon_ep_vf",),
    "marvell/octeontx2/af/": ("rvu_af",),
    "marvell/octeontx2/nic/": ("rvu_nicpf", "rvu_nicvf"),
    "mellanox/mlx4/": ("mlx4_core",),
    "mellanox/mlx4/en_": ("mlx4_en",),
    "mellanox/mlx4/mlx4_en": ("mlx4_en",),
    "mellanox/mlx5/core/": ("mlx5_core",),
    "mellanox/mlxbf_gige/": ("mlxbf_gige",),
    "meta/fbnic/": ("fbnic",),
    "microchip/lan743x": ("lan743x",),
    "microsoft/mana/": ("mana",),
    "netronome/nfp/": ("nfp",),
    "nvidia/forcedeth": ("forcedeth",),
    "pensando/ionic/": ("ionic",),
    "qlogic/netxen/": ("netxen_nic",),
    "qlogic/qed/": ("qed",),
    "qlogic/qede/": ("qede",),
    "qlogic/qlcnic/": ("qlcnic",),
    "rdc/r6040": ("r6040",),
    "realtek/r8169": ("r8169",),
    "realtek/rtase/": ("rtase",),
    "sfc/": ("sfc",),
    "sfc/falcon/": ("sfc_falcon",),
    "sfc/siena/": ("sfc_siena",),
    "stmicro/stmmac/": ("stmmac",),
    "sun/cassini": ("cassini",),
    "sun/niu": ("niu",),
    "sun/sungem": ("sungem",),
    "wangxun/libwx/": ("libwx",),
    "wangxun/ngbe/": ("ngbe",),
    "wangxun/txgbe/": ("txgbe",),
}

_ELSEWHERE = {
    "drivers/infiniband/hw/bnxt_re/": ("bnxt_re",),
    "drivers/infiniband/hw/cxgb4/": ("iw_cxgb4",),
    "drivers/infiniband/hw/hns/": ("hns_roce_hw_v2",),
    "drivers/infiniband/hw/irdma/": ("irdma",),
    "drivers/infiniband/hw/mana/": ("mana_ib",),
    "drivers/infiniband/hw/mlx4/": ("mlx4_ib",),
    "drivers/infiniband/hw/mlx5/": ("mlx5_ib",),
    "drivers/infiniband/hw/ocrdma/": ("ocrdma",),
    "drivers/infiniband/hw/qedr/": ("qedr",),
    "drivers/net/hyperv/": ("hv_netvsc",),
    "drivers/net/virtio_net.c": ("virtio_net",),
    "drivers/net/vmxnet3/": ("vmxnet3",),
    "drivers/net/xen-netfront.c": ("xen_netfront",),
    "drivers/vdpa/mlx5/": ("mlx5_vdpa",),
    "include/linux/mlx4/": ("mlx4_core",),
    "include/linux/mlx5/": ("mlx5_core",),
    "include/linux/qed/": ("qed",),
    "include/net/mana/": ("mana",),
}

_FILES: dict[str, tuple[str, ...]] = {"drivers/net/ethernet/" + name: modules for name, modules in _ETHERNET.items()}
_FILES.update(_ELSEWHERE)
_LONGEST_FIRST = sorted(_FILES, key=len, reverse=True)

#: Modules that serve the same card beside the bound driver: their bugs are met with it.
_COMPANIONS = {
    "bnx2x": ("cnic",),
    "be2net": ("ocrdma",),
    "bnxt_en": ("bnxt_re",),
    "cxgb4": ("ch_ktls", "iw_cxgb4"),
    "hns3": ("hns_roce_hw_v2",),
    "i40e": ("irdma",),
    "ice": ("irdma", "libie"),
    "idpf": ("irdma", "libeth"),
    "ixgbe": ("libie",),
    "mana": ("mana_ib",),
    "mlx4_core": ("mlx4_en", "mlx4_ib"),
    "mlx4_en": ("mlx4_core", "mlx4_ib"),
    "mlx5_core": ("mlx5_ib", "mlx5_vdpa"),
    "ngbe": ("libwx",),
    "qede": ("qed", "qedr"),
    "txgbe": ("libwx",),
}

#: Words of titles that are not the module's own name.
_TITLE_WORDS = {
    "amd-xgbe": ("amd_xgbe",),
    "bcmgenet": ("genet",),
    "benet": ("be2net",),
    "bnxt": ("bnxt_en",),
    "enetc": ("fsl_enetc",),
    "hclge": ("hns3",),
    "hclgevf": ("hns3",),
    "lio": ("liquidio",),
    "mlx4": ("mlx4_core", "mlx4_en", "mlx4_ib"),
    "mlx5": ("mlx5_core", "mlx5_ib"),
    "mlx5e": ("mlx5_core",),
    "mvpp2_main": ("mvpp2",),
    "netvsc": ("hv_netvsc",),
    "octeontx2-af": ("rvu_af",),
    "octeontx2-pf": ("rvu_nicpf", "rvu_nicvf"),
    "octeontx2-vf": ("rvu_nicvf",),
    "qed_sriov": ("qed",),
    "siena": ("sfc_siena",),
    "thunderx": ("nicvf",),
    "virtio-net": ("virtio_net",),
    "wangxun": ("libwx", "ngbe", "txgbe"),
    "xen-netfront": ("xen_netfront",),
}
_MODULES = frozenset(module for modules in _FILES.values() for module in modules)

_PREFIX = re.compile(r"[A-Za-z0-9_./, +-]{1,64}\Z")


def modules_of_files(files: t.Iterable[str]) -> tuple[str, ...]:
    """Modules that the files are built into, sorted; files of no NIC driver give none.

    >>> modules_of_files(["drivers/net/ethernet/intel/ice/ice_txrx.c", "include/net/pkt_cls.h"])
    ('ice',)
    """
    found: set[str] = set()
    for name in files:
        start = next((start for start in _LONGEST_FIRST if name.startswith(start)), None)
        found.update(_FILES[start] if start is not None else ())
    return tuple(sorted(found))


def modules_of_title(title: str) -> tuple[str, ...]:
    """Modules that the prefix of a commit's title names, sorted: every part before a colon counts.

    >>> modules_of_title("eth: bnxt: fix truesize"), modules_of_title("net/mlx5e: Fix crash")
    (('bnxt_en',), ('mlx5_core',))
    >>> modules_of_title("tcp: fix a race seen with ice")
    ()
    """
    found: set[str] = set()
    for prefix in re.split(r":(?=\s|[A-Za-z])", title[:256])[:-1]:
        if not _PREFIX.match(prefix.strip()):
            break
        for word in re.split(r"[/, +]+", prefix.strip().lower()):
            found.update(_TITLE_WORDS.get(word, (word,) if word in _MODULES else ()))
    return tuple(sorted(found))


def companions(driver: str) -> tuple[str, ...]:
    """Modules whose bugs a card of this driver can meet besides the driver's own, as `("bnxt_re",)` for bnxt_en."""
    return _COMPANIONS.get(driver, ())
