# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes the program that reads crashes on a host after a boot: one zip that Python starts.

The same files give the same bytes, so that a second run of the role finds nothing to change; not
compressed, since every zlib does that in its own way.
"""

from __future__ import annotations

import ast
import io
import os
import typing as t
import zipfile

__all__ = ["build"]

_START = "_change/afterboot.py"
_PACKAGE = "crashready"
_TABLES = ("core", "drivers", "rules")
_MAIN = "import sys\n\nfrom crashready._change.afterboot import main\n\nsys.exit(main(sys.argv[1:]))\n"
#: The first moment that a zip can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLUGINS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))


def build(plugins: str = _PLUGINS) -> bytes:
    """The zip: `_change/afterboot.py` and everything that it imports from module_utils, and the triage tables."""
    root = os.path.join(plugins, "module_utils")
    files = {"__main__.py": _MAIN.encode("ascii"), _PACKAGE + "/__init__.py": b""}
    for name in sorted(_closure(root)):
        files["{0}/{1}".format(_PACKAGE, name)] = _read(os.path.join(root, name))
    for name in _TABLES:
        path = os.path.join(plugins, os.pardir, "data", "triage", name + ".json")
        files["{0}/tables/{1}.json".format(_PACKAGE, name)] = _read(path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_STORED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _closure(root: str) -> set[str]:
    """Files of module_utils that the start needs, by its relative imports and theirs."""
    found: set[str] = set()
    todo = [_START]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        folder = os.path.dirname(name)
        while folder:
            # Importing a module runs the packages that hold it.
            todo.append(folder + "/__init__.py")
            folder = os.path.dirname(folder)
        todo += _imported(root, name)
    return found


def _imported(root: str, name: str) -> t.Iterator[str]:
    for node in ast.walk(ast.parse(_read(os.path.join(root, name)))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = name.split("/")[: -node.level] + (node.module.split(".") if node.module else [])
        for path in [base, *([*base, alias.name] for alias in node.names)]:
            for file in ("/".join(path) + ".py", "/".join(path) + "/__init__.py"):
                if path and os.path.isfile(os.path.join(root, file)):
                    yield file
