# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The path rule, case by case. The traces are cut to what decides; real logs are in tests/corpus."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import oops
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops.tables import normalise

NAPI = "__napi_poll net_rx_action handle_softirqs irq_exit_rcu common_interrupt"
SOFTIRQ = "<IRQ> {0} " + NAPI + " </IRQ> <TASK> asm_common_interrupt @cpuidle_enter_state cpuidle_enter </TASK>"
TASK = "<TASK> {0} do_syscall_64 entry_SYSCALL_64_after_hwframe </TASK>"


def frame(word: str) -> str:
    name, colon, module = word.lstrip("?").partition(":")
    return "{0}{1}+0x12/0x340{2}".format(
        "? " if word.startswith("?") else "", name, " [" + module + "]" if colon else ""
    )


def log(place: str, words: str, modules: str = "") -> str:
    """An oops of x86_64: `?name` is a doubtful frame, `name:module` one of a module, `@name` registers."""
    rows = [
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "Oops: 0000 [#1] PREEMPT SMP NOPTI",
        "CPU: 3 PID: 0 Comm: swapper/3 Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2",
        "RIP: 0010:" + frame(place),
        "Call Trace:",
    ]
    for word in words.split():
        rows.append(
            word if word.startswith("<") else "RIP: 0010:" + frame(word[1:]) if word[0] == "@" else " " + frame(word)
        )
    return "\n".join([*rows, "Modules linked in: " + modules, "---[ end trace 0000000000000000 ]---"])


