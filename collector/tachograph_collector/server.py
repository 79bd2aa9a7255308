"""The collector as a process: what starts in which order, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI

from tachograph_collector.app import CollectorApp, control_api
from tachograph_collector.control.plane import ControlPlane
from tachograph_collector.drift.api import add_drift
from tachograph_collector.drift.keeping import DriftTables
from tachograph_collector.drift.process import Work
from tachograph_collector.drift.service import DriftService
from tachograph_collector.ending import ends_with
from tachograph_collector.errors import StartError
from tachograph_collector.gateway import EnginePool, create_gateway
from tachograph_collector.gateway.token import ensure_token
from tachograph_collector.grpc_intake import GrpcIntake
from tachograph_collector.housekeeping import Housekeeping
from tachograph_collector.intake import Intake
from tachograph_collector.kept_bodies import KeptBodies
from tachograph_collector.listeners import Server, listen, server, url
from tachograph_collector.loader import Loader
from tachograph_collector.lock import HomeLock
from tachograph_collector.metrics import Metrics
from tachograph_collector.pace import BatchLimits
from tachograph_collector.prices_api import add_prices
from tachograph_collector.quarantine import Quarantine
from tachograph_collector.quarantine_api import add_quarantine
from tachograph_collector.quarantine_retry import QuarantineRetry
from tachograph_collector.receive import Receiver
from tachograph_collector.recordings import RecordingStore
from tachograph_collector.recordings_api import add_recordings
from tachograph_collector.settings import Settings
from tachograph_collector.side_door import SideDoor
from tachograph_collector.store import EngineStore
from tachograph_collector.wal import Log
from tachograph_collector.wal.log import Limits
from tachograph_schemas import metric_names
from tachograph_schemas.instance import Instance, remove_instance, write_instance
from tachograph_schemas.quarantine import DIRECTORY
from tachograph_schemas.store import Layout

logger = logging.getLogger(__name__)

_DRAIN_S = 10.0
_ANSWER_S = 5  # for calls under way to be answered
_OPEN_FILES = 65_536


class Collector:
    """One collector process. Create, then :meth:`run`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._lock = HomeLock(settings.home)
        self._kept = KeptBodies()
        self._metrics = Metrics()
        self._servers: list[tuple[Server, asyncio.Task[None]]] = []
        self._grpc: GrpcIntake | None = None
        self._pool: EnginePool | None = None
        self._reads_from = ""

    async def run(self, announce: Callable[[Instance], None]) -> None:
        """Serve until SIGINT or SIGTERM; ``announce`` is called once everything answers.

        Raises:
            StartError: it cannot start; the message says what to do.
        """
        _make_home(self._settings.home)
        _allow_open_files()
        self._lock.acquire()
        try:
            control = await asyncio.to_thread(ControlPlane, self._settings)
            try:
                refuse_open_door(self._settings, has_keys=control.store.any)
                await self._run_locked(announce, control)
            finally:
                await asyncio.to_thread(control.close)
        finally:
            self._lock.release()

    async def _run_locked(
        self, announce: Callable[[Instance], None], control: ControlPlane
    ) -> None:
        settings = self._settings
        layout = Layout(settings.clickhouse_cluster, settings.retention_days)
        engine = EngineStore(settings.clickhouse, layout, settings.home / "work")
        otlp_socket = listen(settings.host, settings.http_port, "TACHO_HTTP_PORT")
        gateway_socket = self._listen_gateway() if engine.embedded else None
        self._grpc = GrpcIntake(settings.host, settings.grpc_port, settings.max_body_bytes)
        log = _open_log(settings)
        quarantine = Quarantine(
            settings.home / DIRECTORY, self._metrics, settings.quarantine_max_bytes
        )
        retry = QuarantineRetry(quarantine, log, self._metrics)
        loader = self._loader(log, engine, quarantine)
        receiver = Receiver(log, self._metrics, max_body_bytes=settings.max_body_bytes)
        drift = self._drift(control)
        chores = (
            retry,
            Housekeeping(settings.clickhouse, layout, settings.max_disk_bytes, self._metrics),
            drift,
            control.alerts,
        )
        try:
            self._handle_signals()
            # Listen first: a client gives up after ten seconds, recovery may take longer, and the log
            # can take bodies before the engine is open.
            api = control_api(version("tachograph"), log, loader, self._metrics)
            add_quarantine(api, quarantine, retry, control.access)
            self._add_stored(api, control, loader, drift)
            control.serve(api, url(otlp_socket))
            self._serve(CollectorApp(Intake(receiver, control.keys, self._kept), api), otlp_socket)
            await self._grpc.start(receiver, control.keys)
            await self._until_loaded(loader)
            gateway = self._open_gateway(gateway_socket)
            self._reads_from = gateway or settings.clickhouse
            for chore in chores:
                chore.start()
            if not self._stop.is_set():
                instance = _instance(url(otlp_socket), self._grpc.address, gateway)
                _write_instance(settings.home, instance)
                announce(instance)
            await self._stop.wait()
        finally:
            receiver.stopping = True
            control.release()
            for chore in chores:
                await asyncio.to_thread(chore.stop)
            await self._shut_down(loader, log)
            remove_instance(settings.home, os.getpid())

    def _listen_gateway(self) -> socket.socket:
        # Whatever TACHO_HOST says: the embedded engine cannot confine SQL.
        return listen("127.0.0.1", self._settings.gateway_port, "TACHO_GATEWAY_PORT")

    def _loader(self, log: Log, engine: EngineStore, quarantine: Quarantine) -> Loader:
        settings = self._settings
        limits = BatchLimits(
            settings.batch_max_spans, settings.batch_max_bytes, settings.batch_linger_ms / 1e3
        )
        self._metrics.gauge(metric_names.LOG_UNSTORED_BYTES, lambda: log.unstored_bytes)
        self._metrics.gauge(metric_names.LOG_OLDEST_UNSTORED_S, lambda: log.oldest_unstored_s)
        self._metrics.gauge(metric_names.LOG_DAMAGES, lambda: log.damages)
        self._metrics.gauge(
            metric_names.LOG_UNSTORED_BODIES, lambda: log.committed - log.checkpoint
        )
        return Loader(log, engine, quarantine, self._metrics, limits)

    def _add_stored(
        self, api: FastAPI, control: ControlPlane, loader: Loader, drift: DriftService
    ) -> None:
        """Routes over what is stored, in the engine or the control database."""
        engine = SideDoor(self._settings.clickhouse, loader.ready)
        add_recordings(api, RecordingStore(engine), control.access, self._kept)
        add_prices(api, engine, control.audit, control.access)
        add_drift(api, drift, control.access)

    def _drift(self, control: ControlPlane) -> DriftService:
        settings = self._settings

        def work() -> Work:
            return Work(
                self._reads_from,
                settings.control_db,
                settings.drift_budget_runs,
                settings.drift_settle_s,
                settings.drift_max_memory_bytes,
            )

        tables = DriftTables(control.database)
        drift = DriftService(tables, control.audit, settings.drift_budget_runs, work)
        self._metrics.gauge(metric_names.DRIFT_BEHIND_S, lambda: drift.behind_s)
        self._metrics.gauge(metric_names.DRIFT_RESTARTS, lambda: drift.restarts)
        return drift

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a closed terminal is no reason to stop.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._stop.set)

    def _serve(self, app: object, bound: socket.socket) -> None:
        serving = server(app)
        task = asyncio.create_task(serving.serve(sockets=[bound]))
        self._servers.append((serving, task))

    async def _until_loaded(self, loader: Loader) -> None:
        """Wait until the engine is open and recovered, or the process is told to stop."""
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()

        def announce_opened() -> None:
            loop.call_soon_threadsafe(opened.set)

        loader.start(announce_opened)
        waits = [asyncio.create_task(opened.wait()), asyncio.create_task(self._stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if loader.failure is not None:
            raise StartError(_engine_refusal(self._settings, loader.failure)) from loader.failure

    def _open_gateway(self, bound: socket.socket | None) -> str:
        """Serve the embedded engine to other processes; returns the DSN, empty with a server."""
        if bound is None or self._stop.is_set():
            return ""
        token = ensure_token(self._settings.home)
        path = Path(self._settings.clickhouse.removeprefix("chdb://"))
        self._pool = EnginePool(path, self._settings.gateway)
        self._serve(create_gateway(self._pool, token), bound)
        host = url(bound).removeprefix("http://")
        return f"http://tacho:{token}@{host}/default"

    async def _shut_down(self, loader: Loader, log: Log) -> None:
        # The intake listens to the end, and says "not now" to whoever comes: a refused connection says less.
        await self._end_servers(self._servers[1:])
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(log.close)
        stored = await asyncio.to_thread(loader.stop, _DRAIN_S)
        await self._end_servers(self._servers[:1], self._grpc)
        if not stored:
            logger.warning(
                "Stopped before everything was stored; the log has it for the next start."
            )

    async def _end_servers(
        self, servers: list[tuple[Server, asyncio.Task[None]]], grpc: GrpcIntake | None = None
    ) -> None:
        """Close listeners once the calls under way are answered, or after a few seconds."""
        for serving, _ in servers:
            serving.should_exit = True
        tasks = [task for _, task in servers]
        if grpc is not None:
            tasks.append(asyncio.create_task(grpc.stop(_ANSWER_S)))
        await asyncio.gather(*tasks, return_exceptions=True)


def _write_instance(home: Path, instance: Instance) -> None:
    """Without the file the command line and the dashboard need TACHO_ENDPOINT: no reason to stop collecting."""
    try:
        write_instance(home, instance)
    except OSError as error:
        logger.error("The file that says where this collector is cannot be written: %s", error)


def _instance(collector: str, grpc: str, gateway: str) -> Instance:
    return Instance(
        pid=os.getpid(),
        collector=collector,
        grpc=grpc,
        gateway=gateway,
        dashboard=None,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def run(settings: Settings, announce: Callable[[Instance], None] | None = None) -> None:
    """Run a collector in this process until it is told to stop.

    ``announce`` is called on the event loop once everything answers; without it, one JSON line is printed.

    Raises:
        StartError: it cannot start.
    """
    import uvloop

    ends_with(1)  # until somebody knows better
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Collector(settings).run(announce or _print_instance))


def _print_instance(instance: Instance) -> None:
    # The reader may be gone, and that is no reason to stop collecting.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(asdict(instance)), flush=True)


def refuse_open_door(settings: Settings, *, has_keys: bool) -> None:
    """Beyond this machine, only with a key: one that was made (``has_keys``), or ``TACHO_API_KEY``.

    Raises:
        StartError: the host is not loopback and there is no key.
    """
    if not settings.is_loopback and not settings.api_key and not has_keys:
        raise StartError(
            f"TACHO_HOST={settings.host} can be reached from other machines, and there is no key. Make "
            "one on this machine (`tacho up`, then `tacho key create NAME --role admin`), or set "
            "TACHO_API_KEY for the collector and its clients, or bind 127.0.0.1."
        )


def _allow_open_files() -> None:
    """As many open files as the system lets us have: the engine holds three for each of its threads.

    Many systems start programs with 1,024, which a busy collector with its clients would reach.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = home / "engine"
        engine.mkdir(exist_ok=True, mode=0o700)
        # The embedded engine reads config.xml from the working directory and writes a cache into it:
        # it must be a directory of ours.
        os.chdir(engine)
    except OSError as error:
        raise StartError(
            f"{home} cannot be used ({error.strerror}). Set TACHO_HOME to a directory that can be "
            "written."
        ) from error
    if (engine / "config.xml").exists():
        raise StartError(f"{engine} holds a config.xml that is not ours. Remove it.")


def _open_log(settings: Settings) -> Log:
    limits = Limits(
        settings.log_segment_bytes,
        settings.log_max_bytes,
        settings.min_free_bytes,
        settings.log_keep_s,
    )
    directory = settings.home / "log"
    try:
        return Log(directory, limits)
    except OSError as error:
        raise StartError(
            f"The log in {directory} cannot be opened ({error.strerror or error}). Check the disk "
            "and the rights, or set TACHO_HOME to another directory."
        ) from error


def _engine_refusal(settings: Settings, failure: Exception) -> str:
    if not settings.clickhouse.startswith("chdb://"):
        return f"ClickHouse refuses: {failure}"
    path = settings.clickhouse.removeprefix("chdb://")
    text = str(failure).strip()
    if "EmbeddedServer" in text or "Unable to open" in text or "lock" in text.lower():
        return (
            f"The embedded engine cannot open {path}. Most likely another process uses it: stop that "
            f"one, or set TACHO_CLICKHOUSE to another path. ({text})"
        )
    return f"The embedded engine cannot open {path}: {text}"
