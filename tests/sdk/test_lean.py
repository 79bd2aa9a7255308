"""Our own spans among everybody's: standard to read, to write to, to nest under."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

import tachograph as tacho
from tachograph import _otlp

PRELUDE = "import sys, json\nfrom opentelemetry import trace\nimport tachograph as tacho\n"
START = PRELUDE + "tacho.init(endpoint=sys.argv[1], heartbeat_s=0)\n"

texts = st.text(max_size=80)
values = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.binary(max_size=40),
    st.lists(st.one_of(texts, st.booleans(), st.integers(-9, 9)), max_size=4),
)


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def sent(value):
    if type(value) is int and not -(2**63) <= value < 2**63:
        return "(large integer)"
    return [sent(item) for item in value] if isinstance(value, (list, tuple)) else value


@settings(max_examples=300, deadline=None)
@given(texts, st.dictionaries(st.text(max_size=20), values, max_size=8))
def test_official_classes_read_what_we_write(name, attributes):
    """Names, times, parents and attributes of every kind, surrogates aside."""
    context = SpanContext(2**127 + 1, 2**63 + 1, is_remote=False, trace_flags=TraceFlags(1))
    parent = SpanContext(2**127 + 1, 7, is_remote=True)
    span = ReadableSpan(
        name, context, parent, attributes=attributes, start_time=5, end_time=9,
        links=[Link(parent, {"a": 1})], status=Status(StatusCode.ERROR, "broken"),
    )  # fmt: skip
    read = Span.FromString(_otlp.readable(span))
    assert read.name == name
    assert int.from_bytes(read.trace_id, "big") == 2**127 + 1
    assert int.from_bytes(read.span_id, "big") == 2**63 + 1
    assert int.from_bytes(read.parent_span_id, "big") == 7
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == (5, 9)
    assert (read.status.code, read.status.message) == (2, "broken")
    assert read.flags == 0x300
    assert read.links[0].attributes[0].value.int_value == 1
    assert {pair.key: plain(pair.value) for pair in read.attributes} == {
        key: sent(value) for key, value in attributes.items()
    }


def test_code_inside_a_call_writes_on_its_span(spans):
    """What OpenTelemetry's own API does to the current span is in the record."""

    @tacho.tool
    def look():
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("note", "a")
        span.set_attributes({"note": "b", "numbers": [1, 2]})
        span.add_event("seen", {"n": 1})
        span.record_exception(ValueError("held"))
        span.set_status(StatusCode.ERROR, "partly")
        span.update_name("looked")
        return 1

    look()
    span = spans.one(name="looked")
    assert span.attributes["note"] == "b"
    assert list(span.attributes["numbers"]) == [1, 2]
    assert [event.name for event in span.events] == ["seen", "exception"]
    assert (span.status, span.status_message) == ("error", "partly")


def test_ended_span_stays_as_it_ended(spans):
    """A late write is not an error, and changes nothing."""
    kept = []
    tacho.tool(lambda: kept.append(trace.get_current_span()))()
    (span,) = kept
    span.set_attribute("late", 1)
    span.add_event("late")
    span.set_status(StatusCode.ERROR)
    span.end()
    assert len(spans) == 1
    assert "late" not in spans[0].attributes
    assert spans[0].events == ()
    assert spans[0].status == "unset"


def test_values_without_a_form_are_left_out(spans):
    """An object is no attribute; the others of the call are kept."""

    @tacho.tool
    def look():
        trace.get_current_span().set_attributes({"bad": object(), "good": 1})

    look()
    assert "bad" not in spans[0].attributes
    assert spans[0].attributes["good"] == 1


def test_foreign_spans_nest_under_ours_and_ours_under_theirs(run_script, collector):
    """One trace, whoever made which span; the lean way and the wire."""
    source = START + (
        "tracer = trace.get_tracer('db', '1.2')\n"
        "@tacho.tool\n"
        "def look():\n"
        "    with tracer.start_as_current_span('SELECT'): inner()\n"
        "@tacho.step\n"
        "def inner(): pass\n"
        "with tracer.start_as_current_span('POST /ask'): look()\n"
        "print(tacho._recorder.active().lean)\n"
    )
    done = run_script(
        source.replace(
            "import tachograph as tacho", "import tachograph as tacho, tachograph._recorder"
        ),
        collector.url,
    )
    assert done.stdout.split()[-1] == "True"
    by_name = {span.name: span for span in collector.final()}
    chain = ["POST /ask", "execute_tool look", "SELECT", "inner"]
    assert len({by_name[name].trace_id for name in chain}) == 1
    for above, below in pairwise(chain):
        assert by_name[below].parent_id == by_name[above].span_id


def test_processor_added_later_sees_our_spans_too(run_script, collector):
    """Somebody else wants every span: from then on ours are made for all."""
    source = START + (
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "look = tacho.tool(name='look')(lambda: None)\n"
        "look()\n"
        "memory = InMemorySpanExporter()\n"
        "trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(memory))\n"
        "look()\n"
        "print(len(memory.get_finished_spans()))\n"
    )
    assert run_script(source, collector.url).stdout.strip() == "1"
    assert len(collector.final("execute_tool look")) == 2


def test_run_is_recorded_whatever_the_programs_sampler_says(run_script, collector):
    """Their exporters get nothing of it, as they asked; neither do foreign spans appear that they dropped."""
    source = PRELUDE + (
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.sampling import ParentBased, ALWAYS_OFF\n"
        "trace.set_tracer_provider(TracerProvider(sampler=ParentBased(ALWAYS_OFF)))\n"
        "tacho.init(endpoint=sys.argv[1], heartbeat_s=0)\n"
        "@tacho.run\n"
        "def work():\n"
        "    tacho.validate('total', True)\n"
        "    with trace.get_tracer('db').start_as_current_span('SELECT'): pass\n"
        "work()\n"
    )
    run_script(source, collector.url)
    assert sorted(span.name for span in collector.final()) == [
        "invoke_agent work",
        "validate total",
    ]
    run = collector.final("invoke_agent work")[0]
    assert collector.final("validate total")[0].parent_id == run.span_id
    assert run.attributes["tacho.run.spans_made"] == 2


def test_recording_leaves_the_agents_dice_alone(spans):
    """A seeded agent draws what it would have drawn, and its spans have ids of their own."""
    import random

    def draw():
        random.seed(7)
        tacho.tool(lambda: None)()
        return random.random()

    random.seed(7)
    expected = random.random()
    assert [draw(), draw()] == [expected, expected]
    assert spans[0].span_id != spans[1].span_id


def test_full_disk_is_memory_only_and_said_once(run_script, collector):
    """No signal, no exception: the spans go from memory."""
    source = PRELUDE + (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "tacho.init(endpoint=sys.argv[1], heartbeat_s=0)\n"
        "look = tacho.tool(name='look')(lambda n: n)\n"
        "for n in range(2_000): look(n)\n"
    )
    done = run_script(source, collector.url)
    assert done.stderr.count("kept in memory only") == 1
    assert len(collector.final("execute_tool look")) == 2_000


FORKS = """
import os
from tachograph._ids import new_span_id
first = new_span_id()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(new_span_id()).encode())
    os._exit(0)
os.wait()
print(first, new_span_id(), os.read(reading, 99).decode())
"""


def test_a_forked_child_has_ids_of_its_own():
    """They are to differ within a trace, which several processes may share."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)
    first, second, of_child = map(int, done.stdout.split())
    assert len({first, second, of_child}) == 3
