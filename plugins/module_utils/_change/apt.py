# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Installs Debian packages the way an unattended administrator would."""

from __future__ import annotations

import re
import typing as t

from .._core.text import clean
from .._host.base import Completed, Host, Unreadable
from .files import Stopped

__all__ = ["install", "preseed", "purge", "update"]

#: Ends a hang; a slow disk that builds DKMS modules on the way is far below.
INSTALL_LIMIT_S = 4 * 3600
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none"}
_STALE_LISTS = re.compile(r"Unable to locate package|has no installation candidate|Failed to fetch|404 ")


def preseed(host: Host, question: str, kind: str, value: str) -> None:
    """Answer a debconf question before the package asks it (debconf-set-selections(1))."""
    package = question.partition("/")[0]
    line = "{0} {1} {2} {3}\n".format(package, question, kind, value)
    done = _run(host, ["debconf-set-selections"], 120, stdin=line)
    if done.rc != 0:
        what = "debconf question {0} could not be answered".format(question)
        raise Stopped(what, clean(done.err, 300), "look who holds the lock: fuser /var/cache/debconf/config.dat")


def install(host: Host, packages: t.Sequence[str], lock_timeout_s: int, options: t.Sequence[str] = ()) -> None:
    """Install packages without their Recommends and without a question; lists are updated only where needed.

    A name may be `name=version`; `options` are further ones of apt-get, such as --allow-downgrades.
    """
    done = _install(host, packages, lock_timeout_s, options)
    if done.rc != 0 and _STALE_LISTS.search(done.err):
        lock = "DPkg::Lock::Timeout={0}".format(lock_timeout_s)
        _run(host, ["apt-get", "-q", "-y", "-o", lock, "update"], 600)
        done = _install(host, packages, lock_timeout_s, options)
    if done.rc != 0:
        what = "packages {0} could not be installed".format(" ".join(packages))
        raise Stopped(what, _errors(done), _next(done.err))


def update(host: Host, lock_timeout_s: int) -> None:
    """Fetch the lists of every source anew."""
    lock = "DPkg::Lock::Timeout={0}".format(lock_timeout_s)
    done = _run(host, ["apt-get", "-q", "-y", "-o", lock, "update"], 600)
    if done.rc != 0:
        raise Stopped("the package lists could not be updated", _errors(done), "apt-get update by hand")


def _install(host: Host, packages: t.Sequence[str], lock_timeout_s: int, options: t.Sequence[str]) -> Completed:
    argv = ["apt-get", "-q", "-y", "--no-install-recommends", "--no-remove", *options]
    for option in (
        "DPkg::Lock::Timeout={0}".format(lock_timeout_s),
        # Never a conffile prompt: the packaged default where the file is untouched, else the administrator's.
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
        # apt 3 would upgrade whatever else is there of the same source package (apt-get(8)).
        "APT::Get::Upgrade-By-Source-Package=false",
    ):
        argv += ["-o", option]
    return _run(host, [*argv, "install", "--", *packages], INSTALL_LIMIT_S)


def purge(host: Host, packages: t.Sequence[str], lock_timeout_s: int) -> None:
    """Remove packages with their configuration, after a dry run that touches these and no others."""
    dry = _run(host, ["apt-get", "-q", "-s", "purge", "--", *packages], 600)
    lines = [line.split() for line in dry.out.splitlines()]
    touched = {words[1] for words in lines if len(words) > 1 and words[0] in ("Inst", "Conf", "Remv", "Purg")}
    what = "packages {0} could not be removed".format(" ".join(packages))
    if dry.rc != 0:
        raise Stopped(what, _errors(dry), _next(dry.err))
    others = sorted(touched - {name.partition(":")[0] for name in packages} - set(packages))
    if others:
        seen = "apt would touch others with them: {0}".format(" ".join(others[:10]))
        raise Stopped(what, seen, "apt-get -s purge the same packages to see why, and remove them by hand")
    lock = "DPkg::Lock::Timeout={0}".format(lock_timeout_s)
    done = _run(host, ["apt-get", "-q", "-y", "-o", lock, "purge", "--", *packages], INSTALL_LIMIT_S)
    if done.rc != 0:
        raise Stopped(what, _errors(done), _next(done.err))


def _run(host: Host, argv: t.Sequence[str], timeout_s: float, stdin: str | None = None) -> Completed:
    try:
        return host.run(argv, timeout_s=timeout_s, env=_ENVIRONMENT, stdin=stdin)
    except Unreadable as exc:
        raise Stopped("{0} could not run".format(argv[0]), exc.reason, "is this a Debian host in good order?") from exc


def _errors(done: Completed) -> str:
    """What dpkg says of the package that failed, then the lines that apt marks as errors, else the end of it all.

    apt's own line is then no more than that dpkg ended badly; dpkg gives the reason one line below the package.
    """
    lines = done.err.splitlines()
    told = []
    for line, below in zip(lines, [*lines[1:], ""]):
        if line.startswith("dpkg: error processing"):
            told.append("{0} {1}".format(line, below.strip()))
    told += [line for line in lines if line.startswith("E:")]
    return clean(" / ".join(told or lines[-3:]), 400) or "apt-get ended with {0}".format(done.rc)


def _next(err: str) -> str:
    if "lock" in err:
        return "wait for the process that holds the lock (or stop it), then the same run again"
    if "dpkg --configure -a" in err:
        return "dpkg --configure -a, then the same run again"
    return "apt-get install the same packages by hand to see all of it, then the same run again"
