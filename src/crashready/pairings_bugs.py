# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings bugs`: known CVEs of a NIC driver in a kernel, and what another kernel changes."""

from __future__ import annotations

import argparse
import json
import typing as t

from ._core import cve_index
from ._core.errors import CoreError
from ._core.kernel_range import candidate_kernel
from ._core.nic_modules import companions
from .exits import UNKNOWN, WELL, ToolError

__all__ = ["add_bugs_parser"]

_Load = t.Callable[[], cve_index.CveIndex]


def add_bugs_parser(subparsers: t.Any, load: _Load) -> None:
    """Put `bugs` among the subcommands of `crashready pairings`; `load` reads the index when it is needed."""
    about = "known CVEs of a NIC driver in a kernel, and which of them another kernel fixes or brings"
    parser = subparsers.add_parser("bugs", help=about, description=about)
    parser.add_argument("driver", metavar="DRIVER", help="as ethtool -i shows it")
    parser.add_argument("kernel", metavar="KERNEL", help="6.12.95, or a package version such as 6.1.170-3")
    parser.add_argument("--to", metavar="KERNEL", help="compare with this kernel")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(action=lambda arguments: _bugs(arguments, load()))


def _upstream(text: str) -> str:
    """The upstream version of a kernel or of a package's version. Raises ToolError."""
    kernel = candidate_kernel(text)
    if kernel.upstream is None:
        raise ToolError("{0!r} is no kernel version: expected one such as 6.12.95 or 6.1.170-3".format(text[:80]))
    return ".".join(str(part) for part in kernel.upstream)


def _bugs(arguments: argparse.Namespace, index: cve_index.CveIndex) -> int:
    kernel = _upstream(arguments.kernel)
    drivers = (arguments.driver, *companions(arguments.driver))
    found: dict[str, t.Any] = {"schema": 1, "drivers": list(drivers), "kernel": kernel, "data": index.date}
    try:
        carried = [cve_index.bugs_in(index, driver, kernel) for driver in drivers]
        found.update({name: _merged(carried, name) for name in ("carries", "undecided")})
        found["driver_known"] = any(each["driver_known"] for each in carried)
        if arguments.to:
            found["to"] = _upstream(arguments.to)
            found["change"] = cve_index.compare(index, drivers, kernel, found["to"])
    except CoreError as exc:
        raise ToolError(str(exc)) from exc
    print(json.dumps(found, indent=2, sort_keys=True) if arguments.json else _shown(found))
    return WELL if found["driver_known"] else UNKNOWN


def _merged(carried: list[dict[str, t.Any]], name: str) -> list[dict[str, t.Any]]:
    rows = {row["cve"]: row for each in carried for row in each[name]}
    return list(rows.values())


def _shown(found: dict[str, t.Any]) -> str:
    if not found["driver_known"]:
        return "no record names the driver {0}: nothing can be said (data of {data})".format(
            found["drivers"][0], **found
        )
    lines = [
        "{0} in {kernel}: {1} known CVEs, {2} undecided (data of {data})".format(
            ", ".join(found["drivers"]), len(found["carries"]), len(found["undecided"]), **found
        )
    ]
    lines += [_row(row) for row in found["carries"]]
    for kind in ("fixes", "brings", "undecided") if "change" in found else ():
        rows = found["change"][kind]
        lines.append("{0} {1}: {2}".format(found["to"], kind, len(rows)))
        lines += [_row(row) for row in rows]
    return "\n".join(lines)


def _row(row: dict[str, t.Any]) -> str:
    return "  {0:<16} {1:<10} {2}".format(row["cve"], row["class"], ", ".join(row["drivers"]))
