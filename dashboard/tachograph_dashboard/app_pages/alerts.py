"""What fires, what fired, the rules, and who is told. ``/alerts?show=&rule=``"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tachograph_dashboard import alerts, components, control, data, frame, states
from tachograph_dashboard.opened import Opened
from tachograph_dashboard.views import alert_form as form
from tachograph_dashboard.views import alert_times as planned
from tachograph_dashboard.views import alerts as views
from tachograph_dashboard.views import times
from tachograph_schemas import words

POLL_S = 3
FORM_PX = 900
SNOOZE_S = 3_600.0
SAID, FOUND = "alerts_said", "alerts_found"
DRAWN_FROM = "alerts_drawn_from"
OPENED = Opened("rule")
NOW, HISTORY, RULES, TARGETS = "Now", "History", "Rules", "Who is told"
QUIET, DIGESTS = "Quiet times", "Digests"
VIEWS = [NOW, HISTORY, RULES, TARGETS, QUIET, DIGESTS]
DIGEST = "alerts_digest"


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
    worst = rows[: components.MOST_ROWS]
    pressed = components.alerts(
        views.firing(worst, datetime.now(UTC)),
        key="firing",
        more=views.milder(len(rows), len(worst)),
    )
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
    with st.form("target"):
        name, url = st.columns([0.3, 0.7])
        name.text_input(
            "Name", key="target_name", max_chars=100, placeholder="team", persist_state="page"
        )
        url.text_input(
            "URL",
            key="target_url",
            persist_state="page",
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
        tried(alerts.remove_named, "targets", name, frame.me("my_name"))
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
        st.session_state["target_name"] = st.session_state["target_url"] = ""


def quiet() -> None:
    """Times in which nobody is told, and a form for another one."""
    said()
    rows = alerts.windows()
    if rows:
        pressed = components.alerts(planned.windows(rows, where, datetime.now(UTC)), key="windows")
        if pressed:
            on_window(rows, *pressed)
            st.rerun()
    else:
        st.caption(
            "No quiet times: people are told whenever something fires. During one they are not; "
            "what lasts is told afterwards."
        )
    with st.form("window"):
        planned.window_fields(where, datetime.now(UTC), agents())
        st.form_submit_button("Add", on_click=add_window)


def agents() -> list[str]:
    """Those that have run; none while the store does not answer, for the form does without."""
    try:
        return list(data.facets().agents)
    except data.StoreError:
        return []


def pressed_on(rows: list[alerts.Row], name: str) -> alerts.Row | None:
    """The row of this name; ``None``, and a sentence, when somebody has removed it since it was drawn."""
    found = next((row for row in rows if row["name"] == name), None)
    if found is None:
        st.session_state[SAID] = f"{name} was removed meanwhile."
    return found


def on_window(rows: list[alerts.Row], name: str, action: str) -> None:
    row = pressed_on(rows, name)
    if row is None:
        return
    later = planned.ended(row, datetime.now(UTC)) if action == "end" else None
    if later is not None:
        tried(alerts.put_window, later, frame.me("my_name"))
    else:
        tried(alerts.remove_named, "windows", name, frame.me("my_name"))


def add_window() -> None:
    window = planned.window_of(st.session_state, where)
    if not window["name"]:
        st.session_state[SAID] = "Give it a name first."
        return
    made = tried(alerts.put_window, window, frame.me("my_name"))
    if made is not None:
        st.session_state[SAID] = f"{made['name']} was added."
        st.session_state["window_name"] = ""


def digest_list() -> None:
    """Summaries that come by themselves, what one would say now, and a form for another one."""
    said()
    rows = alerts.digests()
    if DIGEST in st.session_state:
        lines = st.session_state.pop(DIGEST)
        st.markdown("**What it would say now**", anchors=False)
        # Not as Markdown: names of agents and rules are in it.
        st.code("\n".join(map(words.plain, lines)), language=None, wrap_lines=True)
    if rows:
        listed = planned.digests(rows, where)
        pressed = components.alerts(listed, key="digests")
        if pressed:
            on_digest(rows, *pressed)
            st.rerun()
    else:
        st.caption("No digest yet: a summary of runs, outcomes, cost and alerts, daily or weekly.")
    names = [row["name"] for row in alerts.targets()]
    if not names:
        st.caption("A digest is sent to somebody: add them under *Who is told* first.")
        return
    with st.form("digest"):
        planned.digest_fields(names)
        st.form_submit_button("Add", on_click=add_digest)


def on_digest(rows: list[alerts.Row], name: str, action: str) -> None:
    if action == "remove":
        tried(alerts.remove_named, "digests", name, frame.me("my_name"))
        return
    row = pressed_on(rows, name)
    if row is None:
        return
    lines = tried(alerts.preview_digest, row["every"])
    if lines is not None:
        title = f"{words.excerpt(name, 100)}: the {row['every']} until now"
        st.session_state[DIGEST] = [title, *lines]


def add_digest() -> None:
    digest = planned.digest_of(st.session_state)
    if not (digest["name"] and digest["targets"]):
        st.session_state[SAID] = "Give it a name, and say whom to tell."
        return
    made = tried(alerts.put_digest, digest, frame.me("my_name"))
    if made is not None:
        st.session_state[SAID] = f"{made['name']} was added."
        st.session_state["digest_name"] = ""


def edit(rule_id: str) -> None:
    """One rule as a form; ``new`` makes one."""
    try:
        known = alerts.rule(rule_id) if rule_id != "new" else None
        drawn_from = (rule_id, known, alerts.metrics(), [row["name"] for row in alerts.targets()])
    except control.ControlError as error:
        # A form that is taken away takes along what was typed.
        drawn_from = st.session_state.get(DRAWN_FROM, ("", None, [], []))
        if drawn_from[0] != rule_id:
            raise
        st.session_state.setdefault(SAID, str(error))
        known = drawn_from[1]
    if "rule_name" not in st.session_state or st.session_state.get(DRAWN_FROM, ("",))[0] != rule_id:
        # The form is not on the page yet: from here on somebody may type into it.
        OPENED.begin(known or {})
    known = OPENED.row or None
    drawn_from = (rule_id, known, *drawn_from[2:])
    st.session_state[DRAWN_FROM] = drawn_from
    st.button("All rules", icon=":material/arrow_back:", type="tertiary", on_click=close_rule)
    if rule_id != "new" and known is None:
        st.markdown("## There is no such rule", anchors=False)
        st.caption("It was removed, or the link is incomplete.")
        return
    with st.container(width=FORM_PX):
        rule_form(*drawn_from)


def rule_form(
    rule_id: str, known: alerts.Row | None, metrics: list[alerts.Row], targets: list[str]
) -> None:
    st.markdown("## New rule" if known is None else "## Change the rule", anchors=False)
    definition = form.fields(known, metrics, targets)
    OPENED.tell()
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
    problem = form.problem(definition)
    if problem:
        st.session_state[SAID] = problem
        return
    try:
        alerts.save(definition, frame.me("my_name"), OPENED.version(definition["name"]))
    except control.ControlError as error:
        st.session_state[SAID] = f"Not done: {error}"
        now = tried(alerts.named, definition["name"]) if error.was_changed else None
        if now is not None:
            del st.session_state[SAID]
            OPENED.changed(str(error), now)
        return
    close_rule()
    st.session_state["show"] = RULES
    st.session_state[SAID] = "Saved."


def look(definition: dict[str, Any]) -> None:
    problem = form.problem(definition | {"name": "not saved yet"})
    if problem:
        st.session_state[SAID] = problem
        return
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
            view = frame.choice("Show", VIEWS, key="show")
            st.space("stretch")
            frame.your_name(
                st,
                "my_name",
                placeholder="Your name",
                label_visibility="collapsed",
                width=170,
            )
            st.button("New rule", icon=":material/add:", on_click=new_rule, key="new_rule")
    if chosen:
        edit(chosen)
        frame.stop()
    rules = alerts.rules()
    if view == NOW:
        st.fragment(firing, run_every=POLL_S, key="firing_fragment")()
    else:
        {
            HISTORY: history,
            RULES: rule_list,
            TARGETS: targets,
            QUIET: quiet,
            DIGESTS: digest_list,
        }[view]()
except control.ControlError as error:
    states.no_control(str(error), "Alerts cannot be reached")
