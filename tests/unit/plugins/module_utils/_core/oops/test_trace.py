# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Frames, registers and stacks."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import trace


@pytest.mark.parametrize(
    ("text", "function", "module", "reliable"),
    [
        ("i40e_clean_rx_irq+0x2f1/0xa10 [i40e]", "i40e_clean_rx_irq", "i40e", True),
        ("? i40e_clean_rx_irq+0x2f1/0xa10 [i40e]", "i40e_clean_rx_irq", "i40e", False),
        ("net_rx_action+0x1/0x2", "net_rx_action", None, True),
        ("skb_put.cold+0x0/0x12", "skb_put.cold", None, True),
        (
            "dpaa2_eth_free_tx_fd.isra.0+0xd4/0x3a0 [fsl_dpaa2_eth]",
            "dpaa2_eth_free_tx_fd.isra.0",
            "fsl_dpaa2_eth",
            True,
        ),
        ("[<ffffffffc0123456>] ixgbe_poll+0x10e/0x2a0 [ixgbe]", "ixgbe_poll", "ixgbe", True),
        ("[<ffffffff81067767>] ? warn_slowpath_common+0x77/0x90", "warn_slowpath_common", None, False),
        ("show_stack+0x18/0x24 (C)", "show_stack", None, True),
        (
            "xennet_poll+0x909/0xa40 [xen_netfront 12c02fdcf84c692965d9cd6ca5a6ff0a530b4ce9]",
            "xennet_poll",
            "xen_netfront",
            True,
        ),
        ("__napi_poll+0xb7/0x6a0 net/core/dev.c:6501", "__napi_poll", None, True),
        (
            "i40e_clean_rx_irq (drivers/net/ethernet/intel/i40e/i40e_txrx.c:2361) i40e",
            "i40e_clean_rx_irq",
            "i40e",
            True,
        ),
        ("napi_poll net/core/dev.c:6568 [inline]", "napi_poll", None, True),
    ],
)
def test_frames(text: str, function: str, module: str | None, reliable: bool) -> None:
    found = trace.parse_frame(text)
    assert found is not None
    assert (found[0].function, found[0].module, found[1]) == (function, module, reliable)


@pytest.mark.parametrize(
    "text", ["", "R13: 0000000000000001", "Modules linked in: i40e", "0xffffffffc0123456", "a+0x1", "x" * 5000]
)
def test_other_lines_are_no_frames(text: str) -> None:
    assert trace.parse_frame(text) is None


@pytest.mark.parametrize(
    ("text", "function", "user"),
    [
        ("RIP: 0010:i40e_clean_rx_irq+0x2f1/0xa10 [i40e]", "i40e_clean_rx_irq", False),
        ("RIP: 0033:0x7f8a12345678", None, True),
        ("RIP: 0010:0x0", None, False),
        (
            "RIP: 0010:[<ffffffffa009e8fa>]  [<ffffffffa009e8fa>] netflow_target+0x8aa/0x1210 [ipt_NETFLOW]",
            "netflow_target",
            False,
        ),
        ("RIP: i40e_netmap_rxsync+0xcd/0x2a0 [i40e] RSP: ffff9defa401f9c8", "i40e_netmap_rxsync", False),
        ("pc : hclge_ptp_get_rx_hwts+0x40/0x170 [hclge]", "hclge_ptp_get_rx_hwts", False),
        ("pc : 0x0", None, False),
    ],
)
def test_registers(text: str, function: str | None, user: bool) -> None:
    found = trace.parse_registers(text)
    assert found is not None
    assert (found.frame.function if found.frame else None, found.user) == (function, user)


def test_stacks_and_what_was_interrupted() -> None:
    (found,) = trace.parse_traces(
        """\
Call Trace:
 <IRQ>
 ? doubted+0x1/0x2
 net_rx_action+0x1/0x2
 </IRQ>
 <TASK>
 asm_common_interrupt+0x1/0x2
RIP: 0010:cpuidle_enter_state+0x1/0x2
Code: 00 00
RSP: 0018:ffffa9bec02a8d50 EFLAGS: 00010287
 cpuidle_enter+0x1/0x2
 </TASK>
Modules linked in: x
 later+0x1/0x2
""".splitlines()
    )
    assert [(frame.function, frame.stack) for frame in found.frames] == [
        ("net_rx_action", "IRQ"),
        ("asm_common_interrupt", "TASK"),
        ("cpuidle_enter", "TASK"),
    ]
    assert (found.doubted, found.ended) == (1, True)
    assert [piece.registers.frame.function for piece in found.pieces if piece.registers and piece.registers.frame] == [
        "cpuidle_enter_state"
    ]


def test_inlined_frames_share_the_reliability_of_their_holder() -> None:
    (found,) = trace.parse_traces(
        ["Call Trace:", " a net/a.c:1 [inline]", " ? b+0x1/0x2 net/b.c:2", " c net/c.c:3 [inline]", " d+0x1/0x2"]
    )
    assert [(frame.function, frame.inlined) for frame in found.frames] == [("c", True), ("d", False)]


def test_a_trace_is_bounded() -> None:
    (found,) = trace.parse_traces(["Call Trace:", *[" f{0}+0x1/0x2".format(n) for n in range(5000)]])
    assert len(found.frames) == trace.FRAMES_KEPT
    assert len(trace.parse_traces(["Call Trace:"] * 1000)) <= 6
