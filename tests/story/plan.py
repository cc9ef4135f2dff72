# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernels the story is played with: read from what the archive offers on the day, and the modules for them.

    apt-cache pkgnames linux-image- | python tests/story/plan.py trixie RUNNING >story.json

The fault is declared from the running kernel's line up to the line of the newest kernel of backports, which is the
first without it. The control is the newest kernel in between: newer than the running one, and still inside.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import typing as t

from build import modules

from crashready.lab.errors import LabError
from crashready.lab.progress import Progress
from crashready.lab.recipe import SUITES

__all__ = ["Plan", "choose"]

#: An image of the flavour amd64 whose release begins with its upstream version, as from Debian 13 on.
_IMAGE = re.compile(r"linux-image-((\d+)\.(\d+)\.(\d+)\+deb\d+(?:\.(\d+))?-amd64)\Z")

Version = tuple[int, ...]


class Plan(t.NamedTuple):
    """Releases of three kernels, and the range as a pairing entry and the module have it."""

    running: str
    control: str  #: inside the range
    newest: str  #: the first outside
    first: str  #: upstream version that begins the range
    before: str  #: upstream version that ends it


def _version(release: str) -> Version | None:
    match = _IMAGE.match("linux-image-" + release)
    return tuple(int(part or 0) for part in match.groups()[1:]) if match else None


def choose(listed: t.Iterable[str], running: str) -> Plan:
    """The plan from names of packages and `uname -r`. Raises LabError where the archive has no two kernels for it."""
    own = _version(running)
    if own is None:
        raise LabError("{0!r} is not the release of a kernel from Debian 13 on".format(running))
    matches = [_IMAGE.match(name.strip()) for name in listed]
    releases = {match[1]: tuple(int(part or 0) for part in match.groups()[1:]) for match in matches if match}
    newest = max(releases, key=lambda release: releases[release], default=running)
    line = releases.get(newest, own)[:2]
    if line <= own[:2]:
        raise LabError("the archive offers no kernel of a later line than {0}".format(running))
    between = [release for release, version in releases.items() if own < version and version[:2] < line]
    if not between:
        raise LabError("the archive offers no kernel between {0} and {1}".format(running, newest))
    control = max(between, key=lambda release: releases[release])
    return Plan(running, control, newest, "{0}.{1}.0".format(*own[:2]), "{0}.{1}".format(*line))


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The command line; 0, or 4 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("running", help="as `uname -r` says it")
    options = parser.parse_args(arguments)
    try:
        plan = choose(sys.stdin, options.running)
        built = modules(options.suite, [plan.running, plan.control, plan.newest], Progress())
    except LabError as exc:
        print("plan.py: {0}".format(exc), file=sys.stderr)
        return 4
    print(json.dumps({**plan._asdict(), "modules": {release: str(path) for release, path in built.items()}}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
