# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads one vmcore with drgn and prints one JSON object. Started by `stacks`, in a process of its own.

A dump is hostile: its lists may be circles, its counts lies, and the reader is a C library. So
this process limits its memory, time and files before it looks, every walk has an end, each part
fails alone, and texts leave it only as JSON.

Standard input: {"core": path, "vmlinux": path, "modules": {name: path}, "wanted": [name],
"memory_bytes": N, "cpu_s": N, "dmesg": bool}.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import typing as t

__all__ = ["main"]

_CPUS = 512
_FRAMES = 64
_FRAMES_ELSEWHERE = 24  #: of a processor that did not crash
_NETDEVS = 256
_QUEUES = 256
_NAPIS = 256
_MODULES = 2048
_TEXT = 256
_DMESG = 1024 * 1024
_PROBLEMS = 50

_LINK_STATES = ("START", "PRESENT", "NOCARRIER", "LINKWATCH_PENDING", "DORMANT", "TESTING")
_QUEUE_STATES = ("DRV_XOFF", "STACK_XOFF", "FROZEN")
_STATISTICS = (
    *("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped"),
    *("multicast", "collisions", "rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors"),
    *("rx_fifo_errors", "rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors"),
    *("tx_heartbeat_errors", "tx_window_errors"),
)

_Json = dict[str, t.Any]


