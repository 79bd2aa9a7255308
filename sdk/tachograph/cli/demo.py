"""``tacho demo``: record runs of the bundled agents."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from tachograph.cli import demo_alert, demo_history, up
from tachograph.cli.problem import require_server
from tachograph_schemas.instance import Instance, read_instance
from tachograph_schemas.settings import DEFAULT_ENDPOINT, SHARED, home, resolve

_QUERYABLE_S = 15.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "demo",
        help="record runs of the bundled demo agents",
        description="Record runs of the demo agents into the running collector, or into a temporary one "
        "that is gone afterwards. With ANTHROPIC_API_KEY they call the real API; without, a bundled "
        "local server speaks the same protocol.",
    )
    parser.add_argument("agents", nargs="*", metavar="AGENT", help="only these (default: all)")
    parser.add_argument(
        "--up",
        action="store_true",
        help="start collector and dashboard first, and keep them running until Ctrl-C",
    )
    parser.add_argument(
        "--alert",
        action="store_true",
        help="with an alert, told to a webhook on this machine; always so with a collector of its own",
    )
    parser.add_argument(
        "--no-history",
        action="store_true",
        help="without the three weeks of made-up runs (agents demo-healthy, demo-drifting, demo-deployed) that the "
        "page of drift shows",
    )
    parser.add_argument("--list", action="store_true", help="say which agents there are")
    parser.add_argument("--json", action="store_true", help="print the recorded runs as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Record: 0 done, 1 an agent could not be recorded, 2 unknown agent, 3 the collector went away.

    Raises:
        Problem: no collector runs, and the packages to start one are not installed.
    """
    from tachograph import demo

    if arguments.list:
        for name, what in demo.AGENTS.items():
            print(f"{name:<10} {what}")
        return 0
    unknown = [name for name in arguments.agents if name not in demo.AGENTS]
    if unknown:
        known = ", ".join(demo.AGENTS)
        print(f"tacho: there is no demo agent {unknown[0]!r}; there are {known}.", file=sys.stderr)
        return 2
    given = resolve(SHARED)
    running = read_instance(home(given["home"]))
    endpoint = _endpoint(str(given["endpoint"]), running, up=arguments.up)
    if endpoint and _answers(endpoint):
        return _record(arguments, endpoint, running)
    require_server("clickhouse_connect", "chdb", "fastapi", "uvicorn")
    if arguments.up:
        return _up_and_record(arguments)
    with _temporary() as (instance, said):
        if instance is None:
            print(
                f"tacho: no collector answers, and none could be started. {said}", file=sys.stderr
            )
            return 3
        print("No collector is running: recording into a temporary one.", file=sys.stderr)
        arguments.alert = True
        # Nobody will look at a past that is gone in a moment.
        arguments.no_history = True
        return _record(arguments, instance.collector, instance, show=True)


def _endpoint(given: str, running: Instance | None, *, up: bool) -> str:
    """Which collector to record into if it answers; empty: none, start one."""
    if given != DEFAULT_ENDPOINT:
        return given
    if running is not None:
        return running.collector
    # On the port of the default may be that of another user, whom the demo is no business of.
    return "" if up else given


def _record(
    arguments: argparse.Namespace, endpoint: str, instance: Instance | None, *, show: bool = False
) -> int:
    from tachograph import demo

    with_history = not (arguments.no_history or arguments.agents)
    key = str(resolve(SHARED)["api_key"])
    past = demo_history.sending(endpoint, key) if with_history else nullcontext()
    with past, _alert(endpoint) if arguments.alert else nullcontext() as heard:
        results = demo.run_all(endpoint=endpoint, only=arguments.agents or None)
        stops = any(result.agent == demo_alert.AGENT for result in results)
        told = heard.sentence() if heard is not None and stops else ""
    if not results:
        print(f"tacho: the collector at {endpoint} took no run.", file=sys.stderr)
        return 3
    accounts = _accounts(instance, [result.run_id for result in results]) if instance else {}
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return 0
    width = max(len(result.agent) for result in results)
    print("Recorded:")
    for result in results:
        print(f"  {result.agent:<{width}}  {result.outcome:<9} {result.run_id}")
    if told:
        print(f"\n{told}")
    if show:
        for text in accounts.values():
            print(f"\n{text}")
    elif instance is not None and instance.dashboard:
        print(f"\nRead them at {instance.dashboard}")
        if with_history:
            print(f"Drift, on three weeks of made-up runs: {instance.dashboard}/drift")
        print(f"or with `tacho show {results[0].run_id[:8]}`.")
    else:
        print(f"\nRead one with `tacho show {results[0].run_id[:8]}`.")
    sys.stdout.flush()
    return 0


def _alert(endpoint: str) -> AbstractContextManager[demo_alert.Heard]:
    return demo_alert.listening(endpoint, str(resolve(SHARED)["api_key"]))


def _up_and_record(arguments: argparse.Namespace) -> int:
    """Everything in one: the collector here, the demo as a process of its own beside it."""
    words = [sys.executable, "-m", "tachograph.cli", "demo", "--alert", *arguments.agents]
    words += ["--no-history"] if arguments.no_history else []
    for name, value in (demo_alert.NETWORKS | demo_history.SETTLED_SOON).items():
        os.environ.setdefault(name, value)

    recording: list[subprocess.Popen[bytes]] = []

    def record(instance: Instance) -> None:
        environment = os.environ | {"TACHO_ENDPOINT": instance.collector}
        # Ctrl-C is ours to hear: a program that is just starting shows where it was.
        recording.append(subprocess.Popen(words, env=environment, start_new_session=True))
        recording[0].wait()

    try:
        return up.serve(then=record)
    finally:
        for process in recording:
            process.terminate()
            process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


@contextmanager
def _temporary() -> Iterator[tuple[Instance | None, str]]:
    """A collector on free ports whose data goes with it."""
    with tempfile.TemporaryDirectory(prefix="tachograph-demo-") as directory:
        free_ports = dict.fromkeys(
            ("TACHO_HTTP_PORT", "TACHO_GRPC_PORT", "TACHO_GATEWAY_PORT"), "0"
        )
        environment = (
            os.environ
            | free_ports
            | demo_alert.NETWORKS
            | {"TACHO_HOME": directory, "TACHO_CLICKHOUSE": ""}
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            try:
                instance: Instance | None = Instance(**json.loads(line))
                said = ""
            except (ValueError, TypeError):
                instance, said = None, "Run `tacho up` to see why."
            yield instance, said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _accounts(instance: Instance, run_ids: list[str]) -> dict[str, str]:
    """Wait until the runs can be read, and give their accounts."""
    try:
        from tachograph.cli.show import account_text
        from tachograph_schemas import queries, store
        from tachograph_schemas.account import build
    except ImportError:
        return {}
    client: Any = store.connect(instance.gateway or str(resolve(SHARED)["clickhouse"]))
    try:
        deadline = time.monotonic() + _QUERYABLE_S
        texts: dict[str, str] = {}
        for run_id in run_ids:
            found = queries.run(client, run_id)
            while (found is None or found.outcome == "running") and time.monotonic() < deadline:
                time.sleep(0.1)
                found = queries.run(client, run_id)
            if found is not None:
                told = build(found, queries.account_spans(client, run_id))
                texts[run_id] = account_text(found, told)
        return texts
    finally:
        client.close()
