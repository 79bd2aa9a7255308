"""Runs: identity, what they carry, how they end, and what belongs to them."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

import tachograph as tacho
from tachograph import _threads
from tachograph_schemas import names


@tacho.tool
def look():
    return trace.get_current_span().get_span_context().trace_id


def test_run_carries_what_it_was_told(spans):
    """Options are texts, parameters or functions of the arguments; they reach every span inside."""

    @tacho.run(
        agent="support",
        goal=lambda given: f"refund {given['order']}",
        session=tacho.arg("chat"),
        user="u-1",
        customer=tacho.arg("customer"),
        tags=["urgent", "eu"],
        version="1.4",
        trigger="ticket 4711",
    )
    def handle(order, chat, customer):
        look()
        return "done"

    handle(7, chat="s-1", customer="acme")
    run, tool = spans.one(layer="run"), spans.one(layer="tool")
    assert run.name == "invoke_agent support"
    expected = {
        names.RUN_GOAL: "refund 7",
        names.SESSION_ID: "s-1",
        names.USER_ID: "u-1",
        names.CUSTOMER: "acme",
        names.RUN_TRIGGER: "ticket 4711",
        names.GEN_AI_AGENT_NAME: "support",
        names.GEN_AI_AGENT_VERSION: "1.4",
        names.RUN_OUTCOME: "success",
        names.RUN_SPANS_MADE: 2,
        names.RUN_ENTRYPOINT: f"{__name__}:{handle.__qualname__}",
    }
    assert {key: run.attributes[key] for key in expected} == expected
    assert json.loads(run.attributes[names.RUN_TAGS]) == ["urgent", "eu"]
    assert run.output == "done"
    assert run.run_id == run.trace_id == tool.run_id
    for key in (names.SESSION_ID, names.USER_ID, names.CUSTOMER, names.GEN_AI_AGENT_NAME):
        assert tool.attributes[key] == run.attributes[key]


def test_goal_defaults_to_a_first_argument_that_is_text(spans):
    """`handle(task: str)` needs no option; a number is no goal."""
    tacho.run(lambda task: None)("tidy up")
    tacho.run(lambda task: None)(5)
    assert spans[0].attributes[names.RUN_GOAL] == "tidy up"
    assert names.RUN_GOAL not in spans[1].attributes


def test_run_under_a_foreign_span_has_an_id_of_its_own(spans):
    """A web request may hold several runs: the trace is shared, the run id is not."""
    tracer = trace.get_tracer("web")
    with tracer.start_as_current_span("POST /ask"):
        tacho.run(name="a")(look)()
        tacho.run(name="b")(look)()
    first, second = spans.where(layer="run")
    assert first.trace_id == second.trace_id
    assert len({first.run_id, second.run_id, first.trace_id}) == 3
    assert {len(str(run.run_id)) for run in (first, second)} == {32}


def test_run_inside_a_run_is_a_sub_agent_of_it(spans):
    """One run id, one outcome; what the sub-agent does carries its name."""

    @tacho.run(agent="critic")
    def critic():
        look()

    @tacho.run(agent="writer")
    def writer():
        critic()
        look()

    writer()
    run = spans.one(layer="run")
    sub = spans.one(layer="agent")
    assert sub.parent == run.name == "invoke_agent writer"
    assert names.RUN_OUTCOME not in sub.attributes
    assert {span.run_id for span in spans} == {run.run_id}
    tools = {
        span.parent: span.attributes[names.GEN_AI_AGENT_NAME] for span in spans.where(layer="tool")
    }
    assert tools == {"invoke_agent critic": "critic", "invoke_agent writer": "writer"}
    assert run.attributes[names.RUN_SPANS_MADE] == 4


def test_foreign_spans_are_stamped_and_counted(spans):
    """A database driver's span belongs to the run even if it was handed a context without ours."""
    tracer = trace.get_tracer("driver")

    @tacho.run(agent="a", customer="acme")
    def work():
        with tracer.start_as_current_span("SELECT"):
            pass
        bare = trace.set_span_in_context(trace.get_current_span(), otel_context.Context())
        tracer.start_span("explicit", context=bare).end()
        tracer.start_span("named", attributes={names.GEN_AI_AGENT_NAME: "own"}).end()

    work()
    run = spans.one(layer="run")
    assert run.attributes[names.RUN_SPANS_MADE] == 4
    for name in ("SELECT", "explicit", "named"):
        span = spans.one(name=name)
        assert span.run_id == run.run_id
        assert span.attributes[names.CUSTOMER] == "acme"
    assert spans.one(name="explicit").attributes[names.GEN_AI_AGENT_NAME] == "a"
    assert spans.one(name="named").attributes[names.GEN_AI_AGENT_NAME] == "own"


def _end(error=None, outcome=None):
    @tacho.run
    def work():
        if outcome:
            tacho.current_run().outcome(*outcome)
        if error:
            raise error

    return work


