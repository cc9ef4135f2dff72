# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready manpage`: crashready(1), made from the parsers that `--help` shows."""

from __future__ import annotations

import argparse
import sys

from .exits import WELL

__all__ = ["add_arguments", "man_page", "run"]


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(_arguments: argparse.Namespace) -> int:
    """Print the man page."""
    sys.stdout.write(man_page())
    return WELL


def man_page() -> str:
    """crashready(1) as roff."""
    from argparse_manpage.manpage import Manpage

    from .cli import whole_parser
    from .version import version

    about = {
        "description": "makes Debian servers ready for their next kernel crash, and proves it",
        "project_name": "crashready",
        "version": version(),
        "manual_title": "Crashready",
        "manual_section": "1",
    }
    return str(Manpage(whole_parser(), about))