CASES: list[tuple[str, str, str, tuple[str | None, str | None, str | None]]] = [
    ("receive routine", "i40e_clean_rx_irq:i40e", SOFTIRQ.format("i40e_napi_poll:i40e"), ("nic_rx", "i40e", None)),
    (
        "helper called by it",
        "skb_panic",
        SOFTIRQ.format("skb_put ixgbe_clean_rx_irq:ixgbe ixgbe_poll:ixgbe"),
        ("nic_rx", "ixgbe", None),
    ),
    (
        "page allocator",
        "get_page_from_freelist",
        SOFTIRQ.format("__alloc_pages ice_alloc_rx_bufs:ice ice_clean_rx_irq:ice ice_napi_poll:ice"),
        ("nic_rx", "ice", None),
    ),
    (
        "page_pool",
        "page_pool_put_page",
        SOFTIRQ.format("mlx5e_free_rx_wqe:mlx5_core mlx5e_poll_rx_cq:mlx5_core mlx5e_napi_poll:mlx5_core"),
        ("nic_rx", "mlx5_core", None),
    ),
    ("GRO", "dev_gro_receive", SOFTIRQ.format("napi_gro_receive igc_poll:igc"), ("nic_rx", "igc", None)),
    (
        "GRO of a protocol",
        "tcp_gro_receive",
        SOFTIRQ.format("inet_gro_receive dev_gro_receive napi_gro_receive igc_poll:igc"),
        ("none", None, "nic_rx"),
    ),
    (
        "XDP program",
        "bpf_prog_6deef7357e7b4530_drop",
        SOFTIRQ.format("i40e_run_xdp:i40e i40e_clean_rx_irq:i40e i40e_napi_poll:i40e"),
        ("none", None, "nic_rx"),
    ),
    (
        "protocol above a poll",
        "tcp_v4_rcv",
        SOFTIRQ.format(
            "ip_local_deliver __netif_receive_skb_core netif_receive_skb i40e_clean_rx_irq:i40e i40e_napi_poll:i40e"
        ),
        ("none", None, "nic_rx"),
    ),
    (
        "helper called by a protocol",
        "skb_release_data",
        SOFTIRQ.format("consume_skb tcp_v4_rcv ip_rcv igb_poll:igb"),
        ("none", None, "nic_rx"),
    ),
    (
        "netfilter",
        "recent_mt:xt_recent",
        SOFTIRQ.format("nf_hook_slow ip_rcv netif_receive_skb vmxnet3_rq_rx_complete:vmxnet3"),
        ("none", None, "nic_rx"),
    ),
    (
        "transmit",
        "dma_map_page_attrs",
        TASK.format("igb_xmit_frame_ring:igb dev_hard_start_xmit tcp_sendmsg"),
        ("nic_tx", "igb", None),
    ),
    (
        "transmit completion",
        "dql_completed",
        SOFTIRQ.format("bnxt_tx_int:bnxt_en bnxt_poll:bnxt_en"),
        ("nic_tx", "bnxt_en", None),
    ),
    (
        "poll frees what was sent",
        "skb_release_data",
        SOFTIRQ.format("napi_consume_skb igb_poll:igb"),
        ("nic_tx", "igb", None),
    ),
    ("poll takes what came", "eth_type_trans", SOFTIRQ.format("mana_poll:mana"), ("nic_rx", "mana", None)),
    ("poll alone", "igb_poll:igb", SOFTIRQ.format(""), ("nic_rx", "igb", None)),
    (
        "ethtool",
        "bnxt_hwrm_set_coal:bnxt_en",
        TASK.format("ethnl_set_coalesce genl_rcv"),
        ("nic_other", "bnxt_en", None),
    ),
    (
        "receive mode is no receive",
        "igb_set_rx_mode:igb",
        TASK.format("__dev_set_rx_mode dev_open"),
        ("nic_other", "igb", None),
    ),
    (
        "refill while it is opened",
        "new_drv_alloc_rx_bufs:e1000",
        TASK.format("e1000_open:e1000 __dev_open"),
        ("nic_other", "e1000", None),
    ),
    ("doubtful frame alone", "tcp_ack", TASK.format("?i40e_clean_rx_irq:i40e tcp_sendmsg"), ("none", None, None)),
    (
        "doubtful frame between",
        "skb_put",
        SOFTIRQ.format("?i40e_clean_rx_irq:i40e tcp_v4_rcv igb_poll:igb"),
        ("none", None, "nic_rx"),
    ),
    (
        "driver was interrupted",
        "update_load_avg",
        "<IRQ> scheduler_tick hrtimer_interrupt asm_sysvec_apic_timer_interrupt </IRQ>"
        " <TASK> @i40e_clean_rx_irq:i40e i40e_napi_poll:i40e",
        ("none", None, None),
    ),
    (
        "module nobody listed",
        "newnic_foo:newnic",
        SOFTIRQ.format("newnic_clean_rx:newnic newnic_poll:newnic"),
        ("nic_other", "newnic", None),
    ),
    ("its receive routine", "newnic_clean_rx:newnic", SOFTIRQ.format("newnic_poll:newnic"), ("nic_rx", "newnic", None)),
    ("module without a poll", "foo_rx:foo", TASK.format("foo_ioctl:foo"), ("none", None, None)),
    ("virtual device with a poll", "wg_packet_rx_poll:wireguard", SOFTIRQ.format(""), ("none", None, None)),
    ("driver built in", "eth_type_trans", SOFTIRQ.format("stmmac_napi_poll_rx"), ("nic_rx", "stmmac", None)),
    (
        "null call from a driver",
        "skb_put",
        SOFTIRQ.format("gve_rx_poll_dqo:gve gve_napi_poll_dqo:gve"),
        ("nic_rx", "gve", None),
    ),
    (
        "threaded NAPI",
        "igb_clean_rx_irq:igb",
        TASK.format("igb_poll:igb __napi_poll napi_threaded_poll kthread ret_from_fork"),
        ("nic_rx", "igb", None),
    ),
    (
        "hns3 takes packets in clean_rx_ring",
        "hns3_clean_rx_ring:hns3",
        SOFTIRQ.format("hns3_nic_common_poll:hns3"),
        ("nic_rx", "hns3", None),
    ),
    (
        "ixgbe empties one there",
        "ixgbe_clean_rx_ring:ixgbe",
        TASK.format("ixgbe_down:ixgbe ixgbe_close:ixgbe"),
        ("nic_other", "ixgbe", None),
    ),
]


