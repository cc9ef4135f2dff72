# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The options of commands that ask hosts of an inventory. Standard library of Python 3.9 alone, as `facts` needs it."""

from __future__ import annotations

import argparse
import sys
import typing as t

__all__ = ["add_rack_arguments", "asked_of", "limits_of"]


def _at_least(low: int) -> t.Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError("{0} is less than {1}".format(value, low))
        return value

    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError("{0} is not between 0 and 86400 seconds".format(text))
    return value


def add_rack_arguments(parser: argparse.ArgumentParser) -> None:
    """Inventory, pattern, sudo, vault, and how many hosts at a time for how long."""
    rack = parser.add_argument_group("hosts of an inventory (without -i: this machine)")
    rack.add_argument("-i", "--inventory", action="append", help="an Ansible inventory (can be repeated)")
    rack.add_argument("--local", action="store_true", help="this machine, whatever the configuration file says of -i")
    rack.add_argument("-l", "--limit", metavar="HOSTS", help="only these hosts (an Ansible pattern)")
    rack.add_argument("-b", "--become", action="store_true", help="as root, by the inventory's way (default: sudo)")
    rack.add_argument("-K", "--ask-become-pass", action="store_true", help="ask for sudo's password")
    rack.add_argument("-e", "--extra-vars", metavar="VARS", action="append", default=[], help="as for Ansible")
    rack.add_argument("--vault-id", metavar="ID", action="append", default=[], help="as for Ansible")
    rack.add_argument("--vault-password-file", metavar="FILE", action="append", default=[], help="as for Ansible")
    rack.add_argument("-J", "--ask-vault-password", action="store_true", help="as for Ansible")
    rack.add_argument(
        "-f", "--forks", metavar="N", type=_at_least(1), default=50, help="so many hosts at a time (default: 50)"
    )
    rack.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=60.0, help="for the answer of a host (default: 60)"
    )
    rack.add_argument(
        "--connect-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="for the connection to a host (default: what ssh's and Ansible's configuration say, 10)",
    )
    rack.add_argument(
        "--retries", metavar="N", type=_at_least(0), default=1, help="further attempts where one may help (default: 1)"
    )


def asked_of(arguments: argparse.Namespace, variables: t.Sequence[str] = ()) -> t.Any:
    """What the options say, as `inventory_hosts.read_rack` takes it; asks for passwords."""
    import getpass

    from .inventory_hosts import Asked

    password = None
    if arguments.ask_become_pass:
        password = getpass.getpass("BECOME password: ", sys.stderr)
    return Asked(
        limit=arguments.limit,
        become=arguments.become,
        become_password=password,
        vault_ids=tuple(arguments.vault_id),
        vault_files=tuple(arguments.vault_password_file),
        ask_vault_password=arguments.ask_vault_password,
        extra_vars=tuple(arguments.extra_vars),
        variables=tuple(variables),
    )


def limits_of(arguments: argparse.Namespace) -> t.Any:
    """What the options say of forks and times, as `fanout.gather` takes it."""
    from .fanout.gather import Limits

    return Limits(arguments.forks, arguments.timeout, arguments.connect_timeout, arguments.retries)
