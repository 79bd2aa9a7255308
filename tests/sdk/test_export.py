"""Spans on their way to a real HTTP server: batching, retries, exits, forks, in-progress copies."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from otlp_server import running_collector

from free_port import free_port
from pipeline import until

AGENT = """
import sys, time
import tachograph as tacho
tacho.init(endpoint=sys.argv[1], service="svc")

@tacho.tool
def look(n): return {"n": n}

@tacho.run
def work(task):
    for n in range(9): look(n)
"""


def _exit_time_s(run_script, source: str, url: str) -> tuple[float, str]:
    """Seconds from the script's last statement to the end of the process."""
    done = run_script(source + "\nimport time as clock; print(clock.time(), flush=True)", url)
    return time.time() - float(done.stdout.split()[-1]), done.stderr


PATIENT = """
from tachograph import _setup
_setup.EXIT_TIMEOUT_S = 60
"""
"""A busy machine may need longer than two seconds for a batch."""


def test_everything_arrives_at_exit_without_any_flush(run_script, collector):
    """A script that just ends loses nothing, and waits for nothing else."""
    took_s, stderr = _exit_time_s(
        run_script, AGENT + PATIENT + "for _ in range(300): work('x')", collector.url
    )
    assert stderr == ""
    assert took_s < 30
    finals = collector.final()
    assert len(finals) == len({span.span_id for span in finals}) == 3_000
    runs = collector.final("invoke_agent work")
    assert {span.attributes["tacho.run.spans_made"] for span in runs} == {10}
    assert runs[0].resource["service.name"] == "svc"
    assert runs[0].attributes["tacho.run.trigger"] == "cli"


def test_nothing_has_to_begin_at_the_end_of_a_program(run_script, collector):
    """Threads that were not begun before are refused there by Python 3.12; a short program's tape is sent then."""
    source = (
        AGENT
        + PATIENT
        + (
            "import _thread, atexit\n"
            "def refused(*_): raise RuntimeError('no new thread at interpreter shutdown')\n"
            "atexit.register(lambda: setattr(_thread, 'start_new_thread', refused))\n"
            "work('x')\n"
        )
    )
    assert run_script(source, collector.url).stderr == ""
    assert len(collector.final()) == 10


EXIT_S = 10
"""Two seconds, and what a busy machine adds; an exit without a bound takes half a minute and more."""


SLOW = """
from types import SimpleNamespace
from tachograph import _sender
send, batches = _sender.Exporter.send, []
def send_for_long(exporter, records, timeout_s):
    batches.append(send(exporter, records, 60))
    return batches[-1]
_sender.Exporter.send = send_for_long
_sender.time = SimpleNamespace(
    monotonic=lambda: len(batches) * 0.75 + time.monotonic() / 100, time_ns=time.time_ns
)
"""
"""By the sender's clock, each batch takes three quarters of a second; how busy the machine is hardly counts."""


def test_slow_collector_is_waited_for_while_it_accepts(run_script, collector):
    """Longer than two seconds in all, but it makes progress: nothing is lost."""
    collector.delay_s = 0.05
    _, stderr = _exit_time_s(
        run_script, AGENT + SLOW + "for _ in range(300): work('x')", collector.url
    )
    assert stderr == ""
    assert len(collector.final()) == 3_000


def test_exit_is_bounded_when_nothing_listens(run_script):
    """The agent's exit does not hang on its recorder; one line says what was lost."""
    took_s, stderr = _exit_time_s(
        run_script, AGENT + "for _ in range(300): work('x')", "http://127.0.0.1:9"
    )
    assert took_s < EXIT_S
    assert "3000 spans were not delivered" in stderr
    assert len(stderr.splitlines()) <= 3


def test_exit_is_bounded_when_the_collector_hangs(run_script):
    """A listener that never answers is the worst case."""
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen(8)
        url = f"http://127.0.0.1:{hung.getsockname()[1]}"
        took_s, stderr = _exit_time_s(run_script, AGENT + "work('x')", url)
    assert took_s < EXIT_S
    assert "10 spans were not delivered" in stderr


