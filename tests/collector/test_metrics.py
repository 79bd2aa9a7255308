"""The Prometheus text: every metric that is named is explained, labelled and counted."""

from __future__ import annotations

import re

from otlp import plain_body
from signal_bodies import log_body
from tachograph_collector.metrics import Metrics
from tachograph_schemas import metric_names, names


def test_every_named_metric_of_the_collector_is_shown():
    shown = Metrics().text()
    named = [value for name, value in vars(metric_names).items() if name.isupper()]
    assert len(named) > 20
    for value in named:
        assert f"# TYPE {value} " in shown


def test_counters_are_kept_apart_by_their_labels():
    metrics = Metrics()
    metrics.add(metric_names.BODIES_RECEIVED, protocol="grpc", encoding="unknown")
    metrics.add(metric_names.BODIES_RECEIVED, 2, protocol="http/json", encoding="gzip")
    lines = metrics.text().splitlines()
    name = metric_names.BODIES_RECEIVED
    assert f'{name}{{protocol="grpc",encoding="unknown"}} 1' in lines
    assert f'{name}{{protocol="http/json",encoding="gzip"}} 2' in lines
    assert f"{metric_names.INSERTS} 0" in lines


def test_durations_fall_into_cumulative_buckets():
    metrics = Metrics()
    for duration in (0.001, 0.004, 99.0):
        metrics.observe(metric_names.ACKNOWLEDGE_DURATION_S, duration)
    lines = metrics.text().splitlines()
    name = metric_names.ACKNOWLEDGE_DURATION_S
    assert f'{name}_bucket{{le="0.001"}} 1' in lines
    assert f'{name}_bucket{{le="0.005"}} 2' in lines
    assert f'{name}_bucket{{le="10.0"}} 2' in lines
    assert f'{name}_bucket{{le="+Inf"}} 3' in lines
    assert f"{name}_count 3" in lines
    assert f"{name}_sum 99.005" in lines


def test_the_time_of_each_insert_is_an_observation():
    metrics = Metrics()
    metrics.add(metric_names.INSERT_SECONDS, 0.3)
    lines = metrics.text().splitlines()
    assert f"{metric_names.INSERT_SECONDS} 0.3" in lines
    assert f"{metric_names.INSERT_DURATION_S}_count 1" in lines


SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{(?P<labels>[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*")*)\})?'
    r" (?P<value>[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)"
)


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Samples by metric as Prometheus reads its text format, which is strict about it."""
    assert text.endswith("\n")
    metrics: dict[str, dict[str, float]] = {}
    family, kind = "", ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in metrics, "a family stands in one place"
            metrics[family] = {}
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert kind in {"counter", "gauge", "histogram"}
            assert kind != "counter" or name.endswith("_total")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        assert match["name"] in {family + suffix for suffix in suffixes}
        sample = line.rpartition(" ")[0]
        assert sample not in metrics[family], "every sample once"
        metrics[family][sample] = float(match["value"])
    return metrics


def test_the_text_is_what_prometheus_reads():
    metrics = Metrics()
    metrics.add(metric_names.BODIES_REFUSED, reason='a "quoted"\\\nword', signal="logs")
    metrics.add(metric_names.RECORDS_STORED, 12_345_678_901_234, signal="traces")
    metrics.gauge(metric_names.LOG_UNSTORED_BYTES, lambda: 9_876_543_210)
    metrics.gauge(metric_names.LOG_OLDEST_UNSTORED_S, lambda: 0.25)
    for signal in names.SIGNALS:
        for duration_s in (0.002, 0.2, 20):
            metrics.add(metric_names.INSERT_SECONDS, duration_s, signal=signal)
    found = parsed(metrics.text())
    stored = metric_names.RECORDS_STORED
    assert found[stored] == {f'{stored}{{signal="traces"}}': 12_345_678_901_234}
    unstored = metric_names.LOG_UNSTORED_BYTES
    assert found[unstored] == {unstored: 9_876_543_210}
    inserts = found[metric_names.INSERT_DURATION_S]
    for signal in names.SIGNALS:
        start = f'{metric_names.INSERT_DURATION_S}_bucket{{signal="{signal}",le='
        buckets = [value for name, value in inserts.items() if name.startswith(start)]
        assert len(buckets) == 14
        assert buckets == sorted(buckets)
        count = inserts[f'{metric_names.INSERT_DURATION_S}_count{{signal="{signal}"}}']
        assert buckets[-1] == count == 3


def test_what_an_operator_watches_is_there_by_signal(face):
    face.post(plain_body(1, 3))
    face.post(log_body("x", "y"), path="/v1/logs")
    face.post(b"garbage", path="/v1/metrics")
    found = parsed(face.metrics.text())
    acknowledged = metric_names.RECORDS_ACKNOWLEDGED
    assert found[acknowledged] == {
        f'{acknowledged}{{signal="traces"}}': 3,
        f'{acknowledged}{{signal="logs"}}': 2,
    }
    refused = metric_names.BODIES_REFUSED
    assert found[refused] == {f'{refused}{{reason="bad_body",signal="metrics"}}': 1}
    received = metric_names.BODIES_RECEIVED
    assert sum(found[received].values()) == 3
