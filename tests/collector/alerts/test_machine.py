"""The state of a rule and group: when it changes, and when somebody is told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tachograph_collector.alerts.machine import State, step
from tachograph_collector.alerts.rules import Rule

S = 10**9


def rule(**more) -> Rule:
    return Rule(**({"name": "r", "metric": "cost_usd", "warning": 5, "critical": 10} | more))


def played(
    of: Rule, values: list, *, every_s: int = 60, muted: set[int] = frozenset(), acked: int = -1
) -> list[str]:
    """What is noted at each step; muted ones in brackets."""
    state, noted = State(), []
    for number, value in enumerate(values):
        state, change = step(
            of, state, value, (number + 1) * every_s * S, "x" if number in muted else ""
        )
        if number == acked:
            state = State(**{name: getattr(state, name) for name in State.__slots__} | {"acked": 1})
        text = f"{change.kind} {change.to_level}" if change else ""
        noted.append(text if not change or change.tells else f"({text})")
    return noted


@pytest.mark.parametrize(
    ("more", "values", "noted"),
    [
        ({}, [1, 5, 12, 6, 1], ["", "fires warning", "worsens critical", "eases warning", "recovers ok"]),
        ({}, [12, 12, 12], ["fires critical", "", ""]),
        # It has to hold: one step lasts 60 s.
        ({"for_s": 120}, [12, 12, 12, 1], ["", "", "fires critical", "recovers ok"]),
        ({"for_s": 120}, [12, 1, 12, 12], ["", "", "", ""]),
        # A warning that becomes critical has been a warning all the time.
        ({"for_s": 120}, [6, 12, 12, 12], ["", "", "fires warning", "worsens critical"]),
        ({"recover_for_s": 120}, [12, 1, 1, 12, 1, 1, 1], ["fires critical", "", "", "", "", "", "recovers ok"]),
        # Between recovery and warning nothing changes.
        ({"recovery": 3}, [6, 4, 4, 3], ["fires warning", "", "", "recovers ok"]),
        ({"warning": None, "recovery": 3}, [12, 9, 4, 2], ["fires critical", "", "", "recovers ok"]),
        ({"renotify_s": 120}, [6, 6, 6, 6, 6, 1], ["fires warning", "", "reminds warning", "", "reminds warning", "recovers ok"]),
        ({"direction": "below", "warning": 10, "critical": 5}, [11, 10, 4, 20], ["", "fires warning", "worsens critical", "recovers ok"]),
        ({}, [6, None, None], ["fires warning", "recovers ok", ""]),
        ({"no_data": "keep"}, [6, None, 1], ["fires warning", "", "recovers ok"]),
        ({"no_data": "alert"}, [1, None, None, 1], ["", "fires no_data", "", "recovers ok"]),
        ({"no_data": "alert", "for_s": 60}, [1, None, None, 12, 12], ["", "", "fires no_data", "", "changes critical"]),
    ],
)  # fmt: skip
def test_a_course_of_figures(more, values, noted):
    assert played(rule(**more), values) == noted


def test_what_changed_while_muted_is_told_afterwards_if_it_lasts():
    assert played(rule(), [6, 6, 6, 1], muted={0, 1}) == [
        "(fires warning)",
        "",
        "fires warning",
        "recovers ok",
    ]
    assert played(rule(), [6, 1, 1], muted={0, 1}) == ["(fires warning)", "(recovers ok)", ""]
    assert played(rule(), [6, 1, 1, 1], muted={1, 2}) == [
        "fires warning",
        "(recovers ok)",
        "",
        "recovers ok",
    ]


def test_what_is_acknowledged_is_not_told_again_until_it_changes():
    of = rule(renotify_s=60)
    assert played(of, [6, 6, 6, 12, 12], acked=0) == [
        "fires warning",
        "",
        "",
        "worsens critical",
        "reminds critical",
    ]


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 20)), st.booleans()), max_size=40),
    st.sampled_from([0, 60, 150]), st.sampled_from([0, 60, 150]), st.sampled_from(["ok", "keep", "alert"]),
)  # fmt: skip
def test_people_always_know_the_level_once_nothing_is_muted(steps, for_s, recover_for_s, no_data):
    """The last thing that was told is the level; nothing is told twice in a row."""
    of = rule(for_s=for_s, recover_for_s=recover_for_s, no_data=no_data)
    state, told = State(), ["ok"]
    for number, (value, muted) in enumerate(steps):
        before = state
        state, change = step(of, state, value, (number + 1) * 60 * S, "x" if muted else "")
        if change and change.tells:
            told.append(change.to_level)
        assert state.seq == before.seq + (change is not None)
        # Looked at by a second collector at the same moment, there is nothing more to note.
        assert step(of, state, value, (number + 1) * 60 * S, "x" if muted else "")[1] is None
        if not muted:
            assert told[-1] == state.level
    assert all(one != other for one, other in itertools.pairwise(told))


@pytest.mark.parametrize(
    "more",
    [
        {"metric": "nothing"}, {"warning": None, "critical": None}, {"warning": 10, "critical": 5}, {"recovery": 7},
        {"group_by": "tool"}, {"only": {"tool": ["x"]}}, {"window_s": 1}, {"warning": float("nan")}, {"name": " "},
        {"direction": "below"}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(more):
    with pytest.raises(ValidationError):
        rule(**more)