def test_unavailable_collector_gets_the_batch_again(run_script, collector):
    """503, then a dropped connection's worth of patience, then 200: each span once."""
    collector.answers = [503, 429, 503]
    source = AGENT + "work('x')\nprint(tacho.flush(60))"
    done = run_script(source, collector.url)
    assert done.stdout.strip() == "True"
    finals = collector.final()
    assert len(finals) == len({span.span_id for span in finals}) == 10


def test_collector_that_comes_up_later_gets_everything(run_script, tmp_path):
    """An agent may start before its collector."""
    port = free_port()
    source = (
        AGENT
        + "from pathlib import Path\n"
        + "work('x'); print(tacho.flush(0.3), flush=True); Path('failed').touch()\n"
        + "print(tacho.flush(60))\n"
    )
    outcome = []
    thread = threading.Thread(
        target=lambda: outcome.append(run_script(source, f"http://127.0.0.1:{port}"))
    )
    thread.start()
    until((tmp_path / "failed").exists)
    with running_collector(port) as late:
        thread.join()
        assert outcome[0].stdout.split() == ["False", "True"]
        assert len(late.final()) == 10
    assert outcome[0].stderr.count("does not take spans") == 1


def test_flush_is_false_when_something_was_rejected(run_script, collector):
    """Partial success, a refusal and a bad key are losses, and said."""
    source = AGENT + "work('x'); print(tacho.flush(60)); work('x'); print(tacho.flush(60))"
    collector.rejected = 2
    done = run_script(source, collector.url)
    assert done.stdout.split() == ["False", "False"]
    assert "rejected a part" in done.stderr
    collector.rejected = 0
    collector.answers = [401, 401, 401]
    done = run_script(AGENT + "work('x'); print(tacho.flush(60))", collector.url)
    assert done.stdout.split() == ["False"]
    assert "check TACHO_API_KEY" in done.stderr


def test_flush_is_true_again_after_a_loss_was_told(run_script, collector):
    """One loss must not spoil every later answer."""
    collector.answers = [400, 400]
    source = AGENT + "look(1); print(tacho.flush(60)); look(2); print(tacho.flush(60))"
    assert run_script(source, collector.url).stdout.split() == ["False", "True"]


def test_batches_too_large_are_split(run_script, collector):
    """413 halves a batch until it fits."""
    collector.body_limit_bytes = 20_000
    source = AGENT + "for n in range(40): look('x' * 3_000)\nprint(tacho.flush(60))"
    assert run_script(source, collector.url).stdout.strip() == "True"
    assert len(collector.final()) == 40


LEFT = AGENT + (
    "for n in range(2_000): look(n)\n"
    "from tachograph import _setup\n"
    "spool = _setup._sender.spool\n"
    "print(spool.waiting_finals + _setup._sender._flying, spool.dropped_finals, spool.size_bytes)\n"
)


def test_span_that_is_refused_takes_no_other_along(run_script, collector):
    """A batch answered with 400 is sent again by halves; what remains is counted, and said once."""
    collector.unreadable = b"poison"
    source = AGENT + (
        "@tacho.tool\ndef drink(what): return what\n"
        "for n in range(400): drink('poison' if n in (7, 300) else 'water')\n"
        "print(tacho.flush(60), tacho.flush(60))"
    )
    done = run_script(source, collector.url)
    assert done.stdout == "False True\n"
    assert len(collector.final("execute_tool drink")) == 398
    assert done.stderr.count(" lost: ") == 1
    assert "2 spans were not delivered" in done.stderr


def test_collector_that_refuses_everything_is_not_asked_for_each_span(run_script, collector):
    """A batch is searched for what is wrong with it once; then the collector is."""
    collector.unreadable = b"look"
    done = run_script(AGENT + "for _ in range(150): look(1); tacho.flush(60)", collector.url)
    assert collector.spans == []
    assert 150 <= len(collector.requests) < 200
    assert "1 span is lost" in done.stderr


