# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Signatures stay over rebuilds and hosts, and differ between bugs."""

from __future__ import annotations

import random
import re

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import oops
from hypothesis import given
from hypothesis import strategies as st

LOG = """\
[  912.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008
[  912.000003] Oops: 0000 [#1] PREEMPT SMP NOPTI
[  912.000003] CPU: 3 PID: 0 Comm: swapper/3 Tainted: G        W          6.1.0-56-amd64 #1  Debian 6.1.192-2
[  912.000004] RIP: 0010:i40e_clean_rx_irq+0x2f1/0xa10 [i40e]
[  912.000005] Call Trace:
[  912.000005]  <IRQ>
[  912.000005]  i40e_napi_poll+0x12/0x500 [i40e]
[  912.000005]  ? doubtful+0x1/0x2
[  912.000005]  __napi_poll+0x28/0x160
[  912.000005]  net_rx_action+0x29e/0x350
[  912.000005]  __do_softirq+0xc3/0x2ab
[  912.000005]  </IRQ>
[  912.000005]  <TASK>
[  912.000005]  asm_common_interrupt+0x22/0x40
[  912.000005] RIP: 0010:cpuidle_enter_state+0xde/0x420
[  912.000005]  cpuidle_enter+0x29/0x40
[  912.000005]  </TASK>
[  912.000005] Modules linked in: i40e
[  912.000005] ---[ end trace 0000000000000000 ]---
"""


def signature(text: str, tables: oops.Tables) -> tuple[str | None, str | None]:
    found = oops.read_log(text, tables).signature
    return found["exact"], found["similar"]


def test_form(tables: oops.Tables) -> None:
    record = oops.read_log(LOG, tables)
    assert record.signature["text"] == "null_deref < i40e!i40e_clean_rx_irq < i40e!i40e_napi_poll"
    assert record.signature["similar_text"] == "access < i40e < i40e!i40e_clean_rx_irq"
    assert re.fullmatch(r"cr1:x:[0-9a-f]{16}", record.signature["exact"] or "")
    assert re.fullmatch(r"cr1:s:[0-9a-f]{16}", record.signature["similar"] or "")


@given(st.integers(0, 2**32))
def test_a_rebuild_changes_nothing(tables: oops.Tables, seed: int) -> None:
    chance = random.Random(seed)
    text = re.sub(r"0x[0-9a-f]+/0x", lambda _m: "0x{0:x}/0x".format(chance.randrange(1, 4096)), LOG)
    text = text.replace(
        "i40e_clean_rx_irq",
        "i40e_clean_rx_irq" + chance.choice(["", ".isra.0", ".constprop.0.isra.12", ".cold", ".part.0"]),
    )
    text = text.replace("__do_softirq", chance.choice(["__do_softirq", "handle_softirqs"])).replace(
        "[  912.", "[ {0}.".format(chance.randrange(9999))
    )
    text = text.replace("swapper/3", "ksoftirqd/9").replace("CPU: 3", "CPU: 41").replace("6.1.0-56", "6.1.0-57")
    assert signature(text, tables) == signature(LOG, tables)


def test_what_was_interrupted_does_not_matter(tables: oops.Tables) -> None:
    other = LOG.replace("cpuidle_enter_state", "tcp_sendmsg").replace("cpuidle_enter+", "do_syscall_64+")
    assert signature(other, tables) == signature(LOG, tables)


@pytest.mark.parametrize(
    ("old", "new", "same_similar"),
    [
        ("i40e_clean_rx_irq", "i40e_clean_tx_irq", False),
        ("kernel NULL pointer dereference", "unable to handle page fault", True),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000008", "divide error: 0000 [#1] SMP", False),
    ],
)
def test_other_bugs_differ(tables: oops.Tables, old: str, new: str, same_similar: bool) -> None:
    exact, similar = signature(LOG.replace(old, new), tables)
    assert exact != signature(LOG, tables)[0]
    assert (similar == signature(LOG, tables)[1]) is same_similar


def test_inlining_keeps_the_similar_one(tables: oops.Tables) -> None:
    """The poll routine was inlined into its caller, or a helper out of line."""
    text = LOG.replace("[  912.000005]  i40e_napi_poll+0x12/0x500 [i40e]\n", "")
    assert signature(text, tables)[1] == signature(LOG, tables)[1]
    text = LOG.replace(
        "RIP: 0010:i40e_clean", "RIP: 0010:skb_put+0x1/0x2\n[ 912.000005] Call Trace:\n[ 912.000005]  i40e_clean", 1
    )
    assert signature(text, tables)[1] == signature(LOG, tables)[1]


def test_watchdogs_of_two_drivers_differ(tables: oops.Tables) -> None:
    line = "NETDEV WATCHDOG: eth{0} ({1}): transmit queue {0} timed out"
    assert signature(line.format(0, "ixgbe"), tables) == signature(line.format(3, "ixgbe"), tables)
    assert signature(line.format(0, "ixgbe"), tables) != signature(line.format(0, "i40e"), tables)


def test_a_panic_without_frames_is_known_by_its_words(tables: oops.Tables) -> None:
    line = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block({0},0)"
    assert signature(line.format(0), tables) == signature(line.format(8), tables)
    assert signature(line.format(0), tables) != signature("Kernel panic - not syncing: No working init found.", tables)
