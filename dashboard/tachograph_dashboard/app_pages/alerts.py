"""What fires, what fired, the rules, and who is told. ``/alerts?show=&rule=``"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tachograph_dashboard import alerts, components, control, frame, states
from tachograph_dashboard.views import alert_form as form
from tachograph_dashboard.views import alerts as views
from tachograph_dashboard.views import times
from tachograph_schemas import words

POLL_S = 3
FORM_PX = 900
SNOOZE_S = 3_600.0
SAID, FOUND = "alerts_said", "alerts_found"
NOW, HISTORY, RULES, TARGETS = "Now", "History", "Rules", "Who is told"


def tried(action: Callable[..., Any], *arguments: Any) -> Any:
    """Do it, or say why it was not done."""
    try:
        return action(*arguments)
    except control.ControlError as error:
        st.session_state[SAID] = f"Not done: {error}"
        return None


def said() -> None:
    """What came of the last press; not as Markdown, for it may quote what somebody typed."""
    text = st.session_state.pop(SAID, "")
    if text:
        st.text(text)


def open_rule(rule_id: str) -> None:
    st.query_params["rule"] = rule_id
    st.session_state.pop(FOUND, None)


def new_rule() -> None:
    open_rule("new")


def close_rule() -> None:
    st.query_params.pop("rule", None)
    st.session_state.pop(FOUND, None)


def firing() -> None:
    """What is not well; a fragment, so that it refreshes by itself."""
    try:
        rows = alerts.firing()
    except control.ControlError:
        st.rerun()
    said()
    if not rows:
        well()
        return
    pressed = components.alerts(views.firing(rows, datetime.now(UTC)), key="firing")
    if pressed:
        row_id, name = pressed
        rule_id, event_id, group = row_id.split(" ", 2)
        if name == "ack":
            tried(alerts.acknowledge, event_id, frame.me("my_name"))
        else:
            tried(
                alerts.snooze,
                rule_id,
                group,
                SNOOZE_S if name == "snooze" else 0,
                frame.me("my_name"),
            )
        st.rerun()


def well() -> None:
    """Nothing fires, or there is nothing yet that could."""
    if not rules:
        states.no_rules(new_rule)
        return
    states.all_well(words.count(sum(1 for rule in rules if rule["enabled"]), "rule"))


def history() -> None:
    rows = alerts.history()
    if not rows:
        st.caption("Nothing has fired yet.")
        return
    components.alerts(views.history(rows, where, datetime.now(UTC)), key="history")


def rule_list() -> None:
    said()
    if not rules:
        states.no_rules(new_rule)
        return
    pressed = components.alerts(views.rules(rules, datetime.now(UTC)), key="rules")
    if pressed:
        open_rule(pressed[0])
        st.rerun()


def targets() -> None:
    """Who can be told, a form for another one, and what was sent."""
    said()
    rows = alerts.targets()
    if rows:
        pressed = components.alerts(views.targets(rows), key="targets")
        if pressed:
            on_target(*pressed)
            st.rerun()
    else:
        st.caption("Nobody is told yet: alerts are seen on this page alone.")
    with st.form("target", clear_on_submit=True):
        name, url = st.columns([0.3, 0.7])
        name.text_input("Name", key="target_name", max_chars=100, placeholder="team")
        url.text_input(
            "URL",
            key="target_url",
            type="password",
            placeholder="https://…, slack://…, mailto://…",
            help="https:// is a signed webhook; everything else is an Apprise URL. It is not shown again.",
        )
        st.form_submit_button("Add", on_click=add_target)
    sent = alerts.deliveries()
    if sent:
        st.markdown("**What was sent**", anchors=False)
        components.alerts(views.deliveries(sent, where, datetime.now(UTC)), key="deliveries")


def on_target(name: str, action: str) -> None:
    if action == "remove":
        tried(alerts.remove_target, name, frame.me("my_name"))
        return
    found = tried(alerts.test, name, frame.me("my_name"))
    if found is not None:
        state = {"sent": "The test arrived", "failed": "The test did not arrive"}.get(
            found["status"], "The test is under way"
        )
        st.session_state[SAID] = f"{state}: {found['said']}" if found["said"] else f"{state}."


def add_target() -> None:
    """The form was sent. A new webhook's secret is shown this once."""
    name = str(st.session_state.get("target_name") or "").strip()
    made = tried(
        alerts.put_target,
        name,
        str(st.session_state.get("target_url") or "").strip(),
        frame.me("my_name"),
    )
    if made is not None:
        secret = f" Receivers check its signature with {made['secret']}" if made["secret"] else ""
        st.session_state[SAID] = f"{made['name']} was added.{secret}"


def edit(rule_id: str) -> None:
    """One rule as a form; ``new`` makes one."""
    known = alerts.rule(rule_id) if rule_id != "new" else None
    if rule_id != "new" and known is None:
        states.no_run("There is no such rule", "It was removed, or the link is incomplete.")
        return
    with st.container(width=FORM_PX):
        rule_form(rule_id, known)


def rule_form(rule_id: str, known: alerts.Row | None) -> None:
    st.button("All rules", icon=":material/arrow_back:", type="tertiary", on_click=close_rule)
    st.markdown("#### New rule" if known is None else "#### Change the rule", anchors=False)
    definition = form.fields(known, alerts.metrics(), [row["name"] for row in alerts.targets()])
    with st.container(horizontal=True, gap="small"):
        st.button("Save", type="primary", key="save", on_click=save, args=(definition,))
        st.button("What would it find now?", key="try", on_click=look, args=(definition,))
        if known is not None:
            st.button("Remove", type="tertiary", key="remove", on_click=drop, args=(rule_id,))
    said()
    if FOUND in st.session_state:
        found = st.session_state[FOUND]
        if found:
            components.alerts(views.groups(found), key="groups")
        else:
            st.caption("There is nothing to measure at this moment.")


def save(definition: dict[str, Any]) -> None:
    if tried(alerts.save, definition, frame.me("my_name")) is not None:
        close_rule()
        st.session_state["show"] = RULES
        st.session_state[SAID] = "Saved."


def look(definition: dict[str, Any]) -> None:
    found = tried(alerts.preview, definition)
    if found is not None:
        st.session_state[FOUND] = found


def drop(rule_id: str) -> None:
    tried(alerts.remove, rule_id, frame.me("my_name"))
    close_rule()


where = times.zone(st.context.timezone)
try:
    with frame.head("Alerts"):
        chosen = st.query_params.get("rule", "")
        if not chosen:
            view = frame.choice("Show", [NOW, HISTORY, RULES, TARGETS], key="show")
            st.space("stretch")
            frame.your_name(
                st,
                "my_name",
                placeholder="Your name, for the record",
                label_visibility="collapsed",
                width=220,
            )
            st.button("New rule", icon=":material/add:", on_click=new_rule, key="new_rule")
    rules = alerts.rules()
    if chosen:
        edit(chosen)
        st.stop()
    if view == NOW:
        st.fragment(firing, run_every=POLL_S, key="firing_fragment")()
    else:
        {HISTORY: history, RULES: rule_list, TARGETS: targets}[view]()
except control.ControlError as error:
    states.no_control(str(error), "Alerts cannot be reached")
