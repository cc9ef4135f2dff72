# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The driver of the Ansible collection rackops.crashready: the command `crashready`.

`crashready._core`, `crashready._host` and `crashready._change` are the files of the
collection, `plugins/module_utils/_core` and so on: this package looks for its
submodules there too. A process imports them either by this name or by
`ansible_collections.rackops.crashready...`, never by both: each name makes
classes of its own.
"""

from __future__ import annotations

import os as _os

_HERE = _os.path.dirname(_os.path.abspath(__file__))

#: Where the collection lies, seen from this package: in a checkout, in a wheel.
_COLLECTION_PLACES = (
    _os.path.join(_HERE, _os.pardir, _os.pardir),
    _os.path.join(_HERE, _os.pardir, "ansible_collections", "rackops", "crashready"),
)

for _place in _COLLECTION_PLACES:
    _shared = _os.path.join(_os.path.normpath(_place), "plugins", "module_utils")
    if _os.path.isfile(_os.path.join(_shared, "_core", "__init__.py")):
        __path__.append(_shared)
        break
