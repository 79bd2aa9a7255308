"""The pages' scripts over a real store, without a browser."""

import json

import pytest

from otlp import span_id
from tachograph_dashboard import states
from tachograph_schemas import words

REFUND, EVERY_LAYER, HOSTILE, FAILED, STOPPED = (
    number.to_bytes(16, "big").hex() for number in range(1, 6)
)


def sent(pages, name):
    """What a component was given."""
    return next(
        json.loads(element.proto.json)
        for element in pages.get("bidi_component")
        if element.proto.component_name == f"tachograph_{name}"
    )


def open_run(pages, run_id, **address):
    pages.run().switch_page("app_pages/run.py")
    pages.query_params["id"] = run_id
    for name, value in address.items():
        pages.query_params[name] = value
    pages.run()
    assert not pages.exception
    return pages


def test_the_list_shows_every_run_with_its_outcome_in_words(pages):
    """Titles, outcomes and figures come from the store."""
    pages.run()
    assert not pages.exception
    rows = {row["id"]: row for row in sent(pages, "runs")["runs"]}
    assert rows[REFUND]["title"] == "Refund order 58213"
    assert {rows[run]["outcome"] for run in (REFUND, FAILED, STOPPED)} == {
        "success",
        "failure",
        "stopped",
    }
    assert rows[STOPPED]["why"] == "Budget of $0.50 used up"


def test_an_unknown_price_is_never_shown_as_nothing(pages):
    """One call of the refund has no known price: the figure says so."""
    pages.run()
    row = next(row for row in sent(pages, "runs")["runs"] if row["id"] == REFUND)
    assert row["cost"] == "$0.00255+"
    assert row["cost_note"] == "1 call without a known price"
    cost = next(card for card in sent(pages, "kpis")["cards"] if card["label"] == "Cost")
    assert "calls unpriced" in cost["note"]


def test_the_figure_of_failures_counts_what_the_filter_shows(pages):
    """Interrupted runs stand beside it, not in it."""
    pages.run()
    cards = {card["label"]: card for card in sent(pages, "kpis")["cards"]}
    failed = [row for row in sent(pages, "runs")["runs"] if row["outcome"] == "failure"]
    assert cards["Failed"]["value"] == str(len(failed))
    assert cards["Succeeded"]["note"] == "1 stopped"


def test_the_first_program_names_a_collector_that_is_elsewhere(monkeypatch):
    """At the usual place it says nothing of addresses."""
    monkeypatch.setenv("TACHO_ENDPOINT", "http://127.0.0.1:40123")
    assert "# TACHO_ENDPOINT=http://127.0.0.1:40123\n" in states.first_program()
    monkeypatch.delenv("TACHO_ENDPOINT")
    assert "ENDPOINT" not in states.first_program()


def test_filters_come_from_the_address(pages):
    """A link is the view."""
    pages.query_params["outcome"] = "Failed"
    pages.query_params["agent"] = "refund-agent"
    pages.run()
    assert pages.pills(key="outcome").value == ["Failed"]
    assert [row["id"] for row in sent(pages, "runs")["runs"]] == [FAILED]


def test_a_session_narrows_the_list_and_can_be_left(pages):
    """The link on a run's page leads to the runs that share its session."""
    pages.query_params["session"] = "s-17"
    pages.run()
    assert {row["id"] for row in sent(pages, "runs")["runs"]} == {REFUND, FAILED, STOPPED}
    pages.button(key="leave_session").click().run()
    assert len(sent(pages, "runs")["runs"]) == 5


def test_filters_that_leave_nothing_can_be_cleared(pages):
    """The empty list says why and offers the way out."""
    pages.run()
    pages.text_input(key="q").set_value("no run says this").run()
    assert any("No runs match" in text.value for text in pages.markdown)
    pages.button(key="clear").click().run()
    assert len(sent(pages, "runs")["runs"]) == 5


def test_a_run_tells_its_story_and_facts(pages):
    """Header, story, questions and tree are all there."""
    open_run(pages, REFUND)
    header = sent(pages, "header")
    facts = {fact["label"]: fact["value"] for fact in header["facts"]}
    assert header["title"] == "Refund order 58213"
    assert header["outcome"] == "success"
    assert facts["Agent"] == "refund-agent"
    assert facts["Customer"] == "Northwind"
    assert facts["Waiting for people"] == "20.0 s"
    story = sent(pages, "account")["story"]
    assert {"bad", "warn"} & {line["tone"] for line in story}
    assert sent(pages, "tree")["src"].startswith("/data/tree/")


def test_spans_that_never_arrived_are_said(pages):
    """Stored 13 of 15 is visible."""
    facts = {
        fact["label"]: fact["value"] for fact in sent(open_run(pages, FAILED), "header")["facts"]
    }
    assert facts["Spans stored"] == "13 of 15"


