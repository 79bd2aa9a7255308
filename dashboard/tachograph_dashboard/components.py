"""Our own browser components, registered once at import, and how pages mount them.

The scripts are handed over inline: they work from any directory, under ``AppTest`` and from a wheel. Every
one is put behind ``common.js`` and the tables of :mod:`.icons`, so that shapes and words have one source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import streamlit as st

from tachograph_dashboard.icons import (
    LAYER_PATHS,
    LAYER_WORDS,
    OUTCOME_PATHS,
    OUTCOME_TONES,
    OUTCOME_WORDS,
)
from tachograph_dashboard.navigation import Link
from tachograph_schemas.names import LAYERS, OUTCOMES

Data = Mapping[str, Any]
Callback = Callable[[], None]


def _asset(name: str) -> str:
    return resources.files("tachograph_dashboard").joinpath("assets", name).read_text("utf-8")


def constants() -> str:
    """The tables of :mod:`.icons` as a script."""
    outcomes = {
        outcome: {
            "path": OUTCOME_PATHS[outcome],
            "word": OUTCOME_WORDS[outcome],
            "tone": OUTCOME_TONES[outcome],
        }
        for outcome in OUTCOMES
    }
    tables = {
        "LAYERS": LAYERS,
        "LAYER_PATHS": LAYER_PATHS,
        "LAYER_WORDS": LAYER_WORDS,
        "OUTCOMES": outcomes,
    }
    return "\n".join(f"const {name} = {json.dumps(table)}" for name, table in tables.items())


def script(*names: str) -> str:
    """The script of a component: the tables, the shared part, then its own files in order."""
    return "\n".join([constants(), _asset("common.js"), *(_asset(f"{name}.js") for name in names)])


def _register(name: str, html: str, scripts: Sequence[str]) -> Any:
    return st.components.v2.component(
        f"tachograph_{name}",
        html=html,
        css=_asset("base.css") + _asset(f"{name}.css"),
        js=script(*scripts),
    )


_kpis = _register("kpis", '<div class="kpis"></div>', ["kpis"])
_runs = _register("runs", '<div class="runs"></div>', ["runs"])
_header = _register("header", '<div class="header"></div>', ["header"])
_account = _register("account", '<div class="account"></div>', ["account"])
_details = _register("details", '<div class="details"></div>', ["details"])
_inbox = _register("inbox", '<div class="inbox"></div>', ["inbox"])
_request = _register("request", '<div class="request"></div>', ["request"])
_drift = _register("drift", '<div class="drift"></div>', ["drift"])
_alerts = _register("alerts", '<div class="alerts"></div>', ["alerts"])
_sheet = _register("sheet", '<div class="sheet"></div>', ["sheet"])
_maturity = _register("maturity", '<div class="maturity"></div>', ["maturity"])
_agent_head = _register("agenthead", '<div class="agenthead"></div>', ["agenthead"])
_budgets = _register("budgets", '<div class="budgets"></div>', ["budgets"])
_compare = _register("compare", '<div class="compare"></div>', ["compare"])
_replays = _register("replays", '<div class="replays"></div>', ["replays"])
_tree = _register(
    "tree",
    _asset("tree.html"),
    ["tree_model", "tree_rows", "tree_lane", "tree_input", "tree"],
)


MOST_ROWS = 100
"""That lists without pages draw: a browser takes seconds for thousands, and nobody reads them."""


def _nothing() -> None:
    """A state that changed without anyone to tell."""


def kpis(cards: Sequence[Data], *, key: str, most: int = 0) -> None:
    """The strip of figures, at most ``most`` in a row (0: as many as there is room for)."""
    _kpis(key=key, data={"cards": list(cards), "most": most}, height="content")


def runs_table(data: Data, *, key: str) -> tuple[str | None, tuple[str, str] | None]:
    """The list of runs; the id of the one that was clicked just now, or the two that are to be compared."""
    result = _runs(
        key=key,
        data=dict(data),
        height="content",
        on_open_change=_nothing,
        on_compare_change=_nothing,
    )
    opened, two = result.get("open"), result.get("compare")
    chosen = (str(two[0]), str(two[1])) if isinstance(two, list) and len(two) == 2 else None
    return (opened if isinstance(opened, str) else None), chosen


def run_header(data: Data, *, key: str) -> Link | None:
    """The head of a run; the link in it that was clicked just now."""
    result = _header(key=key, data=dict(data), height="content", on_go_change=_nothing)
    return Link.clicked(result.get("go"))


def comparison(data: Data, *, key: str) -> str | None:
    """Two runs side by side; the id of the one that was clicked just now."""
    result = _compare(key=key, data=dict(data), height="content", on_open_change=_nothing)
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def replays(data: Data, *, key: str) -> dict[str, str] | None:
    """Replays and forks of a run; where the one leads that was clicked just now: ``page``, and its address."""
    result = _replays(key=key, data=dict(data), height="content", on_lead_change=_nothing)
    lead = result.get("lead")
    return {str(k): str(v) for k, v in lead.items()} if isinstance(lead, dict) else None


def account(data: Data, *, key: str, on_span: Callback) -> None:
    """The story or the questions; a click asks the tree, or leaves ``span`` when there is none."""
    _account(key=key, data=dict(data), height="content", on_span_change=on_span)


def tree(data: Data, *, key: str) -> None:
    """The tree of spans; the chosen span's id is ``selected`` under ``key``."""
    _tree(key=key, data=dict(data), height="content", on_selected_change=_nothing)


