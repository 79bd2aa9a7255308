"""Data points as rows: one row a point of every kind, nothing lost, nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from signal_bodies import TIME_NS, all_points
from tachograph_collector.signals import METRICS

SHARED = Path(__file__).parents[3] / "shared" / "data" / "captures"
CAPTURES = sorted(SHARED.glob("*/metrics/*")) or [None]


def test_numbers_arrive_with_their_unit_and_exact_value(load_signal, ask):
    load_signal("metrics", all_points())
    rows = ask(
        "SELECT name, kind, unit, description, temporality, is_monotonic, value, int_value, flags, attributes"
        " FROM metrics WHERE kind IN ('gauge', 'sum') ORDER BY name, flags"
    )
    at = {"model": "m", "n": "1"}
    assert rows == [
        ("gauge", "gauge", "s", "", "", False, 0.0, None, 0, at),
        ("sum", "sum", "", "a sum", "cumulative", True, float(2**60), 2**60 + 1, 0, at),
        ("sum", "sum", "", "a sum", "cumulative", True, None, None, 1, {}),
    ]


def test_times_and_origin_are_kept(load_signal, ask):
    load_signal("metrics", all_points())
    assert ask(
        "SELECT DISTINCT toUnixTimestamp64Nano(time), toUnixTimestamp64Nano(assumeNotNull(start_time)),"
        " service, scope, scope_version FROM metrics"
    ) == [(TIME_NS, TIME_NS - 10, "shop", "test", "1")]


def test_histograms_of_both_kinds_arrive_whole(load_signal, ask):
    load_signal("metrics", all_points())
    assert ask(
        "SELECT temporality, count, sum, min, max, bucket_counts, explicit_bounds, scale FROM metrics WHERE kind = 'histogram'"
    ) == [("delta", 3, 0.0, -1.0, 1.0, [1, 2], [0.5], None)]
    assert ask(
        "SELECT count, sum, min, scale, zero_count, zero_threshold, positive_offset, positive_counts, negative_offset,"
        " negative_counts FROM metrics WHERE kind = 'exponential_histogram'"
    ) == [(6, 1.5, None, -2, 1, 0.25, -3, [1, 2], 0, [2])]


def test_a_summary_keeps_its_quantiles(load_signal, ask):
    load_signal("metrics", all_points())
    assert ask("SELECT count, sum, quantiles, value FROM metrics WHERE kind = 'summary'") == [
        (2, 4.0, [{"quantile": 0.5, "value": 2.0}], None)
    ]


def test_exemplars_are_json_with_the_span_they_point_at(load_signal, ask):
    load_signal("metrics", all_points())
    rows = ask("SELECT exemplars FROM metrics WHERE exemplars != ''")
    assert [json.loads(row[0]) for row in rows] == [
        [
            {
                "time_unix_nano": TIME_NS,
                "value": 7,
                "trace_id": (b"t" * 16).hex(),
                "span_id": (b"s" * 8).hex(),
                "attributes": {"k": "v"},
            }
        ]
    ]


def test_the_same_request_again_shows_its_points_once(load_signal, ask):
    load_signal("metrics", all_points())
    load_signal("metrics", all_points())
    assert ask("SELECT count() FROM metrics") == [(6,)]


def points(request: ExportMetricsServiceRequest):
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    yield metric.name, kind, point.time_unix_nano, len(point.attributes)


@pytest.mark.parametrize(
    "path", CAPTURES, ids=lambda path: path and f"{path.parent.parent.name}-{path.stem}"
)
def test_metrics_of_real_clients_are_stored_whole(load_signal, ask, path):
    if path is None:
        pytest.skip(
            "../shared/data is not here: this test reads real recordings beside the checkout"
        )
    raw = path.read_bytes()
    found = (METRICS.read_json if path.suffix == ".json" else METRICS.read_protobuf)(raw)
    load_signal("metrics", found.data)
    rows = ask("SELECT name, kind, toUnixTimestamp64Nano(time), length(attributes) FROM metrics")
    if path.suffix == ".json":
        given = sorted(
            (metric["name"], kind, int(point["timeUnixNano"]), len(point.get("attributes", [])))
            for resource in json.loads(raw)["resourceMetrics"]
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
            for kind in ("gauge", "sum", "histogram")
            for point in metric.get(kind, {}).get("dataPoints", [])
        )
    else:
        given = sorted(points(ExportMetricsServiceRequest.FromString(raw)))
    assert given
    assert sorted(rows) == given
