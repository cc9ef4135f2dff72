# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Puts the collection into the wheel, where Ansible looks last: on sys.path.

The same files are crashready._core, crashready._host and crashready._change there
(src/crashready/__init__.py), so nothing is shipped twice. A hook and not a setting
of pyproject.toml, because an editable installation must not have a second copy.
"""

from __future__ import annotations

import pathlib
import typing as t

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "ansible_collections/rackops/crashready/"
#: What galaxy.yml's build_ignore leaves in the collection; `data` is read on the controller.
PARTS = ("LICENSE", "README.md", "data", "docs", "galaxy.yml", "meta", "monitoring", "playbooks", "plugins", "roles")


class CollectionBuildHook(BuildHookInterface):  # type: ignore[misc,type-arg]
    """hatchling finds it by its base class."""

    def initialize(self, version: str, build_data: dict[str, t.Any]) -> None:
        """Add the parts of the collection that are there to an ordinary wheel."""
        if version != "standard":
            return
        for part in PARTS:
            path = pathlib.Path(self.root, part)
            if path.exists():
                build_data["force_include"][str(path)] = PLACE + part
