"""Which agents behave differently than before: alarms, and how each agent is watched. ``/drift?alarm=``, ``?agent=`` or ``?version=``"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tachograph_dashboard import components, control, frame, navigation, states
from tachograph_dashboard.views import drift as views
from tachograph_dashboard.views import times, versions
from tachograph_schemas import words

SAID = "drift_said"
SETTLED = "Acknowledged"


def choose(**query: str) -> None:
    """Show something else."""
    for name in ("alarm", "agent", "version"):
        st.query_params.pop(name, None)
    st.query_params.update(query)
    st.rerun()


def lists() -> None:
    """Alarms and agents; one of them is chosen."""
    now = datetime.now(UTC)
    if alarms:
        st.markdown(f"**{view} alarms**", anchors=False)
        opened = components.inbox(views.alarms(alarms, alarm_id, now), key="alarms")
        if opened and opened != alarm_id:
            choose(alarm=opened)
    else:
        st.caption("No open alarm." if view == "Open" else "No alarm was acknowledged yet.")
    if guards:
        st.markdown("**New versions**", anchors=False)
        opened = components.inbox(versions.cards(guards, version, now), key="versions")
        if opened and opened != version:
            choose(version=opened)
    st.markdown("**Agents**", anchors=False)
    chosen = components.inbox(views.agents(agents, agent), key="agents")
    if chosen and chosen != agent:
        choose(agent=chosen)


ENDINGS = (
    (
        "This is the new normal",
        "Learn a new baseline of all metrics, beginning with these runs",
        {"learn": True},
    ),
    (
        "New normal of this metric only",
        "Learn this metric anew, beginning with these runs; the others keep their baseline",
        {"learn": True, "metric_only": True},
    ),
    ("Dismiss", "Keep the baseline and go on watching", {"learn": False}),
)


def end(found: Mapping[str, Any], said: Mapping[str, bool]) -> None:
    """A button was pressed."""
    name = frame.me("actor")
    if not name:
        st.session_state[SAID] = "Say who you are first: the record names you."
        return
    note = str(st.session_state.get(f"note_{found['id']}") or "").strip()
    try:
        control.acknowledge(found["id"], {**said, "actor": name, "note": note})
    except control.ControlError as error:
        st.session_state[SAID] = f"Not done: {error}"


def ending(found: Mapping[str, Any]) -> None:
    """Who, why, and the ways to end an alarm."""
    st.space("small")
    who, why = st.columns([0.3, 0.7])
    frame.your_name(who, "actor")
    why.text_input("Note", key=f"note_{found['id']}", max_chars=2_000, placeholder="Why it changed")
    with st.container(horizontal=True, gap="small"):
        for number, (label, help_text, said) in enumerate(ENDINGS):
            st.button(
                label,
                key=f"{label}_{found['id']}",
                type="secondary" if number else "primary",
                on_click=end,
                args=(found, said),
                help=help_text,
            )
    told = st.session_state.pop(SAID, "")
    if told:
        # Not as Markdown: the sentence may quote what somebody typed.
        st.text(told)


def detail() -> None:
    """The alarm or the agent that is chosen."""
    now = datetime.now(UTC)
    found = next((each for each in alarms if each["id"] == alarm_id), None)
    compared = next((each for each in guards if each["id"] == version), None)
    if compared is not None:
        components.drift(versions.detail(compared, where, now), key=f"version_{version}")
        return
    if found is not None:
        clicked = components.drift(views.alarm(found, where, now), key=f"alarm_{found['id']}")
        if found["state"] == "open":
            ending(found)
    elif agent in {each["agent"] for each in agents}:
        [shown] = control.drift_agents(agent)
        clicked = components.drift(views.agent(shown, where, now), key="agent")
    else:
        st.caption("This alarm, agent or version is not known here. Choose another one.")
        return
    navigation.follow(clicked)


where = times.zone(st.context.timezone)
with frame.head("Drift"):
    view = frame.choice("Show", ["Open", SETTLED], key="show")
try:
    alarms = control.drift_alarms("acknowledged" if view == SETTLED else "open")
    agents = control.drift_agents()
    guards = control.drift_guards()
    behind_s = control.drift_behind_s()
except control.ControlError as error:
    states.no_control(str(error), "The collector cannot be reached")
    frame.stop()
if behind_s:
    st.warning(words.drift_is_behind(behind_s))
if not agents:
    states.no_drift()
    frame.stop()
alarm_id, agent = st.query_params.get("alarm", ""), st.query_params.get("agent", "")
version = st.query_params.get("version", "")
if not alarm_id and not agent and not version:
    alarm_id = alarms[0]["id"] if alarms else ""
    agent = "" if alarms else agents[0]["agent"]
left, right = st.columns([0.3, 0.7], gap="medium")
with left:
    lists()
with right:
    try:
        detail()
    except control.ControlError as error:
        states.no_control(str(error), "The collector cannot be reached")
