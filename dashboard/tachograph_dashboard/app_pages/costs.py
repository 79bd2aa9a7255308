"""What was spent, on what, and how much of it for nothing; and the budgets that stop it. ``/costs?by=Customer``"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import streamlit as st

from tachograph_dashboard import components, control, costs, data, frame, navigation, states
from tachograph_dashboard.filters import WINDOWS
from tachograph_dashboard.opened import Opened
from tachograph_dashboard.views import burn, course, plots, times
from tachograph_dashboard.views import costs as views
from tachograph_schemas.budgets import ACTIONS, SCOPES, UNITS, UNREACHABLE
from tachograph_schemas.budgets import WINDOWS as BUDGET_WINDOWS
from tachograph_schemas.costs import GROUPS

SLICES = 40
REFRESH_S = 10
MOST_CARDS = 30
"""Budgets at once; more are found by name."""
HELP = {
    "target": "Which one. Empty: each has a budget of its own; for runs, steps and repair loops: of every agent.",
    "action": "What happens to the next call once it is used up.",
    "unreachable": "Without the collector: share uses up what was leased, then does what is said above.",
}


def bar() -> tuple[str, str]:
    """By what, and over which time; both are in the address."""
    with frame.head("Costs"):
        by = frame.choice("By", list(GROUPS), format_func=str.capitalize, key="by")
        return by, frame.window()


def asked(by: str, window: str) -> tuple[costs.CostsView, datetime, datetime, int]:
    """The answers, from when until when they are, and how long a slice is, in seconds."""
    span = WINDOWS[window]
    slice_s = max(60, round(span.total_seconds() / SLICES))
    # In whole slices, so that the same question is asked again and answered from memory.
    end = datetime.fromtimestamp(datetime.now(UTC).timestamp() // slice_s * slice_s + slice_s, UTC)
    return costs.view(by, end - span, slice_s), end - span, end, slice_s


def figures(by: str, window: str) -> None:
    """The strip of figures; a fragment."""
    try:
        view = asked(by, window)[0]
    except data.StoreError:
        # Not the whole page: that would close the dialog of a budget with all that was typed.
        return
    if view.agents:
        components.kpis(views.figures(view), key="cost_figures", most=4)


def spending(by: str, window: str) -> None:
    """Course and table; a fragment, so that a refresh leaves a form alone."""
    try:
        view, since, until, slice_s = asked(by, window)
    except data.StoreError:
        st.caption("The store does not answer now; costs are shown again as soon as it does.")
        return
    if not view.agents:
        states.no_costs(widen=window != "all", on_widen=frame.widen)
        return
    if view.course:
        where = times.zone(st.context.timezone)
        drawn = course.figure(view.course, views.unnamed(by), (since, until), slice_s, where)
        st.plotly_chart(
            drawn, config=plots.CONFIG, key=f"course_{by}", alt=course.told(view.course)
        )
    shown = views.table(view.groups, by, st.query_params.get("name", ""))
    opened = components.sheet(shown, key="cost_table")
    if opened is not None:
        navigation.follow(views.leads(by, opened))
    if by == "tool":
        st.caption("Costs of the runs that used a tool: a run counts for every tool it used.")


def budget_list() -> None:
    """The budgets; a fragment."""
    try:
        found = costs.budgets()
    except control.ControlError as error:
        # Not as Markdown: it is another program's sentence.
        st.text(f"Budgets cannot be shown: {error}")
        return
    if not found:
        states.no_budgets()
        return
    wanted = ""
    if len(found) > MOST_CARDS:
        wanted = st.text_input(
            "Find a budget",
            key="budget_wanted",
            type="search",
            placeholder=f"Find one of {len(found):,} by name or target",
            label_visibility="collapsed",
            live=True,
        )
    listed = views.ranked(found, wanted)
    opened = components.budgets(views.cards(listed[:MOST_CARDS]), key="budget_cards")
    if len(listed) > MOST_CARDS:
        st.caption(f"{len(listed) - MOST_CARDS:,} more, which are used less.")
    elif not listed:
        st.caption("No budget has this in its name or target.")
    if opened is not None:
        st.session_state["budget_open"] = opened
        st.rerun()


def fields(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The form; what it says now."""
    name = st.text_input("Name", rule.get("name", ""), disabled=bool(rule), max_chars=200)
    left, right = st.columns(2)
    limit = left.number_input(
        "Limit", min_value=0.0, value=float(rule.get("limit", 10.0)), format="%g"
    )
    unit = choice(right, "Unit", UNITS, rule.get("unit", "usd"))
    scope = choice(left, "Scope", SCOPES, rule.get("scope", "project"))
    target = right.text_input("Target", rule.get("target", ""), help=HELP["target"], max_chars=200)
    window = choice(left, "Window", BUDGET_WINDOWS, rule.get("window", "day"))
    action = choice(right, "When it is used up", ACTIONS, rule.get("action", "stop"), "action")
    unreachable = choice(
        left, "Without the collector", UNREACHABLE, rule.get("unreachable", "share"), "unreachable"
    )
    rolling_s = 0
    if window == "rolling":
        given = int(rule.get("rolling_s", 0)) or 3600
        rolling_s = int(right.number_input("Length of the window, s", 60, 366 * 86_400, given))
    return {
        "name": name.strip(),
        "limit": limit,
        "unit": unit,
        "scope": scope,
        "target": target.strip(),
        "window": window,
        "rolling_s": rolling_s,
        "action": action,
        "unreachable": unreachable,
    }


