"""The parts of the harness that figures rest on: distinct requests, whole process trees, honest sinks."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
import urllib.request
import zlib
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.peers import process_tree
from benchmarks.peers.bodies import SPANS, TRACES, Template, trace_ids

TESTS = Path(__file__).parents[2]
BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); sys.stdin.read()"
)


def spans_of(body):
    request = ExportTraceServiceRequest.FromString(body)
    return list(request.resource_spans[0].scope_spans[0].spans)


@pytest.fixture(scope="module")
def template():
    return Template(7)


def test_every_client_and_sequence_number_gives_other_ids_at_the_time_asked_for(template):
    now_ns = time.time_ns()
    sent = [(client, number) for client in (0, 3) for number in (1, 2, 70_000)]
    spans = [span for one in sent for span in spans_of(template.body(*one, now_ns))]
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(sent) * SPANS
    assert {span.trace_id.hex() for span in spans} == {
        found for one in sent for found in trace_ids(*one)
    }
    assert all(abs(span.start_time_unix_nano - now_ns) < 5 * 10**9 for span in spans)
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans)


def test_a_request_holds_whole_traces_under_one_root_each(template):
    spans = spans_of(template.body(0, 1, time.time_ns()))
    roots = {span.trace_id: span.span_id for span in spans if not span.parent_span_id}
    assert len(roots) == TRACES
    assert all(s.parent_span_id in {b"", roots[s.trace_id]} for s in spans)


def test_a_request_is_as_large_and_compresses_as_text_does(template):
    body = template.body(0, 1, time.time_ns())
    assert 1_000 < len(body) / SPANS < 1_250
    assert 2.5 < len(body) / len(zlib.compress(body)) < 4


def test_the_processor_time_of_a_tree_includes_its_ended_children():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while process_tree.cpu_s(parent.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process_tree.cpu_s(parent.pid) >= 0.3
        assert process_tree.pss_mb(parent.pid) > 1
    finally:
        parent.communicate()


def test_the_sink_counts_a_call_once_however_its_body_was_packed():
    words = [sys.executable, "-m", "benchmarks.peers.sink"]
    with subprocess.Popen(
        words, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sink:
        url = f"http://127.0.0.1:{json.loads(sink.stdout.readline())['port']}/v1/traces"
        twice = b"TPA00000001 TPR00000001 TPR00000002"
        packed = urllib.request.Request(url, gzip.compress(twice), {"Content-Encoding": "gzip"})
        for request in (urllib.request.Request(url, twice), packed):
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
        sink.stdin.write("counts\n")
        sink.stdin.flush()
        counts = json.loads(sink.stdout.readline())
        sink.stdin.close()
    assert (counts["arguments"], counts["results"]) == (1, 2)
