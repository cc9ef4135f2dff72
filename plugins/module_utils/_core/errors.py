# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The one family of errors that pure code raises."""

from __future__ import annotations

__all__ = ["CoreError", "ParseError"]


class CoreError(Exception):
    """Something was wrong with a value. The text says what, where and what was seen."""


class ParseError(CoreError):
    """A text or a binary does not have the form that its source documents."""
