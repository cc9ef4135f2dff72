# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Shell fragments of /etc/default/grub.d: they change GRUB's command lines whatever earlier files say.

grub-mkconfig sources /etc/default/grub and then each *.cfg there. A fragment of ours first takes out what it is about
to set, then sets it where recovery entries have it as well (G16, G18).
"""

from __future__ import annotations

import re
import typing as t

from .errors import CoreError

__all__ = ["drop_in", "of_parameter"]

#: What may stand in a fragment: nothing that a shell or GRUB would take for more than itself.
_WORDS = re.compile(r"[A-Za-z0-9_.,:=@/+ -]*\Z")
_BOTH = ("GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX")


def of_parameter(name: str) -> str:
    """A pattern of sed for every `name=value`."""
    return name + "=[^[:space:]]*"


def drop_in(comments: t.Iterable[str], removed: t.Sequence[str], front: str = "", back: str = "") -> str:
    """The fragment: `removed` are patterns of sed for words to take out, `front` and `back` words to put in.

    Raises CoreError for words that a shell would read otherwise.
    """
    if not _WORDS.match(front + back):
        raise CoreError("not fit for GRUB's command line: {0!r}".format((front + " " + back)[:120]))
    text = "".join("# {0}\n".format(comment) for comment in comments)
    if removed:
        cuts = "".join(" -e 's/[[:space:]]{0}//g'".format(pattern) for pattern in removed)
        for name in _BOTH:
            text += "{0}=\"$(printf ' %s' \"${0}\" | sed{1} -e 's/^ *//')\"\n".format(name, cuts)
    if front:
        text += 'GRUB_CMDLINE_LINUX="{0}${{GRUB_CMDLINE_LINUX:+ $GRUB_CMDLINE_LINUX}}"\n'.format(front)
    if back:
        text += 'GRUB_CMDLINE_LINUX="${{GRUB_CMDLINE_LINUX:+$GRUB_CMDLINE_LINUX }}{0}"\n'.format(back)
    return text
