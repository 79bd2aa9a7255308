"""All runs: filters in the address, figures, and one page of rows."""

from datetime import UTC, datetime

import streamlit as st

from tachograph_dashboard import components, data, frame, states
from tachograph_dashboard.filters import (
    DEFAULT_ORDER,
    ORDER_LABELS,
    OUTCOME_LABELS,
    WINDOWS,
    Choice,
    chosen,
)
from tachograph_dashboard.views import runs as views
from tachograph_dashboard.views import times
from tachograph_schemas import words
from tachograph_schemas.rows import Facets

SLICES = 40
BUSY_S, CALM_S = 3, 10
"""How often the list is refreshed while something is running, and while nothing is."""
TABLE = "runs_table"


def first_page() -> None:
    st.session_state["page"] = 1


def clear() -> None:
    for key in ("q", "agent", "customer", "outcome"):
        st.session_state[key] = "" if key == "q" else []
    if not choice.narrows:
        st.session_state["window"] = "all"
    for name in ("session", "tag"):
        st.query_params.pop(name, None)
    first_page()


def filter_bar(known: Facets) -> None:
    """The widgets; each is bound to the address, so that a link is the view."""
    with frame.head("Runs"):
        st.text_input(
            "Search runs",
            key="q",
            type="search",
            placeholder="Search what runs were about",
            label_visibility="collapsed",
            live=True,
            bind="query-params",
            on_change=first_page,
            width=220,
        )
        name_filter("agent", known.agents)
        name_filter("customer", known.customers)
        st.pills(
            "Outcome",
            list(OUTCOME_LABELS),
            key="outcome",
            selection_mode="multi",
            label_visibility="collapsed",
            bind="query-params",
            on_change=first_page,
        )
        frame.window(first_page)


def name_filter(name: str, listed: list[str]) -> None:
    # A link may name one that is not among the most frequent.
    options = list(dict.fromkeys([*listed, *st.query_params.get_all(name)]))
    if not options:
        st.session_state.setdefault(name, [])
        return
    st.multiselect(
        name.capitalize(),
        options,
        key=name,
        placeholder=f"Any {name}",
        label_visibility="collapsed",
        bind="query-params",
        on_change=first_page,
        width=165,
    )


def narrowed_by(choice: Choice) -> None:
    """What a link has narrowed the list to, and the way out."""
    for name, value in (("session", choice.session_id), ("tag", choice.tag)):
        if not value:
            continue
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"Only runs of {name} {words.excerpt(value, 80)}")
            if st.button("Show all runs", key=f"leave_{name}", type="tertiary"):
                st.query_params.pop(name, None)
                st.rerun()


def refresh_control() -> bool:
    return st.toggle(
        "Live",
        value=True,
        key="live",
        help="Refreshes the list by itself: every few seconds while something is running",
    )


def results(choice: Choice, was_running: bool, was_live: bool) -> None:
    """Figures and rows; a fragment, so that a refresh leaves the rest of the page alone."""
    now = datetime.now(UTC)
    which = choice.query(now)
    try:
        view = data.runs_view(which, SLICES, WINDOWS[choice.window], now)
        pages = max(1, -(-view.summary.runs // data.PAGE_ROWS))
        page = min(int(st.session_state.get("page") or 1), pages)
        rows = data.runs_page(which, st.session_state.get("order") or DEFAULT_ORDER, page)
    except data.StoreError:
        # The whole page changes its face, filters included.
        st.rerun()
    if bool(view.summary.running) != was_running:
        st.rerun()
    components.kpis(views.figures(view), key="kpis")
    if not rows:
        states.nothing_matches(clear, narrowed=choice.narrows, widen=choice.window != "all")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        frame.choice(
            "Order",
            list(ORDER_LABELS),
            format_func=str.capitalize,
            key="order",
            on_change=first_page,
        )
        st.space("stretch")
        if refresh_control() != was_live:
            st.rerun()
        if pages > 1:
            st.pagination(pages, key="page", bind="query-params", max_visible_pages=5)
    where = times.zone(st.context.timezone)
    opened, two = components.runs_table(views.table(rows, where, now), key=TABLE)
    if two:
        st.switch_page("app_pages/compare.py", query_params={"a": two[0], "b": two[1]})
    if opened:
        st.switch_page("app_pages/run.py", query_params={"id": opened})


try:
    known = data.facets()
    running = bool(known.outcomes) and data.is_running()
except data.StoreError:
    states.store_down()
    frame.stop()
if not known.outcomes:
    states.first_run()
    frame.stop()
filter_bar(known)
widgets = {str(key): value for key, value in st.session_state.items()}
choice = chosen(widgets, st.query_params.get("session", ""), st.query_params.get("tag", ""))
narrowed_by(choice)
live = bool(st.session_state.get("live", True))
every = (BUSY_S if running else CALM_S) if live else None
st.fragment(results, run_every=every, key="results")(choice, running, live)
