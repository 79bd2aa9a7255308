"""`tacho show`."""

from dataclasses import fields

import pytest

from tachograph.cli.show import account_text
from tachograph.cli.terminal import Paint, cells
from tachograph_schemas.account import build
from tachograph_schemas.rows import RunRow

QUESTIONS = ["trigger", "read", "tools", "decided", "changed", "approved", "stopped", "cost"]


def test_show_tells_the_run(recorded):
    result = recorded("show", "2222aaaaa" + 23 * "0")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "Refund order A-1"
    assert lines[1] == "✓ Finished successfully in 2.0 s"
    for said in (
        "What happened",
        "Carried out refund(id='A-1')",
        "What did it cost?",
        "$0.00125 for 1 model call",
        "Through lookup_order(id='A-1')",
    ):
        assert said in result.out


def test_show_takes_the_beginning_of_an_id_or_last(recorded):
    assert recorded("show", "1111").out.startswith("Back up")
    assert recorded("show", "last").code == 0


def test_show_refuses_a_beginning_that_several_runs_have(recorded):
    result = recorded("show", "2222")
    assert (result.code, result.out) == (2, "")
    assert "Several runs start with '2222'" in result.err


@pytest.mark.parametrize("run_id", ["ffff", "", "%", "' OR 1=1", "\x1b[2J"])
def test_show_of_no_run_says_so(recorded, run_id):
    result = recorded("show", run_id)
    assert (result.code, result.out) == (1, "")
    assert "There is no run" in result.err
    assert "\x1b" not in result.err


def test_show_as_json_has_the_columns_and_the_eight_answers(recorded):
    shown = recorded("show", "1111", "--json").json
    assert set(shown) == {"run", "account", "bill"}
    assert set(shown["run"]) == {column.name for column in fields(RunRow)}
    account = shown["account"]
    assert list(account["sections"]) == QUESTIONS
    assert account["verdict"].startswith("Failed after 100 ms with OSError: no disk")
    assert account["warnings"] == []
    assert {
        "text",
        "layer",
        "tone",
        "span_id",
        "offset_ns",
        "duration_ns",
        "detail",
        "count",
    } == set(account["story"][0])


@pytest.mark.parametrize("width", [40, 80, 140])
def test_show_fits_the_width_it_is_given(recorded, width):
    for full in ([], ["--full"]):
        out = recorded("show", "2222bbbbb", "--width", str(width), *full).out
        assert max(map(cells, out.splitlines())) <= width


def test_show_shows_no_character_that_steers_a_terminal(recorded):
    for words in (["show", "1111"], ["show", "1111", "--full"], ["show", "1111", "--json"]):
        assert not set(recorded(*words).out) & set("\x1b\x07\u202e")


def test_the_account_is_coloured_on_request_only(recorded, collector):
    from tachograph_schemas import queries

    with collector.client() as client:
        run = queries.run(client, "1111")
        spans = queries.account_spans(client, run.run_id)
    account = build(run, spans)
    assert "\x1b[31m" in account_text(run, account, paint=Paint(on=True))
    assert "\x1b" not in account_text(run, account)
