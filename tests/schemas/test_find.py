"""Runs are found by what people know of them, page by page, whatever versions of them are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from otlp import Trace
from signal_load import a_loaded_engine
from tachograph_schemas import queries
from tachograph_schemas.find import ORDERS, Cursor, RunFilter, RunPage

CALL = {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": 10}


def a_run(number: int, *, agent: str = "billing", ms: float = 100, at_ms: float = 0, **attributes):
    """A run with a model call and a tool call."""
    return (
        Trace(number)
        .span(
            1,
            f"invoke_agent {agent}",
            at_ms=at_ms,
            ms=ms,
            tacho__layer="run",
            gen_ai__agent__name=agent,
            tacho__run__id=f"run-{number:03}",
            **attributes,
        )
        .span(
            2,
            "chat",
            1,
            at_ms=at_ms,
            gen_ai__response__model=f"model-{number % 2}",
            tacho__run__id=f"run-{number:03}",
            **CALL,
        )
        .span(
            3,
            "execute_tool look",
            1,
            at_ms=at_ms,
            tacho__layer="tool",
            gen_ai__tool__name=f"tool-{number % 3}",
            gen_ai__tool__call__arguments=f'{{"order": "A-{number}"}}',
            gen_ai__tool__call__result="Größe passt, weather is Fine today",
            tacho__run__id=f"run-{number:03}",
            warehouse=f"north-{number}",
        )
    )


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory):
    """Three runs, one after the other."""
    home = tmp_path_factory.mktemp("three_runs")
    with a_loaded_engine(home) as load:
        load(
            a_run(1, tacho__customer="acme", session__id="s1", user__id="ann").body(),
            a_run(2, agent="nightly", at_ms=1000, ms=9000, tacho__run__outcome="failure").body(),
            a_run(3, at_ms=2000, tacho__run__tags='["vip"]', user__id="bob").body(),
        )
    return home / "data"


@pytest.fixture(scope="module")
def forty_runs(tmp_path_factory):
    """Forty runs, of which many began together and many took as long."""
    home = tmp_path_factory.mktemp("forty_runs")
    with a_loaded_engine(home) as load:
        load(*(a_run(at, at_ms=at % 4, ms=10 * (at % 5)).body() for at in range(40)))
    return home / "data"


@pytest.fixture
def engine_copied(request):
    """The runs that a test asks for by a fixture's name: stored once, copied for each."""
    shared = [name for name in ("three_runs", "forty_runs") if name in request.fixturenames]
    return request.getfixturevalue(shared[0]) if shared else None


@pytest.fixture
def listed(client, three_runs):
    """A function that gives the numbers of the three runs that a filter finds."""

    def find(page: RunPage = RunPage(), **fields) -> list[int]:
        found = queries.runs(client, RunFilter(**fields), page)
        return [int(row.run_id.removeprefix("run-")) for row in found]

    return find


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        ({}, [3, 2, 1]),
        ({"agents": ("nightly",)}, [2]),
        ({"agents": ("nightly", "billing")}, [3, 2, 1]),
        ({"customers": ("acme",)}, [1]),
        ({"outcomes": ("failure",)}, [2]),
        ({"session_id": "s1"}, [1]),
        ({"user_id": "bob"}, [3]),
        ({"tag": "vip"}, [3]),
        ({"tools": ("tool-0",)}, [3]),
        ({"tools": ("tool-0", "tool-1")}, [3, 1]),
        ({"models": ("model-1",)}, [3, 1]),
        ({"min_duration_ns": 5_000_000_000}, [2]),
        ({"max_duration_ns": 5_000_000_000}, [3, 1]),
        ({"min_cost_usd": 0.0}, []),
        ({"attributes": ("warehouse=north-2",)}, [2]),
        ({"attributes": ("warehouse=north-2", "warehouse=north-3")}, []),
        ({"search": "WEATHER fine"}, [3, 2, 1]),
        ({"search": "größe"}, [3, 2, 1]),
        ({"search": "weath"}, []),
        ({"search": "order A 2"}, [2]),
        ({"search": "order", "user_id": "ann"}, [1]),
        ({"text": "run-00"}, [3, 2, 1]),
        ({"text": "ANN"}, [1]),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, []),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, []),
        ({"project": "another"}, []),
    ],
)
def test_runs_are_found_by(listed, fields, numbers):
    assert listed(**fields) == numbers


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "\\", "${place}", "{project:String}", "%"])
def test_what_is_searched_for_is_never_a_part_of_the_statement(listed, hostile):
    for field in ("text", "tag", "session_id", "user_id", "search"):
        assert listed(**{field: hostile}) == []
    for field in ("agents", "tools", "models", "attributes"):
        assert listed(**{field: (hostile,)}) == []


