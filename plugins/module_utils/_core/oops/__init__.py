# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From a kernel log to a crash record: what died, where, who owns it, and a signature to find it again.

`read_log` is the way in. `lines` takes the text apart, `events` finds what happened, `report` and `trace` read one
event, `tables` holds the data, `verdict` says where the fault sits, `signature` makes it comparable, and
`record` puts it together. docs/triage.md explains the rules.
"""

from __future__ import annotations

from .record import SCHEMA, CrashRecord, read_chunks, read_log
from .tables import Tables, tables_from

__all__ = ["SCHEMA", "CrashRecord", "Tables", "read_chunks", "read_log", "tables_from"]
