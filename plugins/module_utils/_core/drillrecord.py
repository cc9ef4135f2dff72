# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a crash drill leaves on the host, and how long its proof holds.

Three small files in a folder of root's alone: what was before the panic (`Before`), what the capture kernel saw of
itself (`CaptureRecord`), and the verdict (`Proof`). They are checked when they are read all the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .errors import ParseError
from .text import clean, human_bytes

__all__ = [
    "CAPTURE_PATH",
    "FOLDER",
    "KINDS",
    "LIMIT_BYTES",
    "PROOF_PATH",
    "SCHEMA",
    "STATE_PATH",
    "Before",
    "CaptureRecord",
    "Identity",
    "Proof",
    "Standing",
    "identity_of",
    "marker",
    "new_id",
    "parse_before",
    "parse_capture",
    "parse_proof",
    "proven_now",
    "render",
]

FOLDER = "/var/lib/crashready"
STATE_PATH = FOLDER + "/drill.json"
CAPTURE_PATH = FOLDER + "/capture.json"
PROOF_PATH = FOLDER + "/proof.json"
LIMIT_BYTES = 64 * 1024
SCHEMA = 1

#: sysrq: echo c; under_load: the same while a NIC carries traffic; nmi: an NMI from outside (BMC, hypervisor);
#: softirq: the kernel's own crash test module, inside a tasklet.
KINDS = ("sysrq", "under_load", "nmi", "softirq")

Seen = t.Mapping[str, t.Any]

_ID = re.compile(r"[0-9a-f]{16}\Z")
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def new_id(noise: bytes) -> str:
    """The id of a drill, from eight random bytes."""
    if len(noise) != 8:
        raise ParseError("a drill id is made of 8 bytes, not {0}".format(len(noise)))
    return noise.hex()


def marker(drill_id: str) -> str:
    """The word that is written to the kernel log before the panic, so that the dump holds it."""
    return "crashready-drill-" + drill_id


# --- what a proof holds for -------------------------------------------------------------------------------------------


class Identity(t.NamedTuple):
    """What a proof was made with; where one of these differs the proof has lapsed. None: not seen."""

    release: str | None
    package_version: str | None
    cmdline_sha256: str | None
    reserved_bytes: int | None
    settings_sha256: str | None


_CALLED = {
    "release": "the kernel",
    "package_version": "the kernel's package",
    "cmdline_sha256": "the kernel command line",
    "reserved_bytes": "the reservation",
    "settings_sha256": "the capture settings, their packages or the capture initrd",
}
_PACKAGES = ("kdump-tools", "makedumpfile", "kexec-tools")


def identity_of(kernel: Seen, seen: Seen) -> Identity:
    """From the kernel facts and what `_host.capture.see_capture` saw."""
    text = seen["cmdline"]["text"]
    words = [word for word in (text or "").split() if not word.startswith(("BOOT_IMAGE=", "initrd="))]
    initrd = (seen["initrds"].get(seen["running_release"]) or {}).get("bytes")
    settings: t.Any = [
        sorted(seen["config"].items()),
        [(name, seen["packages"].get(name)) for name in _PACKAGES],
        initrd,
    ]
    return Identity(
        release=kernel.get("release"),
        package_version=kernel.get("package_version"),
        cmdline_sha256=_digest(words) if text is not None else None,
        reserved_bytes=seen["reserved_bytes"],
        settings_sha256=_digest(settings) if seen["config"] and initrd is not None else None,
    )