@pytest.mark.parametrize(("place", "words", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_path(tables: oops.Tables, place: str, words: str, expected: tuple[str | None, ...]) -> None:
    record = oops.read_log(log(place, words, "i40e igb ixgbe e1000e"), tables)
    assert (record.path, record.driver, record.context_path) == expected
    assert (record.function, record.module) == (normalise(place.partition(":")[0]), place.partition(":")[2] or None)


WORKER = "<TASK> {0} process_one_work worker_thread kthread ret_from_fork </TASK>"

#: What a second reviewer found wrong against the sources of Linux 6.1 and 6.12.
REVIEWED: list[tuple[str, str, str, tuple[str | None, str | None, str | None]]] = [
    (
        "a driver's small routine works for its caller",
        "ixgbe_fcoe_ddp:ixgbe",
        SOFTIRQ.format("ixgbe_clean_rx_irq:ixgbe ixgbe_poll:ixgbe"),
        ("nic_rx", "ixgbe", None),
    ),
    (
        "and one that a rule takes for a setting",
        "ixgbe_update_rsc_stats:ixgbe",
        SOFTIRQ.format("ixgbe_clean_rx_irq:ixgbe ixgbe_poll:ixgbe"),
        ("nic_rx", "ixgbe", None),
    ),
    (
        "or for a stop",
        "igb_maybe_stop_tx:igb",
        TASK.format("igb_xmit_frame_ring:igb dev_hard_start_xmit tcp_sendmsg"),
        ("nic_tx", "igb", None),
    ),
    (
        "helpers of the core between them",
        "gve_new_helper:gve",
        SOFTIRQ.format("dma_map_page_attrs gve_rx_dqo:gve gve_rx_poll_dqo:gve gve_napi_poll_dqo:gve"),
        ("nic_rx", "gve", None),
    ),
    (
        "a poll alone tells no direction",
        "igb_new_helper:igb",
        SOFTIRQ.format("igb_poll:igb"),
        ("nic_other", "igb", None),
    ),
    (
        "what the table calls other stays so",
        "bnxt_async_event_process:bnxt_en",
        SOFTIRQ.format("bnxt_rx_pkt:bnxt_en bnxt_poll:bnxt_en"),
        ("nic_other", "bnxt_en", None),
    ),
    (
        "ring filled when it is opened",
        "ixgbe_alloc_rx_buffers:ixgbe",
        TASK.format("ixgbe_configure:ixgbe ixgbe_open:ixgbe __dev_open"),
        ("nic_other", "ixgbe", None),
    ),
    (
        "helper of it when it is opened",
        "ixgbe_new_helper:ixgbe",
        TASK.format("ixgbe_alloc_rx_buffers:ixgbe ixgbe_configure:ixgbe ixgbe_open:ixgbe __dev_open"),
        ("nic_other", "ixgbe", None),
    ),
    (
        "helper that hands packets to the core",
        "tcp_v4_rcv",
        SOFTIRQ.format("ip_rcv netif_receive_skb ice_new_helper:ice ice_clean_rx_irq:ice ice_napi_poll:ice"),
        ("none", None, "nic_rx"),
    ),
    (
        "ring filled by a worker",
        "skb_page_frag_refill",
        WORKER.format("try_fill_recv:virtio_net refill_work:virtio_net"),
        ("nic_other", "virtio_net", None),
    ),
    (
        "interrupt that runs as a thread",
        "iwl_pcie_rx_handle:iwlwifi",
        TASK.format("iwl_pcie_irq_rx_msix_handler:iwlwifi irq_thread_fn irq_thread kthread"),
        ("nic_rx", "iwlwifi", None),
    ),
    (
        "completions of RDMA are no packets",
        "mlx5_ib_poll_cq:mlx5_ib",
        "<IRQ> __ib_process_cq:ib_core ib_poll_handler:ib_core irq_poll_softirq handle_softirqs </IRQ>",
        ("nic_other", "mlx5_core", None),
    ),
    (
        "poll of a transmit queue",
        "napi_consume_skb",
        SOFTIRQ.format("ena_xdp_io_poll:ena"),
        ("nic_tx", "ena", None),
    ),
    ("another one", "enic_poll_msix_wq:enic", SOFTIRQ.format(""), ("nic_tx", "enic", None)),
    (
        "sent packets freed when the queue is closed",
        "mlx5e_free_txqsq_descs:mlx5_core",
        TASK.format("mlx5e_close_txqsq:mlx5_core mlx5e_close:mlx5_core __dev_close_many"),
        ("nic_other", "mlx5_core", None),
    ),
    (
        "what it does about a timeout is no transmit",
        "igb_tx_timeout:igb",
        "<IRQ> dev_watchdog call_timer_fn run_timer_softirq handle_softirqs </IRQ>",
        ("nic_other", "igb", None),
    ),
    (
        "routine of both rings",
        "napi_consume_skb",
        SOFTIRQ.format("nicvf_cq_intr_handler:nicvf nicvf_poll:nicvf"),
        ("nic_tx", "nicvf", None),
    ),
    (
        "redirected packets are flushed",
        "bq_xmit_all",
        SOFTIRQ.format("__dev_flush xdp_do_flush i40e_finalize_xdp_rx:i40e i40e_clean_rx_irq:i40e i40e_napi_poll:i40e"),
        ("nic_rx", "i40e", None),
    ),
    (
        "page that is not clean",
        "check_new_pages",
        SOFTIRQ.format("rmqueue_bulk get_page_from_freelist iavf_alloc_rx_buffers:iavf iavf_napi_poll:iavf"),
        ("nic_rx", "iavf", None),
    ),
]


@pytest.mark.parametrize(
    ("place", "words", "expected"), [case[1:] for case in REVIEWED], ids=[case[0] for case in REVIEWED]
)
def test_reviewed_path(tables: oops.Tables, place: str, words: str, expected: tuple[str | None, ...]) -> None:
    record = oops.read_log(log(place, words, "i40e igb ixgbe e1000e"), tables)
    assert (record.path, record.driver, record.context_path) == expected


@pytest.mark.parametrize(
    ("place", "words", "modules", "expected"),
    [
        # drivers/tty/tty_buffer.c has a receive_buf of its own, and is in every kernel; so is cp_new_stat of fs/stat.c
        ("receive_buf", WORKER.format("flush_to_ldisc"), "", ("none", None)),
        ("receive_buf", WORKER.format("flush_to_ldisc"), "virtio_net", ("none", None)),
        ("cp_new_stat", TASK.format("__do_sys_newfstatat"), "", ("none", None)),
        ("__nv_msi_ht_cap_quirk", TASK.format("pci_do_fixups pci_fixup_device"), "", ("none", None)),
        ("mtk_pll_set_rate_regs", TASK.format("clk_change_rate clk_set_rate"), "", ("none", None)),
        ("octeon_i2c_hlc_read", TASK.format("really_probe"), "", ("none", None)),
        ("page_to_skb", SOFTIRQ.format("receive_buf virtnet_poll"), "", ("nic_rx", "virtio_net")),
        ("e1000_clean_rx_irq", SOFTIRQ.format("e1000_clean"), "", ("nic_rx", "e1000")),
        ("e1000_clean_rx_irq", SOFTIRQ.format("e1000e_poll"), "", ("nic_rx", "e1000e")),
        ("e1000_put_txbuf", SOFTIRQ.format("e1000_clean_tx_irq e1000e_poll"), "", ("nic_tx", "e1000e")),
        ("process_responses", SOFTIRQ.format("napi_rx_handler"), "", ("none", None)),
        ("gem_rx", SOFTIRQ.format("gem_poll"), "", ("none", None)),
        ("gem_rx", SOFTIRQ.format("macb_poll"), "", ("nic_rx", "macb")),
    ],
)
def test_built_in(tables: oops.Tables, place: str, words: str, modules: str, expected: tuple[str | None, ...]) -> None:
    """A name that other code of the kernel has too is a driver's only beside one of its own."""
    record = oops.read_log(log(place, words, modules), tables)
    assert (record.path, record.driver) == expected


def test_names_that_two_drivers_share_lower_the_confidence(tables: oops.Tables) -> None:
    alone = oops.read_log(log("e1000_clean_rx_irq", SOFTIRQ.format("")), tables)
    told = oops.read_log(log("e1000_clean_rx_irq", SOFTIRQ.format("e1000e_poll")), tables)
    assert (alone.confidence, told.confidence) == ("medium", "high")


@pytest.mark.parametrize(
    ("place", "words", "confidence"),
    [
        ("i40e_clean_rx_irq:i40e", SOFTIRQ.format("i40e_napi_poll:i40e"), "high"),
        ("igb_poll:igb", SOFTIRQ.format(""), "medium"),
        ("newnic_clean_rx:newnic", SOFTIRQ.format("newnic_poll:newnic"), "medium"),
        ("tcp_ack", TASK.format("tcp_sendmsg"), "high"),
    ],
)
def test_confidence(tables: oops.Tables, place: str, words: str, confidence: str) -> None:
    record = oops.read_log(log(place, words), tables)
    assert record.confidence == confidence
    assert record.frames_used


@pytest.mark.parametrize(
    ("words", "context"),
    [
        (SOFTIRQ.format("igb_poll:igb"), "softirq"),
        (TASK.format("ksys_write"), "task"),
        ("<IRQ> igb_msix_ring:igb __handle_irq_event_percpu handle_edge_irq </IRQ>", "hardirq"),
        ("<NMI> nmi_handle default_do_nmi </NMI> <TASK> @x do_syscall_64", "nmi"),
        ("<SOFTIRQ> tcp_tasklet_func </SOFTIRQ>", "softirq"),
        ("run_ksoftirqd smpboot_thread_fn kthread ret_from_fork", "softirq"),
        ("tcp_sendmsg", None),
    ],
)
def test_context(tables: oops.Tables, words: str, context: str | None) -> None:
    assert oops.read_log(log("some_function", words), tables).context == context


@pytest.mark.parametrize(
    ("modules", "driver", "confidence"),
    [("ngbe libwx", "ngbe", "high"), ("txgbe libwx", "txgbe", "high"), ("libwx", "ngbe", "medium")],
)
def test_a_library_is_of_the_driver_that_is_loaded(
    tables: oops.Tables, modules: str, driver: str, confidence: str
) -> None:
    record = oops.read_log(log("wx_clean_rx_irq:libwx", SOFTIRQ.format("wx_poll:libwx"), modules), tables)
    assert (record.path, record.driver, record.confidence) == ("nic_rx", driver, confidence)


@pytest.mark.parametrize(
    ("lines", "driver"),
    [
        ("NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out", "ixgbe"),
        ("NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out 5000 ms", "ixgbe"),
        ("ixgbe 0000:01:00.0 eth0: NETDEV WATCHDOG: CPU: 7: transmit queue 3 timed out 5010 ms", "ixgbe"),
        ("NETDEV WATCHDOG: veth0 (): transmit queue 0 timed out", None),
    ],
)
def test_watchdog(tables: oops.Tables, lines: str, driver: str | None) -> None:
    record = oops.read_log(lines, tables)
    assert (record.kind, record.path, record.driver) == ("netdev_watchdog", "nic_tx", driver)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.pop("core"), "core.json"),
        (lambda d: d["core"]["roles"].pop("softirq"), "softirq"),
        (lambda d: d["drivers"]["drivers"].update(x={"modules": "y"}), "drivers.json: x: modules"),
        (lambda d: d["drivers"]["drivers"].update(x={"receiver": []}), "unknown key receiver"),
        (lambda d: d["drivers"]["drivers"].update(x={"modules": ["i40e"]}), "module i40e belongs to"),
        (lambda d: d["drivers"]["drivers"].update(x={"rx": ["a"], "tx": ["a"]}), "a is listed twice"),
        (lambda d: d["rules"]["rules"].append({"id": "x", "way": "up"}), "rule x"),
        (lambda d: d["rules"].update(rules={}), "rules"),
    ],
)
def test_spoilt_tables_name_the_place(
    documents: dict[str, t.Any], spoil: t.Callable[[dict[str, t.Any]], t.Any], said: str
) -> None:
    import copy

    spoilt = copy.deepcopy(documents)
    spoil(spoilt)
    with pytest.raises(ParseError, match=said):
        oops.tables_from(spoilt)


def test_a_star_stands_only_at_the_end(documents: dict[str, t.Any]) -> None:
    """Anywhere else it would match nothing."""
    names = [name for listed in documents["core"]["roles"].values() for name in listed]
    assert [name for name in names if "*" in name[:-1]] == []


def test_tables_do_not_contradict(documents: dict[str, t.Any], tables: oops.Tables) -> None:
    """No module is a NIC driver's and not; no core function is a helper and an entry."""
    modules = {module for driver in tables.drivers.values() for module in driver.modules}
    assert not modules & tables.foreign
    roles = documents["core"]["roles"]
    helpers = {name for role in ("helpers_rx", "helpers_tx", "helpers_any") for name in roles[role]}
    assert not helpers & {name for role in ("softirq", "hardirq", "entries", "task") for name in roles[role]}
