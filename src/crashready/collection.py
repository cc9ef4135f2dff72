# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which copy of the collection Ansible uses, and whether it fits this command.

Ansible takes the first directory that holds `ansible_collections/rackops/crashready`,
in the order of its setting COLLECTIONS_PATHS and then of `sys.path` of its own
interpreter. So a copy installed with ansible-galaxy comes before the one in the
wheel, and wins; a copy of another version is refused here, because the command
and the collection are two halves of one thing.
"""

from __future__ import annotations

import atexit
import json
import locale
import os
import re
import shutil
import sys
import tempfile
import typing as t

from .exits import ToolError
from .version import checkout_root, version

__all__ = ["NAME", "Copy", "check", "chosen_copy", "environment", "find_copy", "version_of"]

NAME = "rackops.crashready"

#: Far more than any MANIFEST.json or galaxy.yml.
_LIMIT = 1024 * 1024


class Copy(t.NamedTuple):
    """A copy of the collection: where it lies and its version, "unknown" where neither file tells."""

    path: str
    version: str


def version_of(path: str) -> str:
    """The version of the copy at `path`: MANIFEST.json (installed by Galaxy), else galaxy.yml (checkout, wheel)."""
    try:
        with open(os.path.join(path, "MANIFEST.json"), encoding="utf-8") as stream:
            return str(json.loads(stream.read(_LIMIT))["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        with open(os.path.join(path, "galaxy.yml"), encoding="utf-8") as stream:
            found = re.search(r"^version:\s*[\"']?([0-9][^\s\"'#]*)", stream.read(_LIMIT), re.MULTILINE)
    except (OSError, ValueError):
        found = None
    return found.group(1) if found else "unknown"


def find_copy(paths: t.Iterable[str]) -> Copy | None:
    """The first copy below `paths`, each of which may itself end in `ansible_collections`, as Ansible allows."""
    for path in paths:
        base = (
            path
            if os.path.basename(path.rstrip("/")) == "ansible_collections"
            else os.path.join(path, "ansible_collections")
        )
        place = os.path.join(base, *NAME.split("."))
        if os.path.isdir(place):
            return Copy(place, version_of(place))
    return None


def _configured_paths() -> list[str]:
    """COLLECTIONS_PATHS as Ansible sees it from here (ansible.cfg of the current directory, environment)."""
    _give_ansible_a_home()
    from ansible import constants

    return [str(path) for path in constants.COLLECTIONS_PATHS]


def _own_paths() -> list[str]:
    """Where the copy is found that came with this command."""
    root = checkout_root()
    return [os.path.join(root, ".venv", "collections")] if root else []


def chosen_copy() -> Copy:
    """The copy that an ansible-playbook started with `environment()` will use. Raises ToolError when there is none."""
    copy = find_copy([*_configured_paths(), *_own_paths(), *sys.path])
    if copy is None:
        mend = (
            "./crashready setup"
            if checkout_root()
            else "ansible-galaxy collection install {0}:=={1}".format(NAME, version())
        )
        raise ToolError("Ansible finds no copy of the collection {0}. Run: {1}".format(NAME, mend))
    return copy


def check(copy: Copy, own: str | None = None) -> None:
    """Refuse a copy of another version than the command's (`own`). The ToolError names both and the mending command."""
    own = own or version()
    if copy.version == own:
        return
    raise ToolError(
        "the command crashready has version {own}, but Ansible would use version {other} of the collection {name} "
        "(in {path}), and the two must be the same. Run: {mend}".format(
            own=own, other=copy.version, name=NAME, path=copy.path, mend=_mend(copy, own)
        )
    )


def _mend(copy: Copy, own: str) -> str:
    """The one command after which both halves are the same: the older half follows the newer one."""
    if _order(copy.version) > _order(own):
        return "{0} -m pip install crashready=={1}".format(sys.executable, copy.version)
    target = copy.path.rsplit("/ansible_collections/", 1)[0]
    return "ansible-galaxy collection install --force -p {0} {1}:=={2}".format(target, NAME, own)


def _order(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.split("-", 1)[0]))


def _give_ansible_a_home() -> None:
    """Where ~/.ansible cannot be written (a read-only home), a folder for this run: Ansible ends in a traceback."""
    if os.environ.get("ANSIBLE_HOME"):
        return
    home = os.path.expanduser("~/.ansible")
    try:
        os.makedirs(os.path.join(home, "tmp"), mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return
    except OSError as error:
        folder = tempfile.mkdtemp(prefix="crashready-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["ANSIBLE_HOME"] = folder
        said = "crashready: {0} cannot be written ({1}); Ansible keeps its files in {2} for this run"
        print(said.format(home, error.strerror, folder), file=sys.stderr, flush=True)


def _speaks_utf_8() -> bool:
    """Whether Ansible would start in this locale: it must be there, and its characters UTF-8."""
    try:
        # Asked of the environment alone: what this process has set so far does not matter to the next.
        before = locale.setlocale(locale.LC_ALL)
        locale.setlocale(locale.LC_ALL, "")
        found = locale.nl_langinfo(locale.CODESET)
        locale.setlocale(locale.LC_ALL, before)
    except locale.Error:
        return False
    return found.upper().replace("-", "") == "UTF8"


def environment() -> dict[str, str]:
    """The environment for Ansible commands: the caller's, plus the way to our copy where Ansible would not find it.

    A locale that Ansible refuses (C, one that is not installed) is replaced by C.UTF-8, which every Debian has.
    """
    env = dict(os.environ)
    if not _speaks_utf_8():
        env["LC_ALL"] = "C.UTF-8"
    own = _own_paths()
    if own:
        # In the environment, not in ansible.cfg: the current directory need not be the checkout.
        env["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join([*_configured_paths(), *own])
    return env
