"""SDKs side by side: one decorated call recorded with its payloads and sent to a sink on this machine."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .report import table
from .venvs import Environment, NotInstalledError, clean_environment, default_directory, ensure

HERE = Path(__file__).parent
TIMEOUT_S = 300
TITLES = {
    "plain": ("undecorated", "pass"),
    "ours": ("Tachograph, recording for replay", "import tachograph"),
    "ours-spans": ("Tachograph, spans alone", "import tachograph"),
    "otel": (
        "OpenTelemetry by hand",
        "import opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.http.trace_exporter",
    ),
    "langfuse": ("Langfuse @observe", "from langfuse import observe, get_client"),
    "langsmith": ("LangSmith @traceable", "from langsmith import traceable, Client"),
    "logfire": ("Logfire instrument", "import logfire"),
    "mlflow": ("MLflow trace (OTLP)", "import mlflow"),
    "traceloop": (
        "Traceloop @task",
        "from traceloop.sdk import Traceloop; from traceloop.sdk.decorators import task",
    ),
    "phoenix-otel": ("Phoenix @tracer.tool", "from phoenix.otel import register"),
}
"""Name in the table, and the imports that its users write."""

IMPORT = """import json, resource, sys, time
def used():
    r = resource.getrusage(resource.RUSAGE_SELF); return r.ru_utime + r.ru_stime
def kb(): return int(open('/proc/self/statm').read().split()[1]) * 4
before, cpu, memory, modules = time.perf_counter(), used(), kb(), len(sys.modules)
{statement}
print('@@' + json.dumps({{'import_s': time.perf_counter() - before, 'import_cpu_s': used() - cpu,
    'import_mb': (kb() - memory) / 1e3, 'modules': len(sys.modules) - modules}}), flush=True)
"""


@dataclass(frozen=True)
class Record:
    """One SDK in one turn."""

    peer: str
    version: str
    turn: int
    machine_load: float
    calls: int
    delivered: int
    """Results that reached the sink; the warm-up's hundred calls included, as in ``calls``."""
    delivered_arguments: int
    caller_us: float
    process_cpu_s_per_100k: float
    resident_mb: float
    wire_bytes: float
    import_s: float
    import_cpu_s: float
    import_mb: float
    modules: int


class ChildError(Exception):
    """The peer's process did not give a result; the text is its last line."""


