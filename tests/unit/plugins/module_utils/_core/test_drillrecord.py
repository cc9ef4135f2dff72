# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a drill leaves is read back as it was written, or refused; and a proof lapses by itself."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillrecord as records
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.tests.unit import seen
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
BOOT = "00000000-0000-4000-8000-000000000001"
IDENTITY = records.Identity("6.1.0-56-amd64", "6.1.192-2", "a" * 64, 256 * MIB, "b" * 64)
BEFORE = records.Before("0123456789abcdef", "nmi", BOOT, 1.5, "c" * 40, "/var/crash", ("202611231305",), IDENTITY, "0")
PROOF = records.Proof(
    "0123456789abcdef", 1795439109.0, "sysrq", True, (), IDENTITY, "/var/crash/1/dump.1", 34 * MIB, 21, 90 * MIB, 0
)
CAPTURE = (
    '{"schema": 1, "drill_id": "0123456789abcdef", "seconds": 21, "total_bytes": 5, '
    '"lowest_available_bytes": 4, "lowest_at_s": 3, "oom_kills": 0}\n'
)


def test_id_and_marker() -> None:
    assert records.new_id(bytes(range(8))) == "0001020304050607"
    assert records.marker("0001020304050607") == "crashready-drill-0001020304050607"
    with pytest.raises(ParseError):
        records.new_id(b"x")


@pytest.mark.parametrize(
    "proof", [PROOF, PROOF._replace(proven=False, reasons=("no dump",), dump_path=None, dump_bytes=None, seconds=None)]
)
def test_proof_is_read_back(proof: records.Proof) -> None:
    text = records.render(proof)
    assert records.parse_proof(text) == proof
    kept = json.loads(text)
    assert kept["kernel"] == {"release": "6.1.0-56-amd64", "package_version": "6.1.192-2"}
    assert (kept["dump"] is None) == (proof.dump_path is None)


def test_before_is_read_back() -> None:
    assert records.parse_before(records.render(BEFORE)) == BEFORE


def test_capture_record() -> None:
    assert records.parse_capture(CAPTURE) == records.CaptureRecord("0123456789abcdef", 21, 5, 4, 3, 0)


@pytest.mark.parametrize("parse", [records.parse_proof, records.parse_before, records.parse_capture])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 2}', '{"schema": 1}', "[" * 5000, "\0"])
def test_what_is_no_record(parse: t.Callable[[str], t.Any], text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.integers(), max_size=2))


@given(st.data(), st.sampled_from([records.render(PROOF), records.render(BEFORE), CAPTURE]), ODD)
def test_one_odd_value_is_read_or_refused(data: st.DataObject, text: str, odd: t.Any) -> None:
    """Never another error, and a proof with a reason against it is never proven."""
    found = json.loads(text)
    key = data.draw(st.sampled_from(sorted(found)))
    found[key] = odd
    for parse in (records.parse_proof, records.parse_before, records.parse_capture):
        try:
            record = parse(json.dumps(found))
        except ParseError:
            continue
        assert not (isinstance(record, records.Proof) and record.proven and record.reasons)


# --- what a proof holds for -------------------------------------------------------------------------------------------

KERNEL = {"release": seen.RELEASE, "package_version": "6.12.95-1"}


def armed() -> dict[str, t.Any]:
    there = seen.armed()
    there["initrds"][seen.RELEASE]["bytes"] = 8 * MIB
    return there


def standing(kernel: dict[str, t.Any], there: dict[str, t.Any]) -> records.Standing:
    proof = PROOF._replace(identity=records.identity_of(KERNEL, armed()))
    return records.proven_now(records.identity_of(kernel, there), proof)


def test_proven_as_long_as_nothing_changes() -> None:
    assert standing(KERNEL, armed()) == records.Standing(True, "")


def change(path: str, value: t.Any) -> t.Callable[[dict[str, t.Any], dict[str, t.Any]], None]:
    def apply(kernel: dict[str, t.Any], there: dict[str, t.Any]) -> None:
        first, *rest = path.split("/")
        place: t.Any = {"kernel": kernel, "seen": there}[first]
        for key in rest[:-1]:
            place = place[key]
        place[rest[-1]] = value

    return apply


LINE = seen.FRESH["cmdline"]["text"]


@pytest.mark.parametrize(
    ("changed", "proven", "told"),
    [
        (change("kernel/release", "7.3.4"), False, "the kernel (6.12.95+deb13-amd64, now 7.3.4)"),
        (change("kernel/package_version", "6.12.96-1"), False, "the kernel's package (6.12.95-1, now 6.12.96-1)"),
        (change("seen/cmdline/text", LINE + " mitigations=off"), False, "the kernel command line changed"),
        (change("seen/cmdline/text", LINE.replace("/boot/vmlinuz", "/vmlinuz")), True, ""),
        (change("seen/reserved_bytes", 192 * MIB), False, "the reservation (256 MiB, now 192 MiB)"),
        (change("seen/config/MAKEDUMP_ARGS", "-F -c -d 17"), False, "the capture settings"),
        (change("seen/packages/makedumpfile", "1:1.7.8-1"), False, "the capture settings, their packages"),
        (change("seen/packages/crash", "9"), True, ""),
        (change("seen/initrds/" + seen.RELEASE + "/bytes", 9 * MIB), False, "the capture initrd changed"),
        (change("kernel/release", None), None, "not seen, so that the proof cannot be compared: the kernel"),
        (change("seen/reserved_bytes", None), None, "the reservation"),
        (change("seen/config", {}), None, "the capture settings"),
    ],
)
def test_lapses_by_itself(changed: t.Callable[..., None], proven: bool | None, told: str) -> None:
    kernel, there = copy.deepcopy(KERNEL), armed()
    changed(kernel, there)
    found = standing(kernel, there)
    assert found.proven is proven
    assert told in found.reason


def test_no_drill_and_a_bad_one() -> None:
    now = records.identity_of(KERNEL, armed())
    assert records.proven_now(now, None) == records.Standing(None, "no drill is recorded on this host")
    bad = PROOF._replace(identity=now, proven=False, reasons=("0 bytes (G1)",))
    assert records.proven_now(now, bad) == records.Standing(False, "the last drill was not proven: 0 bytes (G1)")


def test_a_kernel_of_no_package_can_be_proven() -> None:
    kernel = {"release": seen.RELEASE, "package_version": None}
    now = records.identity_of(kernel, armed())
    assert records.proven_now(now, PROOF._replace(identity=now)).proven is True
