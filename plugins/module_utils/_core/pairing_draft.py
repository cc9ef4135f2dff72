# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A new pairing entry as a draft, from a crash that no entry explains.

The text is valid against data/pairings/schema.json as it stands. What the crash cannot know (where
the fault came in, where it is mended) is left out and listed in the comment as questions; so the
draft is `info` and matches nothing but its symptom until somebody has answered them.
"""

from __future__ import annotations

import re
import typing as t

from . import judge
from .firmware import grammar_of, has_grammar
from .fleet import crashed_kernel
from .text import clean

__all__ = ["draft_entry"]

_MODULE = re.compile(r"[a-z0-9][a-z0-9_]{0,55}")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_HEX = re.compile(r"[0-9a-f]{4}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

#: symptom.class of a kind; a kind that is none of a driver's faults gives no draft.
_CLASSES = {
    "null_deref": "oops",
    "page_fault": "oops",
    "general_protection": "oops",
    "bug": "oops",
    "divide_error": "oops",
    "soft_lockup": "hang",
    "hard_lockup": "hang",
    "rcu_stall": "hang",
    "hung_task": "hang",
    "netdev_watchdog": "tx-timeout",
    "panic": "panic",
    "warning": "warn",
}


def draft_entry(
    record: t.Mapping[str, t.Any], host: str | None, facts: t.Any, crashes: int = 1
) -> tuple[str | None, str | None]:
    """(YAML text, None), or (None, the reason why there is nothing to draft)."""
    driver = record.get("driver")
    if not isinstance(driver, str) or not _MODULE.fullmatch(driver):
        return None, "the crash names no NIC driver, so there is no pairing to describe"
    symptom = _CLASSES.get(str(record.get("kind")))
    if symptom is None:
        return None, "a crash of kind {0} is no fault of a pairing".format(clean(str(record.get("kind")), 40))
    if record.get("panic_line") and symptom == "oops":
        symptom = "panic"
    cards = [(name, card) for name, card in judge.physical_cards(facts) or () if driver in (card.driver, card.module)]
    function = _function(record)
    lines = _comment(record, host, cards, crashes)
    lines += _head(driver, function, cards)
    lines += _firmware([card for _name, card in cards])
    lines += _kernel(record, facts)
    lines += _symptom(record, symptom, driver, function)
    lines += [
        "remedy:",
        "  other:",
        "    - {0}".format(_quoted("No remedy is known yet: see the questions at the top of this draft.")),
        "confidence: reported-by-users",
        "suggested_use: info",
        "sources:",
        "  - {0}".format(_quoted(_source(record, host))),
    ]
    return "\n".join(lines) + "\n", None


def _function(record: t.Mapping[str, t.Any]) -> str | None:
    """The driver's own function nearest to the fault."""
    driver = record.get("driver")
    for frame in record.get("frames") or ():
        if (
            isinstance(frame, dict)
            and frame.get("module") == driver
            and _FUNCTION.fullmatch(str(frame.get("function")))
        ):
            return str(frame["function"]).split(".", 1)[0]
    name = record.get("function")
    return str(name).split(".", 1)[0] if name and _FUNCTION.fullmatch(str(name)) else None


def _comment(
    record: t.Mapping[str, t.Any], host: str | None, cards: t.Sequence[tuple[str, judge.Card]], crashes: int
) -> list[str]:
    kernel = record.get("kernel") or {}
    signature = record.get("signature") or {}
    questions = [
        "Which commit mends it, in which mainline and stable releases, and in which Debian packages (kernel, debian)?",
        "Which release brought it? Until that is known no kernel range can be given.",
        "Does the firmware decide (firmware.part_of_pairing)? Compare with hosts of the control group.",
        "Is it known upstream? Search the functions below in the kernel's CVE records and on lore.kernel.org.",
        "Are other PCI ids of the driver concerned, and virtual functions?",
    ]
    if not cards:
        questions.insert(0, "Which card and firmware was it? No facts of the crashed host were at hand.")
    version = kernel.get("package_version")
    release = str(kernel.get("release") or "not known")
    shown = clean("{0} ({1})".format(release, version) if version else release, 120)
    return [
        "---",
        "# SPDX-License-Identifier: GPL-3.0-or-later",
        "# SPDX-FileCopyrightText: 2026, The Crashready authors",
        "# A draft made by `crashready triage` from {0} on {1}.".format(
            "1 crash" if crashes == 1 else "{0} crashes".format(crashes), clean(host or "a host that is not named", 100)
        ),
        "# Kernel: {0}. Signature: {1}.".format(shown, clean(str(signature.get("exact") or "none"), 80)),
        "# To find out before it can judge anything:",
        *("#   {0}. {1}".format(number, text) for number, text in enumerate(questions, 1)),
    ]