@contextmanager
def sink() -> Iterator[subprocess.Popen[str]]:
    """A sink process; its first line holds the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.sink"],
        cwd=HERE.parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _line(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    said: dict[str, int] = json.loads(process.stdout.readline())
    return said


def _child(python: str, words: list[str]) -> dict[str, float]:
    """The result line of a process in an empty home of its own."""
    with tempfile.TemporaryDirectory(prefix="tacho-peer-") as home:
        variables = clean_environment() | {"HOME": home, "TACHO_HOME": home, "DO_NOT_TRACK": "1"}
        try:
            done = subprocess.run(
                [python, *words],
                check=False,
                cwd=home,
                env=variables,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ChildError(f"gave no result within {TIMEOUT_S} s") from error
    results = [line[2:] for line in done.stdout.splitlines() if line.startswith("@@")]
    if not results:
        raise ChildError((done.stderr.strip().splitlines() or ["said nothing"])[-1][:300])
    found: dict[str, float] = json.loads(results[-1])
    return found


def measure(peer: str, environment: Environment | None, batches: int, turn: int) -> Record:
    """Blocks for seconds. Raises ChildError when the peer gives no result."""
    python = str(environment.python) if environment else sys.executable
    machine_load = os.getloadavg()[0]
    with sink() as process:
        url = f"http://127.0.0.1:{_line(process)['port']}"
        called = _child(python, [str(HERE / "sdk_child"), peer, url, str(batches)])
        assert process.stdin is not None
        process.stdin.write("counts\n")
        process.stdin.flush()
        reached = _line(process)
    imported = _child(python, ["-c", IMPORT.format(statement=TITLES[peer][1])])
    calls = (batches + 1) * 100
    return Record(
        peer=peer,
        version=environment.version if environment else "",
        turn=turn,
        machine_load=machine_load,
        calls=calls,
        delivered=reached["results"],
        delivered_arguments=reached["arguments"],
        wire_bytes=reached["wire_bytes"] / calls,
        modules=int(imported.pop("modules")),
        **called,
        **imported,
    )


def _delivered(chosen: list[Record]) -> str:
    calls = sum(record.calls for record in chosen)
    whole = sum(min(record.delivered, record.delivered_arguments) for record in chosen)
    return f"{whole / calls:.1%}"


def markdown(records: list[Record]) -> str:
    """Medians over the turns, one row a peer, against OpenTelemetry by hand."""

    def middle(peer: str, name: str) -> float:
        return statistics.median(float(getattr(r, name)) for r in records if r.peer == peer)

    peers = list(
        dict.fromkeys(r.peer for r in sorted(records, key=lambda r: [*TITLES].index(r.peer)))
    )
    head = ["SDK", "caller CPU us / call", "against bare", "process CPU s / 100,000 calls"]
    head += ["wire bytes / call", "delivered", "import s (CPU s)", "import MB", "modules"]
    head += ["RSS after MB", "load before"]
    rows = []
    for peer in peers:
        chosen = [r for r in records if r.peer == peer]
        ratio = middle(peer, "caller_us") / middle("otel", "caller_us") if "otel" in peers else 0
        rows.append(
            [
                f"{TITLES[peer][0]} {chosen[0].version}".strip(),
                f"{middle(peer, 'caller_us'):.1f}",
                f"{ratio:.2f}" if ratio else "-",
                f"{middle(peer, 'process_cpu_s_per_100k'):.1f}",
                f"{middle(peer, 'wire_bytes'):,.0f}",
                _delivered(chosen),
                f"{middle(peer, 'import_s'):.2f} ({middle(peer, 'import_cpu_s'):.2f})",
                f"{middle(peer, 'import_mb'):.0f}",
                f"{middle(peer, 'modules'):.0f}",
                f"{middle(peer, 'resident_mb'):.0f}",
                " ".join(f"{r.machine_load:.1f}" for r in chosen),
            ]
        )
    return table(head, rows)


def main(words: list[str]) -> None:
    """Measure and print a table; exits with 2 for arguments that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks peers-sdk", description=__doc__
    )
    parser.add_argument("--peers", default=",".join(TITLES), help="names with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=40, help="of 100 calls (40)")
    parser.add_argument("--venvs", type=Path, default=default_directory())
    parser.add_argument("--out", type=Path, help="file for every single result, as JSON")
    chosen = parser.parse_args(words)
    if unknown := set(chosen.peers.split(",")) - set(TITLES):
        parser.error(f"no such SDK: {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    records, failures = _measured(chosen)
    if chosen.out:
        found = {"sdk": [asdict(record) for record in records], "failures": failures}
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if records:
        print(markdown(records))
    for failure in failures:
        print(f"\nNot measured: {failure}")


def _measured(chosen: argparse.Namespace) -> tuple[list[Record], list[str]]:
    environments: dict[str, Environment | None] = {}
    failures: list[str] = []
    records: list[Record] = []
    for peer in chosen.peers.split(","):
        try:
            own = peer == "plain" or peer.startswith("ours")
            environments[peer] = None if own else ensure(chosen.venvs, peer)
        except NotInstalledError as error:
            failures.append(f"{TITLES[peer][0]} could not be installed: {error}")
    for turn in range(chosen.rounds):
        order = list(environments)
        random.Random(turn).shuffle(order)
        for peer in order:
            try:
                records.append(measure(peer, environments[peer], chosen.batches, turn))
                print(json.dumps(asdict(records[-1])), file=sys.stderr, flush=True)
            except ChildError as error:
                failures.append(f"{TITLES[peer][0]}, turn {turn}: {error}")
                print(failures[-1], file=sys.stderr, flush=True)
    return records, failures


if __name__ == "__main__":
    main(sys.argv[1:])
