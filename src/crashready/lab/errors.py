# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Errors of the VM rack."""

from __future__ import annotations

__all__ = ["GuestError", "LabError", "ToolError"]


class LabError(Exception):
    """Something of the rack failed; the text names the object, what was seen and what to do."""


class ToolError(LabError):
    """A program that the rack runs is missing or ended badly."""


class GuestError(LabError):
    """A guest did not come up, did not answer in time or ended; the text carries the end of its console."""
