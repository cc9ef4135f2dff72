# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The version of the command and of the collection that came with it: the one in galaxy.yml."""

from __future__ import annotations

import os
import re

__all__ = ["checkout_root", "collection_root", "version"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_VERSION = re.compile(r"^version:\s*[\"']?([0-9][^\s\"'#]*)", re.MULTILINE)


def checkout_root() -> str | None:
    """The directory of the checkout that this package is run from, None for an installed package."""
    root = os.path.dirname(os.path.dirname(_HERE))
    inside = os.path.isfile(os.path.join(root, "galaxy.yml")) and os.path.isfile(os.path.join(root, "pyproject.toml"))
    return root if inside else None


def collection_root() -> str:
    """The directory of the collection that came with this package: the checkout, or the one in the wheel.

    Raises FileNotFoundError for a package that was taken apart.
    """
    bundled = os.path.join(os.path.dirname(_HERE), "ansible_collections", "rackops", "crashready")
    root = checkout_root() or bundled
    if not os.path.isfile(os.path.join(root, "galaxy.yml")):
        raise FileNotFoundError(
            "{0}: no galaxy.yml; the installation is damaged, install crashready again".format(root)
        )
    return root


def version() -> str:
    """The version as galaxy.yml has it, such as "0.1.0"."""
    path = os.path.join(collection_root(), "galaxy.yml")
    with open(path, encoding="utf-8") as stream:
        found = _VERSION.search(stream.read())
    if found is None:
        raise ValueError("{0}: no line `version: N.N.N`".format(path))
    return found.group(1)
