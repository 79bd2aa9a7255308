"""The Prometheus text: every metric that is named is explained, labelled and counted."""

from __future__ import annotations

from tachograph_collector.metrics import Metrics
from tachograph_schemas import names


def test_every_named_metric_of_the_collector_is_shown():
    shown = Metrics().text()
    for name, value in vars(names).items():
        if name.startswith("METRIC_") and value.startswith("tacho_collector_"):
            assert f"# TYPE {value} " in shown


def test_counters_are_kept_apart_by_their_labels():
    metrics = Metrics()
    metrics.add(names.METRIC_BODIES_RECEIVED, protocol="grpc", encoding="unknown")
    metrics.add(names.METRIC_BODIES_RECEIVED, 2, protocol="http/json", encoding="gzip")
    lines = metrics.text().splitlines()
    name = names.METRIC_BODIES_RECEIVED
    assert f'{name}{{protocol="grpc",encoding="unknown"}} 1' in lines
    assert f'{name}{{protocol="http/json",encoding="gzip"}} 2' in lines
    assert f"{names.METRIC_INSERTS} 0" in lines


def test_durations_fall_into_cumulative_buckets():
    metrics = Metrics()
    for duration in (0.001, 0.004, 99.0):
        metrics.observe(names.METRIC_ACKNOWLEDGE_DURATION_S, duration)
    lines = metrics.text().splitlines()
    name = names.METRIC_ACKNOWLEDGE_DURATION_S
    assert f'{name}_bucket{{le="0.001"}} 1' in lines
    assert f'{name}_bucket{{le="0.005"}} 2' in lines
    assert f'{name}_bucket{{le="10.0"}} 2' in lines
    assert f'{name}_bucket{{le="+Inf"}} 3' in lines
    assert f"{name}_count 3" in lines
    assert f"{name}_sum 99.005" in lines


def test_the_time_of_each_insert_is_an_observation():
    metrics = Metrics()
    metrics.add(names.METRIC_INSERT_SECONDS, 0.3)
    lines = metrics.text().splitlines()
    assert f"{names.METRIC_INSERT_SECONDS} 0.3" in lines
    assert f"{names.METRIC_INSERT_DURATION_S}_count 1" in lines
