# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready harden`: the playbook rackops.crashready.harden_crash with consent spelled out; see `rack_run`."""

from __future__ import annotations

import argparse

from . import collection
from .rack_run import RackPlaybook, add_run_arguments, run_rack

__all__ = ["HARDEN", "add_arguments", "run"]

HARDEN = RackPlaybook("harden", collection.NAME + ".harden_crash")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are ours; what follows `--` goes to ansible-playbook as it is."""
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the playbook, show where every host stands. Raises ToolError before anything was done."""
    return run_rack(HARDEN, arguments)