def test_full_memory_drops_the_oldest_and_says_so(run_script):
    """Without a spool, memory is bounded while the collector is away."""
    bounds = {"TACHO_SPOOL_MAX_BYTES": "0", "TACHO_QUEUE_SPANS": "100"}
    done = run_script(LEFT, "http://127.0.0.1:9", **bounds)
    left, dropped, on_disk = map(int, done.stdout.split())
    assert left + dropped == 2_000
    assert left <= 100 + 512
    assert on_disk == 0
    assert done.stderr.count("queue is full") == 1


def test_full_spool_drops_the_oldest_and_says_so(run_script):
    """The disk is bounded while the collector is away; what was given up is counted."""
    done = run_script(LEFT, "http://127.0.0.1:9", TACHO_SPOOL_MAX_BYTES="300000")
    left, dropped, on_disk = map(int, done.stdout.split())
    assert left + dropped == 2_000
    assert dropped > 0 < left
    assert on_disk <= 300_000
    assert done.stderr.count("spool is full") == 1


def test_requests_carry_key_and_compression(run_script, collector):
    """Bearer key; zstd where it is installed, gzip or nothing when asked for."""
    run_script(AGENT + "look(1)", collector.url, TACHO_API_KEY="k-1")
    assert collector.requests[-1]["authorization"] == "Bearer k-1"
    assert collector.requests[-1]["content-encoding"] == "zstd"
    run_script(AGENT + "look(1)", collector.url, TACHO_COMPRESSION="gzip")
    assert collector.requests[-1]["content-encoding"] == "gzip"
    run_script(AGENT + "look(1)", collector.url, TACHO_COMPRESSION="none")
    assert "content-encoding" not in collector.requests[-1]
    assert len(collector.final()) == 3


def test_collector_that_does_not_know_zstd_gets_gzip(run_script, collector):
    """Any OTLP collector takes gzip; nothing is lost while that is found out."""
    collector.knows_zstd = False
    source = AGENT + "look(1); print(tacho.flush(60)); look(2); print(tacho.flush(60))"
    assert run_script(source, collector.url).stdout.split() == ["True", "True"]
    codings = [request["content-encoding"] for request in collector.requests]
    assert codings[:2] == ["zstd", "gzip"]
    assert set(codings[2:]) == {"gzip"}
    assert len(collector.final()) == 2


