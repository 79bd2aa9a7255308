"""`mlflow server` on SQLite, its default number of workers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from benchmarks.peers.api import Api, ApiError

from .server import Command, Server


def _command(place: Path, directory: Path, port: int, second_port: int) -> Command:
    words = [str(place / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
    words += ["--artifacts-destination", str(directory / "artifacts")]
    return Command(words, {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})


def _count(api: Api, directory: Path) -> int:
    question = {
        "experiment_ids": ["0"],
        "view_type": "SPANS",
        "metric_name": "span_count",
        "aggregations": [{"aggregation_type": "COUNT"}],
        "dimensions": [],
    }
    points = api.post("/api/3.0/mlflow/traces/metrics", question).get("data_points", [])
    return int(sum(value for point in points for value in point["values"].values()))


def _count_in(api: Api, directory: Path, traces: list[str]) -> int:
    found = 0
    for trace in traces:
        asked = urlencode({"trace_id": f"tr-{trace}", "allow_partial": "true"})
        try:
            answer = api.get(f"/api/3.0/mlflow/traces/get?{asked}")
        except ApiError as error:
            if "RESOURCE_DOES_NOT_EXIST" in str(error):
                continue
            raise
        found += len(answer["trace"]["spans"])
    return found


SERVER = Server(
    title="MLflow server (SQLite)",
    command=_command,
    count=_count,
    count_in=_count_in,
    health="/health",
    peer="mlflow",
    headers={"x-mlflow-experiment-id": "0"},
    warm_clients=4,
)