def burn_down(state: Mapping[str, Any]) -> None:
    """The course of a budget, if it has one."""
    drawn = burn.figure(state, times.zone(st.context.timezone))
    if drawn is None:
        return
    st.plotly_chart(drawn, config=plots.CONFIG, key="burn", alt=burn.told(state))


def choice(place: Any, label: str, known: Sequence[str], now: str, about: str = "") -> str:
    return str(
        place.selectbox(
            label, known, index=known.index(now), format_func=spoken, help=HELP.get(about)
        )
    )


def spoken(name: str) -> str:
    """The word of a budget's definition as people say it."""
    return "US dollars" if name == "usd" else name.replace("_", " ").capitalize()


@st.dialog("Budget", width="medium")
def edit(state: Mapping[str, Any]) -> None:
    """How one is doing, and the form that makes, changes or removes it."""
    rule = state.get("rule", {})
    burn_down(state)
    definition = fields(rule)
    opened.tell()
    frame.your_name(st, "budget_actor")
    who = frame.me("budget_actor")
    with st.container(horizontal=True, gap="small"):
        save = st.button("Save", type="primary", key="budget_save")
        gone = bool(rule) and st.button("Remove", type="tertiary", key="budget_remove")
    if not (save or gone):
        return
    said = "" if who else "Say who you are first: the record names you."
    said = said or ("" if gone else views.problem(definition))
    try:
        if not said and gone:
            costs.remove_budget(definition["name"], who)
        elif not said:
            costs.put_budget(definition, who, opened.version(definition["name"]))
    except control.ControlError as error:
        said = f"Not done: {error}"
        if error.was_changed and seen_now(definition["name"], str(error)):
            st.rerun(scope="fragment")
    if not said:
        st.rerun()
    st.text(said)


def seen_now(name: str, why: str) -> bool:
    """Somebody else has changed it since it was opened: show what it says now, if that can be had."""
    try:
        now = costs.budget(name).get("rule", {})
    except control.ControlError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            return False
        now = {}
    opened.changed(why, now)
    return True


def open_budget(state: Mapping[str, Any]) -> None:
    opened.begin(state.get("rule", {}))
    edit(state)


opened = Opened("budget")
by, window = bar()
try:
    known = data.facets()
except data.StoreError:
    states.store_down()
    frame.stop()
if known.outcomes:
    st.fragment(figures, run_every=REFRESH_S, key="figures")(by, window)
left, right = st.columns([0.68, 0.32], gap="medium")
with left:
    if known.outcomes:
        st.fragment(spending, run_every=REFRESH_S, key="spending")(by, window)
    else:
        states.no_costs(widen=False, on_widen=frame.widen)
with right:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("## Budgets", anchors=False)
        st.space("stretch")
        if st.button("New budget", icon=":material/add:", key="budget_new"):
            open_budget({})
    st.fragment(budget_list, run_every=REFRESH_S, key="budget_list")()
wanted = st.session_state.pop("budget_open", None)
if wanted is not None:
    try:
        open_budget(costs.budget(wanted))
    except control.ControlError as error:
        st.text(str(error))
