# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program that systemd starts after a boot: reads new crashes, leaves records, tells a webhook.

It lives in a zip beside the parts of this package that it needs (plugin_utils/host_program.py
makes it), so that a host needs neither Ansible nor a network for it.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import typing as t
import urllib.error
import urllib.request

from .._core.errors import CoreError
from .._core.oops import Tables, tables_from
from .._core.text import clean
from .._host.crashrecords import FOLDER, brief, collect_records
from .._host.local import LocalHost
from .crashtriage import Wanted, triage_host
from .files import Stopped, write_file

__all__ = ["main", "send_new"]

#: Records sent in one run: a first run on an old host would flood.
_SENT_LIMIT = 20
_TIMEOUT_S = 20
_CONFIG_LIMIT = 64 * 1024
#: Beside the record: it was delivered.
_MARK = ".sent"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The header is a secret of one address; nobody sends it on to another."""

    def redirect_request(self, *_about: t.Any, **_more: t.Any) -> None:
        """Follow none."""


def main(argv: t.Sequence[str]) -> int:
    """One run: 0 well, 1 something could not be written or sent. The journal gets a line a crash."""
    try:
        config = _read_config(argv[0])
        wanted = Wanted(folder=str(config["folder"]), thin_out=bool(config.get("thin_out")))
        result = triage_host(LocalHost(), wanted, _tables())
    except (OSError, ValueError, KeyError, IndexError, CoreError, Stopped) as exc:
        _complain(clean(str(exc), 1000))
        return 1
    sys.stdout.writelines(_line(record) + "\n" for record in result["records"])
    for path, reason in sorted(result["unread"].items()):
        _complain("{0}: {1}".format(clean(path, 400), clean(reason)))
    failed = send_new(config.get("webhook"), FOLDER)
    for text in failed:
        _complain(text)
    return 1 if failed else 0


def _complain(text: str) -> None:
    sys.stderr.write("crashready: {0}\n".format(text))


def _read_config(path: str) -> dict[str, t.Any]:
    with open(path, encoding="utf-8") as stream:
        config = json.loads(stream.read(_CONFIG_LIMIT))
    if not isinstance(config, dict):
        raise ValueError("{0}: not an object".format(path))
    return config


def _tables() -> Tables:
    package = __name__.split(".", maxsplit=1)[0]
    documents = {}
    for name in ("core", "drivers", "rules"):
        data = pkgutil.get_data(package, "tables/{0}.json".format(name))
        if data is None:
            raise ValueError("the table {0}.json is missing from the program; run the role again".format(name))
        documents[name] = json.loads(data)
    return tables_from(documents)


def _line(record: t.Mapping[str, t.Any]) -> str:
    signature = record.get("signature") or {}
    return clean(
        "crash: kind={0} path={1} driver={2} in={3} signature={4} from={5}".format(
            *(record.get(key) for key in ("kind", "path", "driver", "function")),
            signature.get("exact"),
            record.get("path_of_crash"),
        ),
        1000,
    )


def send_new(webhook: t.Any, folder: str) -> list[str]:
    """Post every record of a crash that was not posted yet, newest first; what went wrong, one text each.

    The body is {"schema": 1, "event": "crash", "record": the short form that facts carry}.
    """
    if not isinstance(webhook, dict) or not webhook.get("url"):
        return []
    records = collect_records(LocalHost(), folder)
    new = [
        (name, record)
        for name, record in records.items()
        if record.get("kind") not in (None, "unknown") and not os.path.exists(os.path.join(folder, name + _MARK))
    ]
    failed = []
    for name, record in sorted(new, key=lambda each: str(each[1].get("crashed_at")), reverse=True)[:_SENT_LIMIT]:
        told = _post(webhook, {"schema": 1, "event": "crash", "record": brief(record)})
        if told is None:
            write_file(os.path.join(folder, name + _MARK), b"", 0o600)
        else:
            failed.append(
                "the webhook did not take {0}: {1}; it is tried again at the next run".format(clean(name), told)
            )
    return failed


def _post(webhook: t.Mapping[str, t.Any], body: t.Mapping[str, t.Any]) -> str | None:
    """None where it was taken, else the reason, without the address: it often carries a token."""
    url = str(webhook["url"])
    if not url.startswith(("http://", "https://")):
        return "not an http or https address"
    headers = {"Content-Type": "application/json", "User-Agent": "crashready"}
    if webhook.get("header") and webhook.get("value"):
        headers[str(webhook["header"])] = str(webhook["value"])
    data = json.dumps(body, sort_keys=True).encode("ascii")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310  http and https alone, see above
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as exc:
        exc.close()
        return "HTTP {0}".format(exc.code)
    except (OSError, ValueError) as exc:
        return clean(str(getattr(exc, "reason", None) or type(exc).__name__), 200)
    return None