def details(data: Data, *, key: str, on_span: Callback) -> None:
    """One span; a click on a link to another leaves ``span`` when the tree is not there."""
    _details(key=key, data=dict(data), height="content", on_span_change=on_span)


def inbox(data: Data, *, key: str) -> str | None:
    """A list of requests for approval, alarms or agents; the id of the one that was clicked just now."""
    result = _inbox(key=key, data=dict(data), height="content", on_open_change=_nothing)
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def request(data: Data, *, key: str) -> Link | None:
    """One request for approval; the link in it that was clicked just now."""
    result = _request(key=key, data=dict(data), height="content", on_go_change=_nothing)
    return Link.clicked(result.get("go"))


def drift(data: Data, *, key: str) -> Link | None:
    """An alarm, or how an agent is watched; the link in it that was clicked just now."""
    result = _drift(key=key, data=dict(data), height="content", on_go_change=_nothing)
    return Link.clicked(result.get("go"))


def alerts(rows: Sequence[Data], *, key: str, more: str = "") -> tuple[str, str] | None:
    """A list of the page of alerts, and a sentence on those that are left out; the row and what was pressed on it
    just now.
    """
    data = {"rows": list(rows), "more": more}
    result = _alerts(key=key, data=data, height="content", on_act_change=_nothing)
    pressed = result.get("act")
    if not isinstance(pressed, dict):
        return None
    return str(pressed.get("id", "")), str(pressed.get("name", ""))


def sheet(data: Data, *, key: str) -> str | None:
    """A table of figures; what the row leads to that was clicked just now."""
    result = _sheet(key=key, data=dict(data), height="content", on_open_change=_nothing)
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def maturity(data: Data, *, key: str) -> None:
    """The level of a harness, its signs, and what to add next."""
    _maturity(key=key, data=dict(data), height="content")


def agent_head(data: Data, *, key: str) -> Link | None:
    """The head of an agent; the link in it that was clicked just now."""
    result = _agent_head(key=key, data=dict(data), height="content", on_go_change=_nothing)
    return Link.clicked(result.get("go"))


def budgets(cards: Sequence[Data], *, key: str) -> str | None:
    """Budgets as cards; the name of the one that was clicked just now."""
    result = _budgets(
        key=key, data={"budgets": list(cards)}, height="content", on_open_change=_nothing
    )
    opened = result.get("open")
    return opened if isinstance(opened, str) else None
