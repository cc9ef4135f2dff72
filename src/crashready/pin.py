# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pin`: the playbook rackops.crashready.pin, which brings another kernel and tries it; see `rack_run`."""

from __future__ import annotations

import argparse
import typing as t

from . import collection
from .rack_run import RackPlaybook, add_run_arguments, host_names, run_rack

__all__ = ["PIN", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which kernel, and the options of every playbook; what follows `--` goes to ansible-playbook as it is."""
    parser.add_argument(
        "--state",
        choices=("present", "absent"),
        help="absent gives the choice of the kernel back to you and removes no kernel (default: present)",
    )
    parser.add_argument("--package", metavar="NAME", help="metapackage of the kernel (default: linux-image-amd64)")
    parser.add_argument("--kernel", metavar="VERSION", help="version of it (default: the newest one of the suite)")
    parser.add_argument(
        "--suite", metavar="NAME", help="where it comes from (default: backports of the host's release)"
    )
    parser.add_argument(
        "--yes-hang",
        metavar="HOST[,HOST]|all",
        action="append",
        default=[],
        type=host_names,
        help="hosts without a hardware watchdog that may be tried: a hard hang there is ended by a hand alone",
    )
    add_run_arguments(parser)


def _variables(arguments: argparse.Namespace) -> dict[str, t.Any]:
    told = {
        "state": arguments.state,
        "package": arguments.package,
        "version": arguments.kernel,
        "suite": arguments.suite,
    }
    return {"backports_kernel_" + name: value for name, value in told.items() if value is not None}


def _consents(arguments: argparse.Namespace) -> dict[str, t.Any]:
    return {"crashready_yes_hang": [host for given in arguments.yes_hang for host in given]}


PIN = RackPlaybook("pin", collection.NAME + ".pin", _variables, _consents)


def run(arguments: argparse.Namespace) -> int:
    """Run the playbook, show where every host stands. Raises ToolError before anything was done."""
    return run_rack(PIN, arguments)