def _head(driver: str, function: str | None, cards: t.Sequence[tuple[str, judge.Card]]) -> list[str]:
    tail = re.sub(r"[^a-z0-9]+", "-", (function or "crash").lower()).strip("-") or "crash"
    start = driver.replace("_", "-")
    tail = tail[len(start) + 1 :] if tail.startswith(start + "-") else tail
    lines = ["id: {0}".format("draft-{0}-{1}".format(start, tail)[:64].strip("-"))]
    lines += ["driver: {0}".format(_plain(driver)), "modules: [{0}]".format(_plain(driver))]
    ids = sorted({card.pci[:2] for _name, card in cards if card.pci and _are_hex(card.pci[:2])})
    if ids:
        lines.append("pci:")
        for vendor in sorted({str(pair[0]) for pair in ids}):
            devices = ", ".join('"{0}"'.format(pair[1]) for pair in ids if pair[0] == vendor)
            lines += ['  - vendor: "{0}"'.format(vendor), "    devices: [{0}]".format(devices)]
    return lines


def _are_hex(values: t.Iterable[str | None]) -> bool:
    return all(value is not None and _HEX.fullmatch(value) for value in values)


def _firmware(cards: t.Sequence[judge.Card]) -> list[str]:
    seen = sorted({clean(card.firmware, 64) for card in cards if card.firmware and clean(card.firmware, 64)})
    lines = ["firmware:", "  part_of_pairing: false", "  role: seen"]
    if cards and cards[0].driver and has_grammar(cards[0].driver):
        lines.append("  parser: {0}".format(_plain(grammar_of(cards[0].driver))))
    if seen:
        lines.append("  seen_bad: [{0}]".format(", ".join(_quoted(text) for text in seen[:16])))
    return lines


def _kernel(record: t.Mapping[str, t.Any], facts: t.Any) -> list[str]:
    kernel = crashed_kernel(record, facts)
    text = "Seen on {0}; where it came in and where it is mended is not known.".format(kernel.says)
    return ["kernel:", "  text: {0}".format(_quoted(clean(text, 400)))]


def _symptom(record: t.Mapping[str, t.Any], symptom: str, driver: str, function: str | None) -> list[str]:
    functions = [function] if function else []
    for frame in record.get("frames") or ():
        name = str(frame.get("function")).split(".", 1)[0] if isinstance(frame, dict) else ""
        if isinstance(frame, dict) and frame.get("module") == driver and _FUNCTION.fullmatch(name):
            functions.append(name)
    lines = ["symptom:", "  class: {0}".format(symptom)]
    if record.get("path") in ("nic_rx", "nic_tx"):
        lines.append("  trigger: traffic")
    if functions:
        lines.append(
            "  functions: [{0}]".format(", ".join(_plain(name) for name in list(dict.fromkeys(functions))[:16]))
        )
    where = {"nic_rx": " in the receive path", "nic_tx": " in the transmit path"}.get(str(record.get("path")), "")
    says = "{0}{1} of {2}".format(str(record.get("kind")).replace("_", " ").capitalize(), where, driver)
    if function:
        says += ", in {0}".format(function)
    cause = clean(str(record.get("cause_line") or ""), 200)
    lines.append("  summary: {0}".format(_quoted(says + (": " + cause if cause else "."))))
    return lines


def _source(record: t.Mapping[str, t.Any], host: str | None) -> str:
    name = clean(str((record.get("source") or {}).get("name") or "a kernel log"), 200)
    return "Own crash: {0} of {1}, read by crashready triage.".format(name, clean(host or "a host not named", 100))


def _quoted(text: str) -> str:
    """A YAML scalar in double quotes, in which a text of `clean` needs only these two escapes."""
    return '"{0}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def _plain(text: str) -> str:
    """A word that YAML reads as text; "8021q" or "on" would be something else without quotes."""
    safe = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", text) and text.lower() not in (
        "on",
        "off",
        "yes",
        "no",
        "true",
        "false",
        "null",
        "y",
        "n",
    )
    return text if safe else _quoted(text)
