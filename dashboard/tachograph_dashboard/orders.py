"""Pause and stop from a page: what is in force here, and the form that gives an order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tachograph_dashboard import components, control, frame
from tachograph_dashboard.views import orders as views

POLL_S = 3
_NAME, _REASON, _SAID = "order_name", "order_reason", "order_said"
_ABOUT = {
    "run": "A pause holds this run at its next effect, a stop ends it there.",
    "agent": "A pause holds the runs of this agent at their next effect, a stop ends them there. "
    "Runs that start later obey too, until it is taken back.",
    "all": "A pause holds the runs of every agent at their next effect, a stop ends them there. "
    "Runs that start later obey too, until it is taken back.",
}
_DONE = {"pause": "Paused", "stop": "Stopped"}


def offer(scope: str, target: str = "") -> None:
    """The form, behind a button; ``target`` is the agent's name or the run's id.

    Not a dialog: the page of a live run is drawn again with every step, and would take that away.
    """
    with st.popover("Pause or stop", icon=":material/pause:"):
        st.caption(_ABOUT[scope])
        frame.your_name(st, _NAME)
        st.text_input(
            "Reason",
            key=_REASON,
            max_chars=2_000,
            placeholder="It is in the record of each run",
            persist_state="page",
        )
        with st.container(horizontal=True, gap="small"):
            for action, label in (("pause", "Pause"), ("stop", "Stop")):
                st.button(
                    label,
                    # The list's form stands a moment longer where one agent is opened: what is pressed
                    # there must not become an order for that agent.
                    key=f"order_{action}_{scope}_{target}",
                    type="primary" if action == "pause" else "secondary",
                    on_click=_give,
                    args=(action, scope, target),
                )
        about, said = st.session_state.get(_SAID, ("", ""))
        # It stays until the next press: a live run is drawn again before it could be read.
        if said and about == f"{scope} {target}":
            # Not as Markdown: the sentence may quote what somebody typed.
            st.text(said)


def _give(action: str, scope: str, target: str) -> None:
    """A button was pressed."""
    st.session_state[_SAID] = (f"{scope} {target}", _given(action, scope, target))


def _given(action: str, scope: str, target: str) -> str:
    """Give the order; what came of it."""
    name = frame.me(_NAME)
    if not name:
        return "Say who you are first: the record names you."
    reason = str(st.session_state.get(_REASON) or "").strip()
    aim = {"scope": scope, "target": target, "actor": name}
    try:
        control.give_order(aim | {"action": action, "reason": reason})
    except control.ControlError as error:
        return f"Not done: {error}"
    st.session_state[_REASON] = ""
    return f"{_DONE[action]}: agents hear of it within two seconds."


@st.fragment(run_every=POLL_S)
def in_force(agent: str = "", run_id: str = "") -> None:
    """What is paused or stopped here, with the way to take it back; without an agent, everything that is.

    Nothing is drawn when nothing is, or when it cannot be known: the page is worth showing without it.
    """
    try:
        found = control.orders()
    except control.ControlError:
        return
    if agent:
        found = views.concerning(found, agent=agent, run_id=run_id)
    if not found:
        return
    latest = found[-components.MOST_ROWS :]
    pressed = components.alerts(
        views.rows(latest, datetime.now(UTC)),
        key="orders",
        more=views.earlier(len(found) - len(latest)),
    )
    if pressed and _ended(pressed[0]):
        st.rerun(scope="fragment")


def _ended(row_id: str) -> bool:
    scope, target = row_id.split(" ", 1)
    aim: dict[str, Any] = {"scope": scope, "target": target, "actor": frame.me(_NAME)}
    try:
        control.end_orders(aim)
    except control.ControlError as error:
        # Not as Markdown: it is another program's sentence.
        st.text(f"Not done: {error}")
        return False
    st.session_state.pop(_SAID, None)
    return True
