"""What is asked of each server: to take a load, and to be killed under one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from . import process_tree
from .bodies import SPANS, TRACES, trace_ids
from .running import Running
from .sender import Sent
from .servers import Server
from .venvs import Environment

KILL_AFTER_S = 6.0
SETTLED_S = 5.0
"""A directory whose size stands still this long has settled ..."""
SETTLE_MOST_S = 60.0
"""... and is not waited for longer than this."""


@dataclass(frozen=True)
class Plan:
    """How long a load lasts, and how long its spans are waited for afterwards."""

    seconds: float
    settle_s: float


@dataclass(frozen=True)
class Load:
    """One server under one number of clients, from an empty directory."""

    server: str
    turn: int
    clients: int
    machine_load: float
    """One-minute average before the server was started."""
    accepts_s: float
    ready_s: float
    acknowledged: int
    queryable: int
    acknowledged_per_s: float
    queryable_per_s: float
    cpu_s_per_100k: float
    p50_ms: float
    p99_ms: float
    pss_idle_mb: float
    pss_peak_mb: float
    disk_bytes_per_span: float
    lasting_bytes_per_span: float
    """Less than the former only for a server that gives up files later."""
    refused: int
    errors: int
    last_error: str
    senders_cpu_s: float


@dataclass(frozen=True)
class Kill:
    """One server killed with SIGKILL under load and started again."""

    server: str
    turn: int
    clients: int
    machine_load: float
    acknowledged: int
    after_restart: int
    lost: int
    """Acknowledged and not there: by the total, and by looking up the traces acknowledged last."""
    accepts_s: float
    ready_s: float
    complete_s: float
    """From the second start until the number of spans stood still."""


def _acknowledged(sent: list[Sent]) -> int:
    return sum(one.bodies for one in sent) * SPANS


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _settled(running: Running, before_bytes: int, warm: int) -> tuple[float, float]:
    """Bytes a span after the directory has stood still and a clean stop: all, and what stays for good.

    A server that has not stored its backlog by now is divided by what it shows now, not by what it acknowledged.
    """
    started = still_since = time.perf_counter()
    size = process_tree.disk_bytes(running.directory)
    while True:
        time.sleep(1)
        now, latest = time.perf_counter(), process_tree.disk_bytes(running.directory)
        if abs(latest - size) > size / 200:
            size, still_since = latest, now
        if now - still_since > SETTLED_S or now - started > SETTLE_MOST_S:
            break
    shown, lasting = running.count(), running.server.lasting_bytes
    lasting_bytes = lasting(running.api, running.directory) if lasting else None
    running.stop()
    each = (process_tree.disk_bytes(running.directory) - before_bytes) / max(1, shown - warm)
    return each, each if lasting_bytes is None else lasting_bytes / max(1, shown)


def load(
    server: Server, environment: Environment | None, clients: int, plan: Plan, turn: int
) -> Load:
    """Take a load until every acknowledged span is shown or patience ends; blocks for minutes."""
    machine_load = os.getloadavg()[0]
    with Running(server, environment) as running:
        start = running.start()
        warm = running.warm()
        disk_before = process_tree.disk_bytes(running.directory)
        idle_mb, cpu_before_s = process_tree.pss_mb(running.pid), running.cpu_s()
        with process_tree.PeakMemory(running.pid) as peak:
            started, sent = running.send(clients, plan.seconds)
            acknowledged = _acknowledged(sent)
            complete_at, shown = running.settle(warm + acknowledged, plan.settle_s)
            cpu_s = running.cpu_s() - cpu_before_s
        # A request whose answer the client no longer waited for may be stored beyond the acknowledged ones.
        queryable = max(0, min(shown - warm, acknowledged))
        disk_each, lasting_each = _settled(running, disk_before, warm)
        latencies_ms = [value for one in sent for value in one.latencies_ms]
        return Load(
            server=server.title,
            turn=turn,
            clients=clients,
            machine_load=machine_load,
            accepts_s=start.accepts_s,
            ready_s=start.ready_s,
            acknowledged=acknowledged,
            queryable=queryable,
            acknowledged_per_s=acknowledged / max(one.seconds for one in sent),
            queryable_per_s=queryable / (complete_at - started),
            cpu_s_per_100k=cpu_s / max(1, queryable) * 1e5,
            p50_ms=_quantile(latencies_ms, 0.5),
            p99_ms=_quantile(latencies_ms, 0.99),
            pss_idle_mb=idle_mb,
            pss_peak_mb=peak.mb,
            disk_bytes_per_span=disk_each,
            lasting_bytes_per_span=lasting_each,
            refused=sum(one.refused for one in sent),
            errors=sum(one.errors for one in sent),
            last_error=next((one.last_error for one in sent if one.last_error), ""),
            senders_cpu_s=sum(one.cpu_s for one in sent),
        )


def kill(server: Server, environment: Environment | None, clients: int, turn: int) -> Kill:
    """Kill the whole tree in the middle of a load, start it again, and look for what it acknowledged."""
    machine_load = os.getloadavg()[0]
    with Running(server, environment) as running:
        running.start()
        warm = running.warm()

        def strike() -> None:
            time.sleep(KILL_AFTER_S)
            running.kill()

        _, sent = running.send(clients, KILL_AFTER_S * 10, meanwhile=strike)
        acknowledged = _acknowledged(sent)
        again = time.perf_counter()
        start = running.start()
        complete_at, shown = running.settle(warm + acknowledged)
        recent = [t for one in sent for number in one.recent for t in trace_ids(one.client, number)]
        found = running.server.count_in(running.api, running.directory, recent)
        missing_recent = len(recent) * SPANS // TRACES - found
        return Kill(
            server=server.title,
            turn=turn,
            clients=clients,
            machine_load=machine_load,
            acknowledged=acknowledged,
            after_restart=shown - warm,
            lost=max(0, acknowledged - (shown - warm), missing_recent),
            accepts_s=start.accepts_s,
            ready_s=start.ready_s,
            complete_s=complete_at - again,
        )