def _digest(value: t.Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


class Standing(t.NamedTuple):
    """Whether a host is proven now. `reason` is empty for True alone."""

    proven: bool | None
    reason: str


def proven_now(now: Identity, proof: Proof | None) -> Standing:
    """The last drill held against the host as it is. None: no drill, or something could not be seen."""
    if proof is None:
        return Standing(None, "no drill is recorded on this host")
    if not proof.proven:
        return Standing(False, "the last drill was not proven: {0}".format("; ".join(proof.reasons)))
    unseen = [_CALLED[field] for field in Identity._fields if getattr(now, field) is None]
    changed = [
        _changed(field, now, proof.identity) for field in Identity._fields if _differ(field, now, proof.identity)
    ]
    if changed:
        return Standing(False, "the proof has lapsed: {0} changed since".format(", ".join(changed)))
    # The package's version is None where the running kernel has none: then there is none to compare.
    unseen = [name for name in unseen if name != _CALLED["package_version"]]
    if unseen:
        return Standing(None, "not seen, so that the proof cannot be compared: {0}".format(", ".join(unseen)))
    return Standing(True, "")


def _differ(field: str, now: Identity, then: Identity) -> bool:
    return getattr(now, field) is not None and getattr(now, field) != getattr(then, field)


def _changed(field: str, now: Identity, then: Identity) -> str:
    before, after = getattr(then, field), getattr(now, field)
    if field == "reserved_bytes":
        before, after = (human_bytes(size) if size is not None else "unknown" for size in (before, after))
    if field.endswith("sha256"):
        return _CALLED[field]
    return "{0} ({1}, now {2})".format(_CALLED[field], before, after)


# --- what the drill leaves --------------------------------------------------------------------------------------------


class Before(t.NamedTuple):
    """A host right before its panic; written before anything else, so that a lost controller can be replaced."""

    drill_id: str
    kind: str
    boot_id: str
    began_s: float  #: by the clock of the host
    build_id: str | None
    folder: str  #: crash folder
    crashes: tuple[str, ...]  #: names that lay there
    identity: Identity
    nmi_before: str | None = None  #: kernel.unknown_nmi_panic as it was
    channels: t.Mapping[str, bool | None] = {}  #: which were armed, by name


class CaptureRecord(t.NamedTuple):
    """What the recorder in the capture kernel wrote last."""

    drill_id: str
    seconds: int  #: uptime of the capture kernel at the last line
    total_bytes: int
    lowest_available_bytes: int
    lowest_at_s: int
    oom_kills: int


class Proof(t.NamedTuple):
    """The verdict of one drill. `identity` is what it holds for."""

    drill_id: str
    when_s: float
    kind: str
    proven: bool
    reasons: tuple[str, ...]  #: why not
    identity: Identity
    dump_path: str | None
    dump_bytes: int | None
    seconds: int | None  #: that the capture took
    lowest_available_bytes: int | None
    oom_kills: int | None


def render(record: Before | Proof) -> str:
    """JSON with sorted keys."""
    values = record._asdict()
    values["identity"] = record.identity._asdict()
    if isinstance(record, Proof):
        dump = None
        path, size = values.pop("dump_path"), values.pop("dump_bytes")
        seconds = values.pop("seconds")
        if path is not None:
            dump = {"path": path, "bytes": size, "seconds": seconds}
        values.update(dump=dump, kernel={key: values["identity"].pop(key) for key in ("release", "package_version")})
        values.update(values.pop("identity"))
    return json.dumps({"schema": SCHEMA, **values}, indent=1, sort_keys=True) + "\n"


def parse_before(text: str) -> Before:
    """Read what `render` wrote. Raises ParseError on anything else."""
    found = _object(text, {"schema", *Before._fields}, {"channels": {}})
    folder = _text(found, "folder", re.compile(r"/[ -~]{1,4000}\Z"))
    names = found["crashes"]
    if not isinstance(names, list) or len(names) > 4096:
        raise ParseError("crashes: not a list of a fitting size")
    nmi = found["nmi_before"]
    if nmi not in (None, "0", "1"):
        raise ParseError("nmi_before: {0!r} is neither 0 nor 1".format(str(nmi)[:40]))
    return Before(
        drill_id=_text(found, "drill_id", _ID),
        kind=_kind_of(found),
        boot_id=_text(found, "boot_id", _BOOT_ID),
        began_s=_number(found, "began_s"),
        build_id=_maybe(found, "build_id", re.compile(r"[0-9a-f]{16,128}\Z")),
        folder=folder,
        crashes=tuple(str(name)[:300] for name in names),
        identity=_identity(found["identity"]),
        nmi_before=nmi,
        channels=_channels(found["channels"]),
    )


def _channels(value: t.Any) -> dict[str, bool | None]:
    if not isinstance(value, dict) or len(value) > 32:
        raise ParseError("channels: not as they are written")
    if not all(armed in (True, False, None) for armed in value.values()):
        raise ParseError("channels: armed is true, false or null")
    return {clean(str(name), 40): armed for name, armed in value.items()}


def parse_proof(text: str) -> Proof:
    """Read what `render` wrote. Raises ParseError on anything else."""
    keys = {"schema", "drill_id", "when_s", "kind", "proven", "reasons", "kernel", "dump", "oom_kills"}
    found = _object(text, keys | {"lowest_available_bytes", "cmdline_sha256", "reserved_bytes", "settings_sha256"})
    dump = found["dump"]
    if dump is not None and not (isinstance(dump, dict) and set(dump) == {"path", "bytes", "seconds"}):
        raise ParseError("dump: not as it is written")
    reasons = found["reasons"]
    if not isinstance(found["proven"], bool) or not isinstance(reasons, list) or len(reasons) > 64:
        raise ParseError("proven or reasons: not as they are written")
    kernel = found["kernel"]
    if not isinstance(kernel, dict):
        raise ParseError("kernel: not as it is written")
    digests = {key: found[key] for key in ("cmdline_sha256", "reserved_bytes", "settings_sha256")}
    return Proof(
        drill_id=_text(found, "drill_id", _ID),
        when_s=_number(found, "when_s"),
        kind=_kind_of(found),
        # A reason speaks against it, whatever else is written there.
        proven=found["proven"] and not reasons,
        reasons=tuple(clean(str(reason), 400) for reason in reasons),
        identity=_identity({**kernel, **digests}),
        dump_path=clean(str(dump["path"]), 4096) if dump else None,
        dump_bytes=_count(dump, "bytes") if dump else None,
        seconds=_count(dump, "seconds") if dump else None,
        lowest_available_bytes=_count(found, "lowest_available_bytes"),
        oom_kills=_count(found, "oom_kills"),
    )


def parse_capture(text: str) -> CaptureRecord:
    """Read what the recorder wrote in the capture kernel. Raises ParseError on anything else."""
    names = ("seconds", "total_bytes", "lowest_available_bytes", "lowest_at_s", "oom_kills")
    found = _object(text, {"schema", "drill_id", *names})
    counts = {name: _count(found, name) for name in names}
    if None in counts.values():
        raise ParseError("a figure is missing")
    return CaptureRecord(drill_id=_text(found, "drill_id", _ID), **t.cast("dict[str, int]", counts))


def _object(text: str, keys: set[str], later: Seen | None = None) -> dict[str, t.Any]:
    """`later` are values of keys that records of earlier versions lack."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ParseError("not JSON: {0}".format(clean(str(exc), 120))) from exc
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ParseError("not a record of schema {0}".format(SCHEMA))
    found = {**(later or {}), **found}
    if set(found) != keys:
        raise ParseError("it has other keys than a record has")
    return found


def _text(found: Seen, key: str, grammar: re.Pattern[str]) -> str:
    value = found[key]
    if not isinstance(value, str) or not grammar.match(value):
        raise ParseError("{0}: {1!r} does not belong there".format(key, clean(str(value), 80)))
    return value


def _maybe(found: Seen, key: str, grammar: re.Pattern[str]) -> str | None:
    return None if found[key] is None else _text(found, key, grammar)


def _kind_of(found: Seen) -> str:
    if found["kind"] not in KINDS:
        raise ParseError("kind: {0!r} is none".format(clean(str(found["kind"]), 40)))
    return str(found["kind"])


def _number(found: Seen, key: str) -> float:
    value = found[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 40:
        raise ParseError("{0}: {1!r} is no time".format(key, clean(str(value), 40)))
    return float(value)


def _count(found: Seen, key: str) -> int | None:
    value = found[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 60:
        raise ParseError("{0}: {1!r} is no count".format(key, clean(str(value), 40)))
    return value


def _identity(value: t.Any) -> Identity:
    if not isinstance(value, dict) or set(value) != set(Identity._fields):
        raise ParseError("the identity is not as it is written")
    word, digest = re.compile(r"[!-~]{1,200}\Z"), re.compile(r"[0-9a-f]{64}\Z")
    return Identity(
        release=_maybe(value, "release", word),
        package_version=_maybe(value, "package_version", word),
        cmdline_sha256=_maybe(value, "cmdline_sha256", digest),
        reserved_bytes=_count(value, "reserved_bytes"),
        settings_sha256=_maybe(value, "settings_sha256", digest),
    )