def test_a_link_to_a_span_shows_its_evidence(pages):
    """The span of the address is the one in the details."""
    open_run(pages, REFUND, span=span_id(5))
    details = sent(pages, "details")
    facts = {row["label"]: row["value"] for row in details["tabs"][0]["blocks"][1]["rows"]}
    assert details["name"] == "gate refund.limit"
    assert facts == {
        "Verdict": "Denied",
        "What was done": "It was blocked",
        "Rule": "refund.limit",
        "Reason": "Over $200 needs a person",
    }


def test_a_failed_run_opens_where_it_went_wrong(pages):
    """Without a span in the address the reader sees the trouble first."""
    open_run(pages, FAILED)
    assert sent(pages, "details")["span"]


@pytest.mark.parametrize(
    ("run_id", "title"),
    [("ffff", "This run is not stored"), ("0000", "Several runs start like that"), ("", "No run was named")],
)  # fmt: skip
def test_an_address_without_a_run_explains_itself(pages, run_id, title):
    """Why there is nothing, and the way back."""
    open_run(pages, run_id)
    assert any(title in text.value for text in pages.markdown)


def test_hostile_text_reaches_components_only_as_data(pages):
    """No Markdown element, label or title of Streamlit's holds what was recorded."""
    open_run(pages, HOSTILE)
    shown = [*pages.markdown, *pages.caption, *pages.title, *pages.header, *pages.subheader]
    assert not [
        text.value for text in shown if "evil.example" in text.value or "onerror" in text.value
    ]


@pytest.mark.parametrize(
    ("page", "sentence"),
    [("approvals", "The inbox cannot be reached"), ("alerts", "Alerts cannot be reached")],
)
def test_pages_without_a_collector_say_so_and_show_no_markup(pages, monkeypatch, page, sentence):
    """The control API is another service than the store: one may be down without the other."""
    from tachograph_dashboard import control

    monkeypatch.setenv("TACHO_ENDPOINT", "http://127.0.0.1:9")
    control.forget()
    pages.run().switch_page(f"app_pages/{page}.py").run()
    assert not pages.exception
    assert any(sentence in shown.value for shown in pages.markdown)
    assert any("does not answer" in shown.value for shown in pages.text)


def test_the_page_of_replays_says_when_nobody_answers(pages, monkeypatch):
    """And how to start one."""
    from tachograph_dashboard import control

    monkeypatch.setenv("TACHO_ENDPOINT", "http://127.0.0.1:9")
    control.forget()
    pages.run().switch_page("app_pages/replays.py").run()
    assert not pages.exception
    assert [shown.value for shown in pages.code] == ["tacho replay --since 24h"]
    assert "does not answer" in pages.text[0].value
    assert "`tacho up`" in pages.caption[-1].value


def open_agents(pages, name=""):
    pages.run().switch_page("app_pages/agents.py")
    if name:
        pages.query_params["name"] = name
    pages.run()
    assert not pages.exception
    return pages


def test_the_page_of_agents_lists_them_with_their_health(pages):
    """A figure that has nothing to be made of is a dash, never a zero."""
    open_agents(pages)
    table = sent(pages, "sheet")
    heads = [column["label"] for column in table["columns"]]
    rows = {row["open"]: dict(zip(heads, row["cells"], strict=True)) for row in table["rows"]}
    refund = rows["refund-agent"]
    assert (refund["Runs"]["text"], refund["Succeeded"]["text"]) == ("3", "33.3 %")
    assert refund["Gates denied"]["text"] == "100 %"
    assert refund["Checks failed"]["text"] == words.UNKNOWN
    assert refund["Cost per success"]["text"].endswith("+")


def test_one_agent_shows_figures_maturity_and_versions(pages):
    """Its level comes from the spans, and so does the line of code that is next."""
    open_agents(pages, name="refund-agent")
    cards = {card["label"]: card for card in sent(pages, "kpis")["cards"]}
    assert cards["Approvals granted"]["note"] == "20.0 s to wait"
    assert cards["Repairs that succeeded"]["value"] == "100 %"
    ladder = sent(pages, "maturity")
    assert ladder["levels"][4]["signs"][0] == {
        "title": "Rules decide about actions",
        "seen": True,
        "found": "3 of 3 gates",
        "code": 'tacho.gate("refund limit", allow=usd <= 100, proposal={"usd": usd}).enforce()',
    }
    assert ladder["next"]["code"].startswith(("@tacho", "tacho"))


def test_an_agent_that_is_not_there_is_said_plainly(pages):
    """What came with the address is text, not markup."""
    open_agents(pages, name="<b>nobody</b>")
    assert any(element.value == "<b>nobody</b>" for element in pages.text)


def test_a_failed_run_says_why_and_where_it_left_the_road(pages):
    """The refund that failed is held against the refund that succeeded."""
    open_run(pages, FAILED)
    shown = [
        json.loads(element.proto.json)
        for element in pages.get("bidi_component")
        if element.proto.component_name == "tachograph_account"
    ]
    why = next(each for each in shown if "sections" in each and len(each["sections"]) == 2)
    assert why["sections"][1]["link"] == {"text": "Refund order 58213", "run": REFUND}
    assert "All" in why["sections"][1]["lines"][0]["text"]
