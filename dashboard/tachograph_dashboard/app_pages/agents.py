"""Agents: how well the harness around each does its work. ``/agents?name=&window=``"""

from datetime import UTC, datetime

import streamlit as st

from tachograph_dashboard import (
    agents_data,
    components,
    control,
    data,
    frame,
    navigation,
    orders,
    states,
)
from tachograph_dashboard.filters import WINDOWS
from tachograph_dashboard.views import agent_figures, times
from tachograph_dashboard.views import agents as views
from tachograph_dashboard.views import versions as version_views
from tachograph_schemas import words


def everyone() -> None:
    with frame.head("Agents"):
        chosen = frame.window()
        orders.offer("all")
    orders.in_force()
    when = agents_data.window(WINDOWS[chosen], now)
    with st.skeleton(height=320):
        found = agents_data.listed(when)
    if not found:
        states.no_agents(frame.widen, widen=chosen != "all")
        return
    components.kpis(agent_figures.totals(found), key="agents_kpis")
    opened = components.sheet(views.table(found, now), key="agents_table")
    if opened:
        st.query_params["name"] = opened
        st.rerun()


def one(name: str) -> None:
    heading, right = st.columns([0.52, 0.48], vertical_alignment="bottom")
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="xsmall"):
        chosen = frame.window()
        orders.offer("agent", name)
    orders.in_force(name)
    when = agents_data.window(WINDOWS[chosen], now)
    with st.skeleton(height=320):
        found = agents_data.agent(name, when)
    if found is None:
        states.no_agents(frame.widen, name=words.excerpt(name, 160), widen=chosen != "all")
        return
    where = times.zone(st.context.timezone)
    versions = agents_data.versions(name, when)
    breakers = agents_data.breakers(name, when)
    with heading:
        shown = views.head(found, versions, chosen, where, now)
        clicked = components.agent_head(shown, key="agent_head")
    if clicked is not None and clicked.page == "agents":
        # The same page: its time window is a widget's, and stays as it is.
        st.query_params.pop("name", None)
        st.rerun()
    navigation.follow(clicked)
    course = agents_data.course(name, when)
    components.kpis(agent_figures.figures(found, course, breakers, when), key="agent_kpis", most=6)
    left, right = st.columns([0.58, 0.42], gap="large")
    with left:
        st.markdown("## Harness maturity", anchors=False)
        card = agents_data.card(name, when)
        components.maturity(views.maturity(card), key="maturity")
    with right:
        st.markdown("## Versions", anchors=False)
        components.sheet(views.versions_table(versions, where, now), key="versions")
        compared(name)
        if breakers:
            st.markdown("## Circuit breakers", anchors=False)
            components.sheet(views.breakers_table(breakers), key="breakers")
        st.markdown("## Layers seen at work", anchors=False)
        components.maturity(views.layers(card), key="layers")


def compared(name: str) -> None:
    """What the deploy guard says of its new versions. The page is worth showing without it."""
    try:
        guards = control.drift_guards(name)
    except control.ControlError:
        return
    for each in guards[:3]:
        # Not as Markdown: a version may call itself anything.
        st.text(version_views.sentence(each))
    if guards:
        st.page_link(
            "app_pages/drift.py", label="Compare", query_params={"version": guards[0]["id"]}
        )


now = datetime.now(UTC)
name = st.query_params.get("name", "")
st.set_page_config(page_title=f"{words.excerpt(name, 60) or 'Agents'} · Tachograph")
try:
    # A store that hangs answers nothing for a while, and a blank page would say less.
    with st.spinner("Asking the store …"):
        empty = data.is_empty()
    if not empty and name:
        one(name)
    elif not empty:
        everyone()
except data.StoreError:
    states.store_down()
    frame.stop()
if empty:
    states.first_run()