def test_every_query_of_a_filter_agrees_with_the_list(client, listed):
    which = RunFilter(search="weather", min_duration_ns=5_000_000_000, tools=("tool-2",))
    assert listed(search=which.search, min_duration_ns=which.min_duration_ns) == [2]
    assert queries.runs_summary(client, which).runs == 1


@pytest.mark.parametrize("order", ORDERS)
def test_pages_behind_a_cursor_together_are_the_list(client, forty_runs, order):
    whole = [row.run_id for row in queries.runs(client, RunFilter(), RunPage(order))]
    assert len(set(whole)) == len(whole) == 40
    paged: list[str] = []
    after = None
    while page := queries.runs(client, RunFilter(), RunPage(order, 7, after=after)):
        paged += [row.run_id for row in page]
        after = queries.cursor_after(client, page[-1], order)
    assert paged == whole
    assert [
        row.run_id for row in queries.runs(client, RunFilter(), RunPage(order, 7, 14))
    ] == whole[14:21]


def test_versions_that_were_replaced_are_neither_found_nor_shown(client, load):
    """A run seen first without its beginning has an older version that starts later and is running."""
    load(*(Trace(number).span(2, "part", 1, at_ms=500 + number).body() for number in range(1, 30)))
    load(
        *(
            Trace(number).span(1, "whole", ms=2000 + number, tacho__layer="run").body()
            for number in range(1, 30)
        )
    )
    found = queries.runs(client, RunFilter(), RunPage(limit=100))
    assert len(found) == len({row.run_id for row in found}) == 29
    assert {row.name for row in found} == {"whole"}
    assert queries.runs(client, RunFilter(outcomes=("running",))) == []
    assert len(queries.runs(client, RunFilter(outcomes=("success",)), RunPage(limit=100))) == 29


def test_an_old_run_is_found_by_its_words(client, load):
    old = a_run(7)
    old.start_ns -= 20 * 86_400 * 10**9
    load(old.body())
    assert [row.run_id for row in queries.runs(client, RunFilter(search="weather"))] == ["run-007"]


def test_a_cursor_survives_being_written_down():
    for cursor in (Cursor(1795177735123456789, "a:b"), Cursor(0.1 + 0.2, "x"), Cursor(-1.0, "y")):
        assert Cursor.parse(str(cursor)) == cursor
    with pytest.raises(ValueError, match="no place"):
        Cursor.parse("nothing")


def test_words_are_found_before_and_after_the_index_is_built(client, listed):
    """Whether a part has its text index or is too young for it, the answer is the same."""
    before = listed(search="weather"), listed(attributes=("warehouse=north-1",))
    client.command("OPTIMIZE TABLE span_rows FINAL")
    assert (listed(search="weather"), listed(attributes=("warehouse=north-1",))) == before
    assert before == ([3, 2, 1], [1])


def test_model_usage_counts_every_call_once_by_model_and_hour(client, load):
    load(a_run(1).body(), a_run(2).body(), a_run(3).body())
    load(a_run(1).body())
    until = datetime.now(UTC) + timedelta(hours=1)
    rows = queries.model_usage(client, until - timedelta(days=1), until, 86_400 * 7)
    assert sorted((row.model, row.calls, row.input_tokens) for row in rows) == [
        ("model-0", 1, 10),
        ("model-1", 2, 20),
    ]


def test_the_list_reads_the_projection_and_the_search_its_index(client, listed):
    which = RunFilter(search="weather")
    sql = queries.filtered("runs_found", which, raw=True)
    order = ORDERS["newest"]
    sql = sql.replace("${place}", order.place).replace("${order}", order.sql)
    sql = sql.replace("${after}", "")
    # The engine answers the inner question before it plans the outer one, so each is asked for its plan.
    inner = sql[sql.index("SELECT run_id FROM span_rows") : sql.index("\n)")]

    def plan(of: str) -> str:
        values = which.parameters() | {"limit": 50}
        rows = client.query(f"EXPLAIN indexes = 1 {of}", parameters=values).result_rows
        return "\n".join(row[0] for row in rows)

    assert "by_start" in plan(sql)
    assert "words_text" in plan(inner)