def test_secrets_do_not_leave_the_process(run_script, collector):
    """Ours and foreign spans, attributes, events and resource."""
    source = AGENT + (
        "from opentelemetry import trace\n"
        "look({'password': 'hunter2'})\n"
        "with trace.get_tracer('x').start_as_current_span('GET') as span:\n"
        "    span.set_attribute('http.request.header.authorization', 'Bearer abcdef123456')\n"
        "    span.add_event('e', {'note': 'AKIAIOSFODNN7EXAMPLE'})\n"
        "@tacho.step\n"
        "def fail(): raise ValueError('token=hunter2')\n"
        "try: fail()\n"
        "except ValueError: pass\n"
    )
    run_script(source, collector.url)
    everything = str(collector.final())
    for secret in ("hunter2", "abcdef123456", "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in everything
    get = collector.final("GET")[0]
    assert get.attributes["tacho.redacted_count"] == 2


def test_running_run_is_visible_at_once_and_its_open_spans_by_heartbeat(
    run_script, collector, tmp_path
):
    """A hung agent shows where it hangs; the final span replaces the copy."""
    source = AGENT + (
        "from pathlib import Path\n"
        "@tacho.step\n"
        "def hang():\n"
        "    while not Path('seen').exists(): time.sleep(0.01)\n"
        "@tacho.run\n"
        "def slow(task): look(0); hang()\n"
        "slow('x')\n"
    )

    def opened(name):
        return [span for span in list(collector.spans) if span.open and span.name == name]

    thread = threading.Thread(
        target=run_script, args=(source, collector.url), kwargs={"TACHO_HEARTBEAT_S": "0.2"}
    )
    thread.start()
    try:
        until(lambda: len(opened("invoke_agent slow")) >= 3 and len(opened("hang")) >= 2)
    finally:
        (tmp_path / "seen").touch()
        thread.join()
    runs, hangs = opened("invoke_agent slow"), opened("hang")
    assert {span.end_time_ns for span in (*runs, *hangs)} == {0}
    assert collector.spans.index(runs[0]) == 0
    for copy in (*runs, *hangs):
        finals = [span for span in collector.final() if span.span_id == copy.span_id]
        assert len(finals) == 1
        assert collector.spans.index(finals[0]) > collector.spans.index(copy)
        assert "tacho.open" not in finals[0].attributes


def test_killed_process_leaves_its_run_visible_as_open(run_script, collector):
    """No final span ever comes: the collector has the in-progress copy to judge by."""
    source = AGENT + (
        "import os\n@tacho.run\ndef doomed(task): tacho.flush(60); os._exit(9)\ndoomed('x')\n"
    )
    run_script(source, collector.url, check=False)
    assert [(span.name, span.open) for span in collector.spans] == [("invoke_agent doomed", True)]


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_forked_children_deliver_their_own_spans_once(run_script, collector, how):
    """Pre-forking servers and fork pools: no deadlock, nothing twice."""
    children = {
        "os.fork": (
            "pid = os.fork()\n"
            "    if pid == 0:\n"
            "        look('child'); print(tacho.flush(60), flush=True); os._exit(0)\n"
            "    os.waitpid(pid, 0)\n"
        ),
        "multiprocessing": (
            "p = multiprocessing.get_context('fork').Process(target=look, args=('child',))\n"
            "    p.start(); p.join()\n"
        ),
    }
    source = AGENT + (
        "import os, multiprocessing\n"
        "@tacho.run\n"
        "def parent(task):\n"
        "    look('before')\n"
        f"    {children[how]}"
        "    look('after')\n"
        "parent('x')\n"
    )
    run_script(source, collector.url)
    inputs = [
        span.attributes["gen_ai.tool.call.arguments"]
        for span in collector.final("execute_tool look")
    ]
    assert sorted(inputs) == ['{"n":"after"}', '{"n":"before"}', '{"n":"child"}']
    assert len({span.attributes["tacho.run.id"] for span in collector.final()}) == 1
    assert len(collector.final("invoke_agent parent")) == 1


def test_provider_of_the_program_is_joined(run_script, collector):
    """An application with its own OpenTelemetry set-up keeps it; both see every span."""
    source = (
        "import sys\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "memory = InMemorySpanExporter()\n"
        "theirs = TracerProvider(); theirs.add_span_processor(SimpleSpanProcessor(memory))\n"
        "trace.set_tracer_provider(theirs)\n"
        "import tachograph as tacho\n"
        "tacho.init(endpoint=sys.argv[1]); tacho.init(endpoint='http://127.0.0.1:9')\n"
        "assert trace.get_tracer_provider() is theirs\n"
        "tacho.run(lambda: trace.get_tracer('db').start_span('SELECT').end())()\n"
        "print(theirs.force_flush(), [span.name for span in memory.get_finished_spans()])\n"
    )
    done = run_script(source, collector.url)
    assert done.stdout.strip() == "True ['SELECT', 'invoke_agent <lambda>']"
    assert done.stderr == ""
    assert len(collector.final()) == 2


def test_shutdown_stops_recording_and_delivers(run_script, collector):
    """After shutdown decorated functions run bare."""
    source = AGENT + "look(1); print(tacho.shutdown(60)); print(look(2)); print(tacho.flush())"
    done = run_script(source, collector.url)
    assert done.stdout.splitlines() == ["True", "{'n': 2}", "True"]
    assert len(collector.final()) == 1


def test_exports_are_not_recorded_by_instrumentation(run_script, collector):
    """The sender's own requests run with instrumentation suppressed."""
    source = AGENT + (
        "import http.client\n"
        "from opentelemetry import context\n"
        "from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as KEY\n"
        "seen = []\n"
        "send = http.client.HTTPConnection.request\n"
        "def spy(*a, **k): seen.append(context.get_value(KEY)); return send(*a, **k)\n"
        "http.client.HTTPConnection.request = spy\n"
        "work('x'); tacho.flush(60); print(set(seen))\n"
    )
    assert run_script(source, collector.url).stdout.strip() == "{True}"