class _Reader:
    """What is asked of one dump. Anything that drgn raises is a reason, kept in `problems`."""

    def __init__(self, drgn: t.Any, program: t.Any) -> None:
        self._drgn = drgn
        self._program = program
        self.problems: list[str] = []

    def attempt(self, what: str, read: t.Callable[[], t.Any]) -> t.Any:
        """The value, or None with the reason in `problems`."""
        try:
            return read()
        except (RecursionError, MemoryError):
            self._problem(what, "too deep or too large")
        except Exception as exc:  # noqa: BLE001  drgn raises LookupError, FaultError, ValueError and its own kinds
            self._problem(what, "{0}: {1}".format(type(exc).__name__, str(exc).split("\n", 1)[0]))
        return None

    def _problem(self, what: str, told: str) -> None:
        if len(self.problems) < _PROBLEMS:
            self.problems.append("{0}: {1}".format(what, told)[:_TEXT])

    # --- stacks

    def frames(self, thread: t.Any, limit: int = _FRAMES) -> list[_Json]:
        """A stack, innermost first: {function, inline, module, source}."""
        trace = self._program.stack_trace(thread)
        found = []
        for number in range(min(len(trace), limit)):
            frame = trace[number]
            found.append(
                {
                    "function": _text(frame.name or hex(frame.pc)),
                    "inline": bool(frame.is_inline),
                    "module": self._module_at(frame),
                    "source": _source(frame),
                }
            )
        return found

    def _module_at(self, frame: t.Any) -> str | None:
        try:
            module = self._program.module(frame.pc)
        except LookupError:
            return None
        return None if isinstance(module, self._drgn.MainModule) else _text(module.name)

    def crashed(self) -> _Json:
        """The task that was running where it crashed, and its stack."""
        thread = self._program.crashed_thread()
        task = thread.object
        return {
            "cpu": self.attempt("the processor that crashed", lambda: self._cpu_of(task)),
            "pid": int(thread.tid),
            "task": _text(task.comm.string_()),
            "frames": self.frames(thread.tid) if thread.tid else self.frames(task),
        }

    def _cpu_of(self, task: t.Any) -> int:
        from drgn.helpers.linux.sched import task_cpu

        return int(task_cpu(task))

    def processors(self) -> list[_Json]:
        """What every processor was doing."""
        from drgn.helpers.linux.cpumask import for_each_online_cpu
        from drgn.helpers.linux.sched import cpu_curr

        found = []
        for cpu in itertools.islice(for_each_online_cpu(self._program), _CPUS):
            task = self.attempt("cpu {0}".format(cpu), lambda cpu=cpu: cpu_curr(self._program, cpu))  # type: ignore[misc]
            if task is None:
                continue
            what = "stack of cpu {0}".format(cpu)
            frames = self.attempt(what, lambda task=task: self.frames(task, _FRAMES_ELSEWHERE))  # type: ignore[misc]
            name = _text(task.comm.string_())
            found.append({"cpu": int(cpu), "pid": int(task.pid), "task": name, "frames": frames or []})
        return found

    # --- network devices

    def netdevs(self) -> list[_Json]:
        """Every network device of every network namespace."""
        from drgn.helpers.linux.net import for_each_net, for_each_netdev

        found: list[_Json] = []
        for net in itertools.islice(for_each_net(self._program), _NETDEVS):
            for device in itertools.islice(for_each_netdev(net), _NETDEVS):
                if len(found) >= _NETDEVS:
                    return found
                seen = self.attempt("a network device", lambda device=device: self._netdev(device))  # type: ignore[misc]
                if seen is not None:
                    found.append(seen)
        return found

    def _netdev(self, device: t.Any) -> _Json:
        from drgn.helpers.linux.net import netdev_name

        name = _text(netdev_name(device))
        parent = device.dev.parent
        state = int(device.state)
        flags = {word.lower(): self._bit("__LINK_STATE_" + word, state) for word in _LINK_STATES}
        return {
            "name": name,
            "driver": self.attempt(name + ": driver", lambda: _text(parent.driver.name.string_())) if parent else None,
            "bus_address": self.attempt(name + ": bus", lambda: _text(parent.kobj.name.string_())) if parent else None,
            "up": flags["start"],
            "present": flags["present"],
            "carrier": not flags["nocarrier"] if flags["nocarrier"] is not None else None,
            "mtu": int(device.mtu),
            "rx_queues": int(device.real_num_rx_queues),
            "tx_queues": int(device.real_num_tx_queues),
            "watchdog_jiffies": int(device.watchdog_timeo),
            "queues": self.attempt(name + ": transmit queues", lambda: self._queues(device)) or [],
            "napi": self.attempt(name + ": NAPI", lambda: self._napis(device)) or [],
            "statistics": self.attempt(name + ": statistics", lambda: self._statistics(device)) or {},
        }

    def _bit(self, name: str, value: int) -> bool | None:
        try:
            return bool(value >> int(self._program.constant(name)) & 1)
        except LookupError:
            return None

    def _queues(self, device: t.Any) -> list[_Json]:
        """Transmit rings as far as the core sees them: stopped, when something was sent last, bytes in flight."""
        jiffies = int(self._program["jiffies"])
        found = []
        for number in range(min(int(device.real_num_tx_queues), _QUEUES)):
            queue = device._tx[number]
            state = int(queue.state)
            seen: _Json = {"queue": number}
            for word in _QUEUE_STATES:
                seen[word.lower()] = self._bit("__QUEUE_STATE_" + word, state)
            started = int(queue.trans_start)
            seen["last_sent_jiffies_ago"] = max(0, jiffies - started) if started else None
            seen["in_flight_bytes"] = self._in_flight(queue)
            seen["waiting_packets"] = self._waiting(queue)
            found.append(seen)
        return found

    def _in_flight(self, queue: t.Any) -> int | None:
        try:  # without CONFIG_BQL there is no dql; a driver without BQL leaves it at 0
            return int(queue.dql.num_queued - queue.dql.num_completed) & 0xFFFFFFFF
        except (AttributeError, LookupError):
            return None

    def _waiting(self, queue: t.Any) -> int | None:
        try:
            return int(queue.qdisc.q.qlen)
        except (AttributeError, LookupError, self._drgn.FaultError):
            return None

    def _napis(self, device: t.Any) -> list[_Json]:
        from drgn.helpers.linux.list import list_for_each_entry

        scheduled = self._program.constant("NAPI_STATE_SCHED")
        found = []
        entries = list_for_each_entry("struct napi_struct", device.napi_list.address_of_(), "dev_list")
        for napi in itertools.islice(entries, _NAPIS):
            poll = int(napi.poll)
            try:
                function = _text(self._program.symbol(poll).name)
            except LookupError:
                function = hex(poll)
            found.append({"poll": function, "scheduled": bool(int(napi.state) >> int(scheduled) & 1)})
        return found

    def _statistics(self, device: t.Any) -> dict[str, int]:
        """`netdev->stats` and the core's own drops. Many drivers count in rings of their own: 0 there means nothing."""
        found = {name: _counter(device.stats, name) for name in _STATISTICS}
        core = self._core_statistics(device)
        return {name: count for name, count in {**found, **core}.items() if count}

    def _core_statistics(self, device: t.Any) -> dict[str, int]:
        from drgn.helpers.linux.cpumask import for_each_possible_cpu
        from drgn.helpers.linux.percpu import per_cpu_ptr

        try:
            pointer = device.core_stats
        except AttributeError:
            return {}
        total: dict[str, int] = {}
        if not pointer:
            return total
        for cpu in itertools.islice(for_each_possible_cpu(self._program), _CPUS):
            seen = per_cpu_ptr(pointer, cpu)
            for name in ("rx_dropped", "tx_dropped", "rx_nohandler", "rx_otherhost_dropped"):
                total["core_" + name] = total.get("core_" + name, 0) + _counter(seen, name)
        return total

    # --- modules

    def modules(self, wanted: t.Collection[str]) -> list[_Json]:
        """The modules asked for: {name, version, build_id, symbols}. A version is what the driver calls itself."""
        versions = self.attempt("modules", self._versions) or {}
        found = []
        for module in itertools.islice(self._program.modules(), _MODULES):
            name = module.name.replace("-", "_")
            if name in wanted and not isinstance(module, self._drgn.MainModule):
                have = module.debug_file_status == self._drgn.ModuleFileStatus.HAVE
                build_id = module.build_id.hex() if module.build_id else None
                found.append({"name": name, "version": versions.get(name), "build_id": build_id, "symbols": have})
        return found

    def _versions(self) -> dict[str, str]:
        from drgn.helpers.linux.module import for_each_module

        found = {}
        for module in itertools.islice(for_each_module(self._program), _MODULES):
            if module.version:
                found[_text(module.name.string_()).replace("-", "_")] = _text(module.version.string_())
        return found

    def dmesg(self) -> str:
        """The kernel log, its end where it is long."""
        from drgn.helpers.linux.printk import get_dmesg

        return get_dmesg(self._program)[-_DMESG:].decode("utf-8", "replace")


