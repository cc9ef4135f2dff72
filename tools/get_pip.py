# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Stands in for get-pip.py where ansible-test would download it: the interpreter's own ensurepip does the same.

ansible-test looks for the file in its cache before it downloads; tools/ansible-test puts this one there.
"""

import os
import subprocess
import sys

arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
# ansible-test sets GET_PIP for this script; a pip that inherits it would take it for an option --get-pip.
environment = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
subprocess.check_call([sys.executable, "-m", "pip", "install", *arguments], env=environment)
