# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready lab`: images and racks of virtual machines at the prompt.

Exit codes: 0 well, 2 a guest is not reached, 3 wrong usage, 4 the tool or one of its
programs failed; `ssh` ends with the status of the command inside.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import signal
import sys
import time
import typing as t

from . import commands, image
from .errors import GuestError, LabError
from .guest import BOOT_LIMIT_S
from .progress import Progress
from .rack import Rack
from .recipe import FIRMWARES, LOADERS, SUITES
from .spec import GuestSpec, parse_guest

__all__ = ["add_arguments", "main", "run"]

GUEST_HELP = (
    "a guest: NAME=SUITE[,memory=MIB][,cpus=N][,nic=CARD]...[,firmware=bios|uefi][,loader=grub|systemd-boot]"
    "[,watchdog=yes][,group=GROUP]... (cards: e1000e, vmxnet3, igb where QEMU has it, ...; CARD@NAME is on a wire to "
    "that guest)"
)


class _Parser(argparse.ArgumentParser):
    """Ends with 3 on wrong usage: 2 says that a host was not reached."""

    #: Whether everything after `--` is a command for a guest, kept as `words`, whatever it looks like.
    takes_command = False

    def parse_known_args(  # type: ignore[override]  # the base class spells the same as overloads
        self, args: t.Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        own = list(sys.argv[1:] if args is None else args)
        cut = own.index("--") if self.takes_command and "--" in own else len(own)
        parsed, rest = super().parse_known_args(own[:cut], namespace)
        if self.takes_command:
            parsed.words = own[cut + 1 :]
        return parsed, rest

    def error(self, message: str) -> t.NoReturn:
        self.print_usage(sys.stderr)
        self.exit(3, "{0}: {1}\n".format(self.prog, message))


def _guest_argument(text: str) -> GuestSpec:
    try:
        return parse_guest(text)
    except LabError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _variable_argument(text: str) -> tuple[str, str, t.Any]:
    """NAME:VARIABLE=VALUE; the value is JSON where it is, else text."""
    name, colon, rest = text.partition(":")
    key, equals, value = rest.partition("=")
    if not (colon and equals and key.isidentifier()):
        raise argparse.ArgumentTypeError("{0!r} is not NAME:VARIABLE=VALUE".format(text))
    try:
        return name, key, json.loads(value)
    except ValueError:
        return name, key, value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to a parser; `run` then takes what it parsed."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    actions = parser.add_subparsers(dest="lab_command", required=True, metavar="COMMAND", parser_class=_Parser)
    one = actions.add_parser("image", help="build the disk image of a Debian release, if it is not there (needs root)")
    one.add_argument("suites", nargs="+", choices=SUITES, metavar="SUITE", help="one of: " + ", ".join(SUITES))
    one.add_argument("--firmware", choices=FIRMWARES, default="bios", help="how the image boots (default: bios)")
    one.add_argument("--loader", choices=LOADERS, default="grub", help="its boot loader (default: grub)")
    one.add_argument("--rebuild", action="store_true", help="build even when there is one")
    _image_arguments(one)
    one = actions.add_parser("up", help="start guests and write the inventory RUNDIR/hosts.yml")
    one.add_argument("rundir", type=pathlib.Path, help="directory of this rack: state, inventory, disks, consoles")
    one.add_argument("--guest", action="append", type=_guest_argument, default=[], metavar="SPEC", help=GUEST_HELP)
    variable = "an inventory variable of a guest, NAME:VARIABLE=VALUE (VALUE: JSON or text)"
    one.add_argument("--var", action="append", type=_variable_argument, default=[], metavar="VAR", help=variable)
    one.add_argument("--limit", type=float, default=BOOT_LIMIT_S, help="seconds for one boot (default: %(default)g)")
    one.add_argument("--parallel", type=int, help="guests that boot at once (default: cores, half of them if emulated)")
    _image_arguments(one)
    one = actions.add_parser("down", help="stop guests and remove their disks; the consoles stay")
    one.add_argument("rundir", type=pathlib.Path)
    one.add_argument("names", nargs="*", help="only these guests (default: all)")
    one.add_argument("--keep-disks", action="store_true", help="shut down in order and keep the disks for another `up`")
    one = actions.add_parser("status", help="show the guests; ends with 2 unless all answer")
    one.add_argument("rundir", type=pathlib.Path)
    one.add_argument("--json", action="store_true", help="as JSON")
    one = actions.add_parser("console", help="print what a guest's serial console said")
    one.add_argument("rundir", type=pathlib.Path)
    one.add_argument("name")
    one.add_argument("-n", "--lines", type=int, default=1000000, help="only the last N lines")
    one.add_argument("-f", "--follow", action="store_true", help="go on printing until Ctrl-C")
    usage = "%(prog)s [-h] [--user USER] RUNDIR NAME [-- COMMAND ...]"
    one = actions.add_parser("ssh", help="a shell or a command in a guest", usage=usage)
    one.takes_command = True
    one.add_argument("rundir", type=pathlib.Path)
    one.add_argument("name")
    one.add_argument("--user", default="root", choices=("root", "admin", "oncall"), help="default: root")


def _image_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--package", action="append", default=[], help="install this package too (repeatable)")
    cold = "do not put the kdump packages into the image's package cache"
    parser.add_argument("--cold", action="store_true", help=cold)


def _image(options: argparse.Namespace, progress: Progress) -> int:
    for suite in options.suites:
        recipe = image.current_recipe(
            suite,
            firmware=options.firmware,
            loader=options.loader,
            extra_packages=options.package,
            warm=not options.cold,
        )
        print(image.ensure(recipe, progress, rebuild=options.rebuild).path)
    return 0


def _up(options: argparse.Namespace, progress: Progress) -> int:
    specs = {spec.name: spec for spec in options.guest}
    if len(specs) != len(options.guest):
        raise LabError("two guests with the same name")
    for name, key, value in options.var:
        if name not in specs:
            raise LabError("--var names {0!r}, which no --guest makes".format(name))
        specs[name] = dataclasses.replace(specs[name], variables={**specs[name].variables, key: value})
    rack = Rack(options.rundir, progress)
    rack.up(
        list(specs.values()),
        warm=not options.cold,
        extra_packages=options.package,
        limit_s=options.limit,
        parallel=options.parallel,
    )
    print(rack.inventory_file)
    return 0


def _down(options: argparse.Namespace, progress: Progress) -> int:
    Rack(options.rundir, progress).down(options.names, keep_disks=options.keep_disks)
    return 0


def _status(options: argparse.Namespace, progress: Progress) -> int:
    rows = Rack(options.rundir, progress).status()
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            print("{name:16} {suite:10} {state:8} port {port:<6} pid {pid}".format(**row))
    return 0 if rows and all(row["state"] == "up" for row in rows) else 2


def _console(options: argparse.Namespace, progress: Progress) -> int:
    guest = Rack(options.rundir, progress).guest(options.name)
    seen = guest.console.stat().st_size if guest.console.exists() else 0
    print(commands.clean_tail(guest.console_text(), options.lines), flush=True)
    while options.follow:
        time.sleep(0.5)
        new = guest.console_text(since=seen)
        seen += len(new.encode())
        if new:
            print(commands.clean_tail(new, len(new)), flush=True)
    return 0


def _ssh(options: argparse.Namespace, progress: Progress) -> int:
    guest = Rack(options.rundir, progress).guest(options.name)
    argv = guest.ssh_command(user=options.user, terminal=not options.words and sys.stdin.isatty())
    sys.stdout.flush()
    os.execvp(argv[0], [*argv, *options.words])  # noqa: S606  (no shell is wanted here)


ACTIONS: dict[str, t.Callable[[argparse.Namespace, Progress], int]] = {
    "image": _image,
    "up": _up,
    "down": _down,
    "status": _status,
    "console": _console,
    "ssh": _ssh,
}


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code. Errors are one message on standard error."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that mounts are undone
    try:
        return ACTIONS[options.lab_command](options, Progress(quiet=options.quiet))
    except GuestError as exc:
        print("crashready lab: {0}".format(exc), file=sys.stderr)
        return 2
    except (LabError, OSError) as exc:
        print("crashready lab: {0}".format(exc), file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("crashready lab: interrupted", file=sys.stderr)
        return 130


def main(argv: t.Sequence[str] | None = None) -> int:
    """The command line of `python -m crashready.lab`."""
    parser = _Parser(prog="crashready lab", description="A rack of real Debian virtual machines (QEMU).")
    add_arguments(parser)
    return run(parser.parse_args(argv))