def _counter(holder: t.Any, name: str) -> int:
    try:
        value = getattr(holder, name)
    except AttributeError:
        return 0
    try:
        return int(value)
    except TypeError:
        return int(value.counter)  # atomic_long_t beside the plain one (struct net_device_stats since Linux 6.2)


def _text(value: bytes | str) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(letter if letter.isprintable() else " " for letter in text[:_TEXT])


def _source(frame: t.Any) -> str | None:
    try:
        name, line, _column = frame.source()
    except LookupError:
        return None
    return "{0}:{1}".format(_text(name), line)


def _limit(asked: _Json) -> None:
    """Nothing may be written, and memory and time end. The child of a hostile dump is killed, never the caller."""
    memory, seconds = int(asked["memory_bytes"]), int(asked["cpu_s"])
    for which, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _soft, hard = resource.getrlimit(which)
        resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard),) * 2)


def _read(asked: _Json) -> _Json:
    import drgn

    program = drgn.Program()
    program.set_core_dump(asked["core"])
    reader = _Reader(drgn, program)
    files = [asked["vmlinux"], *asked["modules"].values()]
    # Modules that were not asked for have no symbols: that is no error here.
    program.create_loaded_modules()
    for path in files:
        reader.attempt("symbols {0}".format(path), lambda path=path: program.load_debug_info([path]))  # type: ignore[misc]
    result: _Json = {
        "crashed": reader.attempt("the task that crashed", reader.crashed),
        "processors": reader.attempt("processors", reader.processors) or [],
        "netdevs": reader.attempt("network devices", reader.netdevs) or [],
        "modules": reader.attempt("modules", lambda: reader.modules(asked["wanted"])) or [],
        "dmesg": reader.attempt("kernel log", reader.dmesg) if asked.get("dmesg") else None,
    }
    result["problems"] = reader.problems
    result["drgn"] = getattr(drgn, "__version__", None)
    return result


def main() -> int:
    """Read the question from standard input, print the answer."""
    asked = json.load(sys.stdin)
    _limit(asked)
    try:
        result = _read(asked)
    except Exception as exc:  # noqa: BLE001  whatever it is, the caller gets a sentence
        result = {"failed": "{0}: {1}".format(type(exc).__name__, str(exc).split("\n", 1)[0])[:_TEXT]}
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
