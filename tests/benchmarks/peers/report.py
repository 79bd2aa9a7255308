"""Medians over the turns, as Markdown.

``python -m benchmarks.peers.report FILE...`` prints one table of the results that several commands kept with ``--out``.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from . import engine
from .engine import Alone
from .measures import Kill, Load


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def tables(
    loads_found: list[Load], alone: list[Alone], kills_found: list[Kill], failures: list[str]
) -> str:
    """Everything that was measured, and what could not be."""
    parts = []
    if loads_found or alone:
        parts.append(loads(loads_found, alone))
    if kills_found:
        parts.append(kills(kills_found, loads_found))
    return "\n\n".join([*parts, *(f"Not measured: {failure}" for failure in failures)])


def loads(records: list[Load], alone: list[Alone]) -> str:
    """One row a server and number of clients."""
    head = ["server", "clients", "acknowledged spans/s", "queryable spans/s"]
    head += ["server CPU s / 100,000 spans", "ack p50 / p99 ms", "PSS idle / peak MB"]
    head += ["disk bytes a span at rest / lasting", "refused or failed requests", "load before"]
    rows = []
    for clients in sorted({record.clients for record in records}):
        for server in dict.fromkeys(record.server for record in records):
            chosen = [r for r in records if (r.server, r.clients) == (server, clients)]
            if chosen:
                rows.append(_load_row(server, clients, chosen))
    if alone:
        of = _medians(alone)
        rows.append(
            [
                engine.TITLE,
                "-",
                "-",
                f"{of('queryable_per_s'):,.0f}",
                f"{of('cpu_s_per_100k'):.1f}",
                "-",
                f"{of('pss_idle_mb'):,.0f} / {of('pss_peak_mb'):,.0f}",
                f"{of('disk_bytes_per_span'):,.0f}",
                "-",
                _machine_loads(alone),
            ]
        )
    return table(head, rows)


def _load_row(server: str, clients: int, chosen: list[Load]) -> list[str]:
    of = _medians(chosen)
    missing = sum(record.acknowledged - record.queryable for record in chosen)
    return [
        server,
        str(clients),
        f"{of('acknowledged_per_s'):,.0f}",
        f"{of('queryable_per_s'):,.0f}" + (f" ({missing:,} not yet shown)" if missing else ""),
        f"{of('cpu_s_per_100k'):.1f}",
        f"{of('p50_ms'):,.1f} / {of('p99_ms'):,.1f}",
        f"{of('pss_idle_mb'):,.0f} / {of('pss_peak_mb'):,.0f}",
        f"{of('disk_bytes_per_span'):,.0f} / {of('lasting_bytes_per_span'):,.0f}",
        f"{sum(r.refused for r in chosen)} / {sum(r.errors for r in chosen)}",
        _machine_loads(chosen),
    ]


def kills(records: list[Kill], starts: list[Load]) -> str:
    """One row a server."""
    head = ["server", "lost of acknowledged after SIGKILL", "start: port / ready s"]
    head += ["after the kill: port / ready / all shown s", "clients", "load before"]
    rows = []
    for server in dict.fromkeys(record.server for record in records):
        chosen = [record for record in records if record.server == server]
        of, first = _medians(chosen), _medians([r for r in starts if r.server == server])
        again = (of("accepts_s"), of("ready_s"), of("complete_s"))
        rows.append(
            [
                server,
                f"{sum(r.lost for r in chosen):,} of {sum(r.acknowledged for r in chosen):,}",
                f"{first('accepts_s'):.1f} / {first('ready_s'):.1f}",
                " / ".join(f"{value:.1f}" for value in again),
                "/".join(str(record.clients) for record in chosen),
                _machine_loads(chosen),
            ]
        )
    return table(head, rows)


def _medians(records: Sequence[Any]) -> Callable[[str], float]:
    return lambda name: middle(getattr(record, name) for record in records) if records else 0.0


def _machine_loads(records: Sequence[Any]) -> str:
    return " ".join(f"{record.machine_load:.1f}" for record in records)


def main(files: list[str]) -> None:
    found = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    print(
        tables(
            [Load(**one) for results in found for one in results["load"]],
            [Alone(**one) for results in found for one in results["engine"]],
            [Kill(**one) for results in found for one in results["kill"]],
            [one for results in found for one in results["failures"]],
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
