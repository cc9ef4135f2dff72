# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The taint letters of an oops: "Tainted: G        W  OE"."""

from __future__ import annotations

from ..kernelrelease import TAINTS

__all__ = ["decode_letters"]

_MEANINGS = dict(TAINTS)


def decode_letters(text: str) -> list[str]:
    """Each letter with its meaning, as facts write it; "G" says only that no proprietary module was loaded.

    >>> decode_letters("G        W  ")
    ['W: the kernel issued a warning']
    >>> decode_letters("[W]=WARN, [O]=OOT_MODULE")
    ['W: the kernel issued a warning', 'O: an externally built (out-of-tree) module was loaded']
    """
    if "]=" in text:  # the second line of 6.12 and later, kernel/panic.c: print_tainted_verbose
        letters = [text[place - 1] for place in range(1, len(text)) if text.startswith("]=", place)]
    else:
        letters = [letter for letter in text if not letter.isspace()]
    flags: list[str] = []
    for letter in letters[:32]:
        flag = "{0}: {1}".format(letter, _MEANINGS.get(letter, "unknown here"))
        if letter.isupper() and letter != "G" and flag not in flags:
            flags.append(flag)
    return flags