@pytest.mark.parametrize(
    ("error", "outcome", "expected", "status"),
    [
        (None, None, ("success", None), "unset"),
        (ValueError("x"), None, ("failure", None), "error"),
        (None, ("stopped", "no data"), ("stopped", "no data"), "unset"),
        (None, ("failure", "wrong answer"), ("failure", "wrong answer"), "unset"),
        (ValueError("x"), ("success",), ("failure", None), "error"),
        (
            tacho.RunStopped("risk", "too high"),
            None,
            ("stopped", "stopped by risk: too high"),
            "unset",
        ),
        (asyncio.CancelledError(), None, ("stopped", "cancelled"), "error"),
        (KeyboardInterrupt(), None, ("stopped", "interrupted from the keyboard"), "error"),
    ],
)
def test_outcome_follows_from_how_the_run_ends(spans, error, outcome, expected, status):
    """Stopped is not failed, and an exception makes a failure of what was called a success."""
    work = _end(error, outcome)
    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    run = spans.one()
    found = (run.attributes[names.RUN_OUTCOME], run.attributes.get(names.RUN_STOP_REASON))
    assert found == expected
    assert run.status == status


def test_unknown_outcome_is_refused():
    """A closed set: a misspelt outcome would vanish from every filter."""
    with pytest.raises(ValueError, match="none of success"):
        tacho.current_run().outcome("done")  # type: ignore[arg-type]


def test_current_run_changes_the_run_and_what_comes_after(spans):
    """The customer is often known only after a lookup."""

    @tacho.run
    def work():
        run = tacho.current_run()
        assert run
        look()
        run.tag("a", "b")
        run.tag("a")
        run.set(goal="later", customer="acme", weight=3)
        look()
        return run.id, run.trace_id

    run_id, trace_id = work()
    run = spans.one(layer="run")
    assert (run.run_id, run.trace_id) == (run_id, trace_id)
    assert json.loads(run.attributes[names.RUN_TAGS]) == ["a", "b"]
    assert run.attributes[names.RUN_GOAL] == "later"
    assert run.attributes["tacho.attr.weight"] == 3
    customers = [span.attributes.get(names.CUSTOMER) for span in spans.where(layer="tool")]
    assert customers == [None, "acme"]


def test_option_function_that_raises_costs_that_option_only(run_script):
    """A fault in `goal=lambda ...` never reaches the agent, and the run is still recorded."""
    found = run_script(
        "import tachograph as tacho\n"
        "from tachograph.testing import captured_spans\n"
        "@tacho.run(goal=lambda given: given['missing'], customer=17)\n"
        "def work(): return 5\n"
        "with captured_spans() as spans: print(work(), work())\n"
        "print([s.attributes['tacho.run.goal'] for s in spans], spans[0].attributes['tacho.customer'])"
    )
    assert found.stdout.splitlines() == ["5 5", f"{['could not be recorded: KeyError'] * 2} 17"]
    assert found.stderr.count("the function of an option raised KeyError") == 1


def test_lone_surrogates_in_names_do_not_lose_the_span(spans):
    """Protobuf refuses them; text from the outside world has them."""

    @tacho.run(agent="a\ud800", tags=["t\ud800"])
    def work(task):
        tacho.stop("rule", "because \ud800")

    with pytest.raises(tacho.RunStopped):
        work("goal \ud800")
    for span in spans:
        str((span.name, dict(span.attributes))).encode("utf-8")
    assert spans.one(layer="run").attributes[names.RUN_GOAL] == "goal ?"


def test_code_version_is_the_commit(run_script, tmp_path):
    """The git commit of the agent's file, with -dirty when the work tree differs."""
    source = (
        "import subprocess, tachograph as tacho\n"
        "from tachograph import _code_version\n"
        "from tachograph.testing import captured_spans\n"
        "git = lambda *a: subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@t', *a],"
        " check=True, capture_output=True)\n"
        "git('init'); git('add', 'agent.py'); git('commit', '-m', 'x')\n"
        "@tacho.run\n"
        "def work(): _code_version.known_for(__file__, wait_s=10)\n"
        "with captured_spans() as spans: work()\n"
        "print(spans.one().attributes['tacho.run.code_version'])\n"
    )
    version = run_script(source).stdout.strip()
    assert len(version) == 12
    assert int(version, 16)


@pytest.fixture
def carried():
    _threads.install()
    yield
    _threads.uninstall()


@pytest.mark.usefixtures("carried")
def test_threads_and_pools_inside_a_run_belong_to_it(spans):
    """Agents run tools in threads; asyncio.to_thread works by itself."""

    class Custom(threading.Thread):
        def run(self):
            look()

    @tacho.run
    async def work(pool):
        for thread in (threading.Thread(target=look), Custom(), threading.Timer(0, look)):
            thread.start()
            thread.join()
        pool.submit(look).result()
        list(pool.map(lambda _: look(), range(2)))
        await asyncio.to_thread(look)

    with ThreadPoolExecutor(2) as pool:
        asyncio.run(work(pool))
        # The pool outlives the run: its workers must not go on belonging to it.
        pool.submit(look).result()

    tools = spans.where(layer="tool")
    assert len(tools) == 8
    assert [span.run_id is not None for span in tools] == [True] * 7 + [False]
    assert spans.one(layer="run").attributes[names.RUN_SPANS_MADE] == 8


@pytest.mark.usefixtures("carried")
def test_threads_outside_a_run_are_left_alone(spans):
    """Nothing is attached where there is nothing to carry."""
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert "run" not in thread.__dict__
    assert spans.one().run_id is None


def test_wrap_carries_the_context_where_nothing_else_does(spans):
    """For callbacks and threads of other libraries."""
    found = []

    @tacho.run
    def work():
        found.append(tacho.wrap(look))

    work()
    found[0]()
    assert spans.one(layer="tool").parent == "invoke_agent work"
