# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What one event tells: the fields that `reading` fills, `verdict` and `signature` use and the record shows."""

from __future__ import annotations

import dataclasses

from .trace import Frame

__all__ = ["HARDIRQ", "NMI", "SOFTIRQ", "TASK", "Report"]

HARDIRQ, SOFTIRQ, NMI, TASK = "hardirq", "softirq", "nmi", "task"


@dataclasses.dataclass
class Report:
    """What one event tells; None where its lines do not."""

    kind: str
    function: str | None = None
    module: str | None = None
    frames: list[Frame] = dataclasses.field(default_factory=list)
    borders: list[int] = dataclasses.field(default_factory=list)  #: frames[i] stands outside the i-1 context
    context: str | None = None
    cpu: int | None = None
    task: str | None = None
    pid: int | None = None
    taint: list[str] | None = None
    release: str | None = None
    package_version: str | None = None
    modules: list[str] | None = None
    hardware: str | None = None
    bios: str | None = None
    arch: str | None = None
    fault_address: str | None = None
    error_code: str | None = None
    code: str | None = None
    driver: str | None = None  #: named by NETDEV WATCHDOG
    oops_number: int | None = None
    traced: bool = False  #: whether there is a call trace
    missing: list[str] = dataclasses.field(default_factory=list)  #: parts that the text lacks

    @property
    def complete(self) -> bool:
        """Whether nothing of the event is missing."""
        return not self.missing
