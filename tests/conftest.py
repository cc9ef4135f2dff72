# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes this checkout importable as `ansible_collections.rackops.crashready`.

Ansible's own finder must be installed before anything imports the package
`ansible_collections`, else the plain import wins and the loader says later that
the collection's metadata was not loaded. `ansible-test units` brings a finder
of its own: then there is nothing to do. Where Ansible is not installed (the nox
session `targets`), a plain import of module_utils is all that is needed.
"""

from __future__ import annotations

import atexit
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _make_tree() -> str:
    """A directory with this checkout as a collection in it, on sys.path."""
    tree = pathlib.Path(tempfile.mkdtemp(prefix="crashready-collections-"))
    atexit.register(shutil.rmtree, tree, ignore_errors=True)
    namespace = tree / "ansible_collections" / "rackops"
    namespace.mkdir(parents=True)
    (namespace / "crashready").symlink_to(ROOT)
    sys.path.insert(0, str(tree))
    return str(tree)


try:
    from ansible.plugins.loader import init_plugin_loader
    from ansible.utils.collection_loader import AnsibleCollectionConfig
except ImportError:
    _make_tree()
else:
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader([_make_tree()])
