# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready version`: what runs here, for a bug report."""

from __future__ import annotations

import argparse
import platform

from .exits import WELL
from .version import collection_root, version

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Print one `name version (place)` line each; raises ToolError when Ansible would use another version of ours."""
    del arguments
    print("crashready {0} ({1})".format(version(), collection_root()))
    print("python {0}".format(platform.python_version()))
    try:
        from ansible.release import __version__ as ansible_version
    except ImportError:
        print("ansible-core not installed")
        return WELL
    print("ansible-core {0}".format(ansible_version))
    from .collection import chosen_copy

    copy = chosen_copy()
    print("rackops.crashready {0} ({1})".format(copy.version, copy.path))
    return WELL
