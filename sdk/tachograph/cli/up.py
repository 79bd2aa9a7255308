"""``tacho up``: the collector in this process, the dashboard as its child."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tachograph.cli.problem import needs_server
from tachograph_schemas.instance import Instance, write_instance
from tachograph_schemas.settings import DEFAULT_ENDPOINT, SettingsError, unknown_names

_DASHBOARD_START_S = 60.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "up",
        help="start the collector and the dashboard",
        description="Start the collector with the embedded engine (or TACHO_CLICKHOUSE) and the "
        "dashboard, and run until Ctrl-C.",
    )
    parser.add_argument("--no-dashboard", action="store_true", help="run the collector alone")
    parser.add_argument(
        "--json", action="store_true", help="print the addresses as one JSON line once ready"
    )
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Run until stopped: 0 after a clean stop, 1 when something cannot start, 2 for bad settings."""
    return serve(as_json=arguments.json, with_dashboard=not arguments.no_dashboard)


def serve(
    *,
    as_json: bool = False,
    with_dashboard: bool = True,
    then: Callable[[Instance], None] | None = None,
) -> int:
    """Run the collector here and the dashboard beside it; ``then`` is called on a thread once ready."""
    try:
        # Its handlers of forks complain when the dashboard is started; nothing here forks and stays.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        from tachograph_collector import settings as collector_settings
        from tachograph_collector.ending import ends_with
        from tachograph_collector.errors import StartError
        from tachograph_collector.server import run
    except ImportError as error:
        raise needs_server(error) from error
    _log_to_stderr(quiet=not as_json)
    try:
        settings = collector_settings.load()
    except SettingsError as error:
        print(f"tacho: {error}", file=sys.stderr)
        return 2
    for sentence in unknown_names():
        print(f"tacho: {sentence}", file=sys.stderr)
    host = _Host(settings, as_json=as_json, with_dashboard=with_dashboard, then=then)
    try:
        run(settings, host.announce)
    except StartError as error:
        print(f"tacho: {error}", file=sys.stderr)
        return ends_with(1)
    finally:
        host.stop()
    if not (as_json or host.failed):
        # The terminal has shown ^C, and stands behind it.
        print("\nStopped.", flush=True)
    return ends_with(1 if host.failed else 0)


class _Host:
    """What surrounds the collector: the dashboard process and the words to the person."""

    def __init__(
        self,
        settings: Any,
        *,
        as_json: bool,
        with_dashboard: bool,
        then: Callable[[Instance], None] | None,
    ) -> None:
        self._settings = settings
        self._as_json = as_json
        self._with_dashboard = with_dashboard
        self._then = then
        self._dashboard: subprocess.Popen[str] | None = None
        self._stopping = False
        self.failed = False

    def announce(self, instance: Instance) -> None:
        """The collector answers. Called on its event loop, so the rest happens on a thread."""
        threading.Thread(target=self._finish, args=(instance,), daemon=True).start()

    def _finish(self, instance: Instance) -> None:
        if self._with_dashboard:
            url = self._start_dashboard(instance)
            if url is None:
                if not self._stopping:
                    self.failed = True
                    os.kill(os.getpid(), signal.SIGTERM)
                return
            instance = replace(instance, dashboard=url)
            write_instance(self._settings.home, instance)
        # Whoever reads our output may be gone; that is no reason to stop.
        with contextlib.suppress(BrokenPipeError):
            self._say(instance)
        if self._then is not None:
            self._then(instance)
        if self._dashboard is not None:
            self._watch(self._dashboard)

    def _watch(self, dashboard: subprocess.Popen[str]) -> None:
        """Say when the dashboard ends by itself.

        Waiting here also keeps this thread alive: the kernel's death signal goes by the thread that
        started the child, not by the process.
        """
        code = dashboard.wait()
        if not self._stopping:
            said = _last_line(self._settings.home / "dashboard.log")
            print(
                f"tacho: the dashboard ended with code {code}; the collector goes on. {said}",
                file=sys.stderr,
            )

    def _start_dashboard(self, instance: Instance) -> str | None:
        """Start the dashboard and wait for its address; ``None`` when it does not come up."""
        log_path = self._settings.home / "dashboard.log"
        environment = os.environ | {
            "TACHO_HOME": str(self._settings.home),
            "TACHO_CLICKHOUSE": instance.gateway or self._settings.clickhouse,
            "TACHO_ENDPOINT": instance.collector,
        }
        if not os.environ.get("TACHO_DASHBOARD_PUBLIC_URL"):
            # The collector may listen beyond this machine, with a key; the dashboard has no login.
            environment["TACHO_HOST"] = "127.0.0.1"
        with log_path.open("w", encoding="utf-8") as log:
            self._dashboard = subprocess.Popen(
                # Told by its arguments: between a fork and the program no code of ours runs, which the engine's
                # threads could have left standing at a lock.
                [sys.executable, "-m", "tachograph_dashboard", "--parent", str(os.getpid())],
                env=environment,
                cwd=self._settings.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for us; we stop the dashboard first, then the collector.
                start_new_session=True,
            )
        watchdog = threading.Timer(_DASHBOARD_START_S, self._dashboard.kill)
        watchdog.start()
        try:
            stdout = self._dashboard.stdout
            line = stdout.readline() if stdout is not None else ""
        finally:
            watchdog.cancel()
        try:
            return str(json.loads(line)["dashboard"])
        except (ValueError, KeyError, TypeError):
            if not self._stopping:
                said = _last_line(log_path)
                print(f"tacho: the dashboard did not start. {said}", file=sys.stderr)
            return None

    def _say(self, instance: Instance) -> None:
        if self._as_json:
            print(json.dumps(asdict(instance)), flush=True)
            return
        rows = [("Dashboard", instance.dashboard or "not started (--no-dashboard)")]
        rows.append(("OTLP/HTTP", instance.collector))
        if instance.gateway:
            address = instance.gateway.rpartition("@")[2].split("/")[0]
            rows.append(("ClickHouse", f"http://{address}  (tacho dsn prints it with its token)"))
        else:
            rows.append(("ClickHouse", "the server of TACHO_CLICKHOUSE"))
        rows.append(("Data", str(self._settings.home)))
        print("Tachograph is recording.\n")
        for name, value in rows:
            print(f"  {name:<11} {value}")
        if instance.collector != DEFAULT_ENDPOINT:
            print(f"\nPrograms find it with TACHO_ENDPOINT={instance.collector}")
        if self._then is None:
            print("\nRecord something with `tacho demo`. Ctrl-C stops.", flush=True)
        else:
            print("\nThe demo agents are at work, for half a minute. Ctrl-C stops.", flush=True)

    def stop(self) -> None:
        """Stop the dashboard, if there is one."""
        self._stopping = True
        if self._dashboard is None:
            return
        self._dashboard.terminate()
        try:
            self._dashboard.wait(5)
        except subprocess.TimeoutExpired:
            self._dashboard.kill()
            self._dashboard.wait()


def _log_to_stderr(*, quiet: bool) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f"{lines[-1]} (more in {path})" if lines else f"See {path}."
