"""Two runs are aligned by what their steps are, and part where they part."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tachograph_schemas.compare import compare, steps
from tachograph_schemas.rows import AccountSpan


def span(number, name, asked="", answered="", layer="tool", parent="root", took=5, **more):
    return AccountSpan(
        span_id=f"{number}",
        parent_span_id=parent,
        name=name,
        layer=layer,
        status="ok",
        status_message="",
        verdict="",
        error_type="",
        start_ns=number * 10,
        duration_ns=took,
        is_open=False,
        agent="a",
        provider="",
        model="",
        finish_reason="",
        tool="",
        tool_call_id="",
        input_text=asked,
        output_text=answered,
        input_tokens=None,
        output_tokens=None,
        cache_read_tokens=None,
        cache_write_tokens=None,
        reasoning_tokens=None,
        cost_usd=None,
        cost_status="",
        facts={},
        **more,
    )


def root(answered="done"):
    return replace(
        span(0, "run", layer="run", parent="", took=10_000, answered=answered), span_id="root"
    )


def told(found):
    return [
        (pair.state, (pair.a or pair.b).span.name) for pair in found.pairs if pair.state != "same"
    ]


def test_a_step_more_is_beside_a_gap_and_the_rest_lines_up():
    a = [root(), span(1, "look"), span(2, "ask", "q"), span(3, "pay", "5")]
    b = [root(), span(1, "look"), span(2, "guard"), span(3, "ask", "q"), span(4, "pay", "5")]
    found = compare(a, b)
    assert told(found) == [("only_b", "guard")]
    assert found.first == 2
    assert len(found.pairs) == 5


def test_other_arguments_and_other_results_are_told_apart():
    a = [root("x"), span(1, "ask", "be kind", "yes"), span(2, "pay", "5", "ok")]
    b = [root("y"), span(1, "ask", "be brief", "yes"), span(2, "pay", "5", "refused")]
    found = compare(a, b)
    assert told(found) == [("changed", "ask"), ("result", "pay")]
    assert found.first == 1, "what came of the whole run is no step"


def test_what_ran_at_once_is_compared_in_one_order():
    """Which of two parallel calls starts first is chance."""
    a = [root(), span(1, "get", "a", took=90), span(2, "get", "b", took=90), span(30, "end")]
    b = [root(), span(1, "get", "b", took=90), span(2, "get", "a", took=90), span(30, "end")]
    assert compare(a, b).first is None


def test_a_failed_call_with_retries_below_has_the_same_arguments():
    a = [root(), span(1, "chat", "q", "yes", layer="model")]
    b = [root(), span(1, "chat", "q", layer="model"), span(2, "retry", parent="1")]
    assert told(compare(a, b)) == [("only_b", "retry")]


def test_second_views_and_orphans_are_no_trouble():
    doubled = [root(), span(1, "ask"), span(2, "again", second_view_of="1")]
    lost = span(3, "lost", parent="elsewhere")
    assert [step.span.name for step in steps([*doubled, lost])] == ["run", "ask", "lost"]
    assert compare([], []).first is None


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_nothing_is_lost_and_order_is_kept(one, other):
    """Every step of either run is on exactly one line, in its order; a run beside itself has no difference."""
    a = [span(n, name, parent="") for n, name in enumerate(one, 1)]
    b = [span(n, name, parent="") for n, name in enumerate(other, 1)]
    found = compare(a, b)
    assert [pair.a.span.name for pair in found.pairs if pair.a] == one
    assert [pair.b.span.name for pair in found.pairs if pair.b] == other
    assert compare(a, a).first is None
    assert (found.first is None) == (one == other)
