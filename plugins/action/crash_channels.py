# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes the program that keeps netconsole armed and gives it to the module of the same name."""

from __future__ import annotations

from ansible_collections.rackops.crashready.plugins.plugin_utils.program_action import ProgramAction


class ActionModule(ProgramAction):
    """Runs the module with `program` filled in."""

    PROGRAM = "netconsole"
