"""What waits for a person: the requests of agents, each with what a decision needs. ``/approvals?id=``"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tachograph_dashboard import components, control, data, frame, navigation, states
from tachograph_dashboard.views import approvals as views
from tachograph_dashboard.views import telling, times
from tachograph_schemas.queries import AmbiguousRunError
from tachograph_schemas.rows import RunRow

POLL_S = 2
LED_HERE_LINES = 8
LED_HERE_PX = 420
PAGE_DIGITS = 8
SETTLED = "Decided"
SAID = "approvals_said"


def run_of(found: Mapping[str, Any]) -> RunRow | None:
    """The run that asked, if it is stored by now.

    Raises:
        StoreError: nobody can say.
    """
    try:
        return data.run(found["run_id"], found["project"]) if found["run_id"] else None
    except AmbiguousRunError:
        return None


def inbox(known: tuple[str, ...]) -> None:
    """The list; a fragment, so that looking for news leaves alone what somebody is writing."""
    try:
        listed = control.listed(statuses, page)
    except control.ControlError as error:
        # Not the whole page: somebody may be writing, and a form that is taken away takes along what was typed.
        st.text(f"The list cannot be refreshed: {error}")
        return
    ids = tuple(row["id"] for row in listed["approvals"])
    if ids != known:
        st.rerun()
    if not ids:
        st.caption("Nothing else waits for a decision.")
        return
    opened = components.inbox(
        views.inbox(listed["approvals"], chosen, datetime.now(UTC)), key="inbox"
    )
    if opened and opened != chosen:
        st.query_params["id"] = opened
        st.rerun()


def arguments(found: Mapping[str, Any]) -> None:
    """The arguments, to be read and edited."""
    if found["params"] is None:
        st.markdown("**Arguments**", anchors=False)
        st.caption("The agent does not send payloads (TACHO_CAPTURE), so they cannot be shown.")
        return
    shown = views.readable(found["params"])
    lines = shown.count("\n") + 1
    label = f"Arguments, whole: {lines:,} lines" if lines > 1 else "Arguments"
    if found["status"] != "pending" or found["approvers_needed"] > 1:
        st.markdown(f"**{label}**", anchors=False)
        st.code(shown, language="json", wrap_lines=True)
        if found["status"] == "pending":
            st.caption("Several people approve, all of them the same: these cannot be changed.")
        return
    st.text_area(
        label,
        shown,
        key=f"params_{found['id']}",
        height=min(460, 44 + 24 * max(3, lines)),
        persist_state="page",
        help="Approve with other arguments by changing them here",
    )


def decide(found: Mapping[str, Any], word: str) -> None:
    """A button was pressed. What was written arrives with the click, so it is read here and not before."""
    text = st.session_state.get(f"params_{found['id']}")
    name = frame.me("approver")
    reason = str(st.session_state.get(f"reason_{found['id']}") or "").strip()
    if not name:
        st.session_state[SAID] = "Say who you are first: the record names you."
        return
    if word == "deny" and not reason:
        st.session_state[SAID] = "Say why: the agent and the record are told."
        return
    decision: dict[str, Any] = {"decision": word, "approver": name, "reason": reason}
    try:
        if word == "allow" and text is not None and found["approvers_needed"] == 1:
            decision["params"] = views.edited(found["params"], text)
        control.decide(found, decision)
        # It stays in view, decided, until another one is chosen.
        st.query_params["id"] = found["id"]
    except ValueError as error:
        st.session_state[SAID] = f"The arguments are no JSON: {error}"
    except control.ControlError as error:
        st.session_state[SAID] = f"Not done: {error}"


def decision_form(found: Mapping[str, Any]) -> None:
    """Who, why, and the three answers."""
    who, why = st.columns([0.3, 0.7])
    frame.your_name(who, "approver")
    why.text_input(
        "Reason",
        key=f"reason_{found['id']}",
        max_chars=2_000,
        placeholder="Needed to refuse, welcome otherwise",
        persist_state="page",
    )
    with st.container(horizontal=True, gap="small"):
        for word, label, kind in (
            ("allow", "Approve", "primary"),
            ("deny", "Refuse", "secondary"),
            ("escalate", "Pass on", "tertiary"),
        ):
            st.button(
                label,
                key=f"{word}_{found['id']}",
                type=kind,  # type: ignore[arg-type]  # a literal of the table above
                on_click=decide,
                args=(found, word),
                help="Leave it to somebody else; it goes on waiting"
                if word == "escalate"
                else None,
            )
    said = st.session_state.pop(SAID, "")
    if said:
        # Not as Markdown: the sentence may quote what somebody typed.
        st.text(said)


def head(found: Mapping[str, Any]) -> None:
    """Title and facts; a fragment while it waits, because the run goes on and others may decide."""
    if found["status"] == "pending":
        try:
            now = control.request(found["id"])
        except control.ControlError:
            now = found
        if now is None or now["status"] != found["status"]:
            st.rerun()
        found = now
    try:
        row = run_of(found)
    except data.StoreError:
        row = None
    shown = views.request(found, row, where, datetime.now(UTC))
    navigation.follow(components.request(shown, key="request"))


def led_here(found: Mapping[str, Any]) -> None:
    """The last steps of the run, as they are stored."""
    try:
        row = run_of(found)
        if row is None:
            st.caption("The run that asked is not stored, or not yet.")
            return
        account = data.run_account(row, data.run_version(row.run_id, row.project))
    except data.StoreError:
        st.caption("The store does not answer, so what led here cannot be shown.")
        return
    st.markdown("**What led here**", anchors=False)
    recent = replace(account, story=account.story[-LED_HERE_LINES:])
    story = telling.story(recent, "", LED_HERE_PX)
    components.account(story, key="led_here", on_span=lambda: None)
    step = (st.session_state.get("led_here") or {}).get("span")
    if step:
        navigation.follow(navigation.Link("run", {"id": found["run_id"], "span": str(step)}))


def detail(approval_id: str) -> None:
    """One request, whole."""
    found = control.request(approval_id)
    if found is None:
        st.caption("This request is not known here. Choose another one.")
        return
    every = POLL_S if found["status"] == "pending" else None
    st.fragment(head, run_every=every, key="head_fragment")(found)
    arguments(found)
    if found["context"]:
        with st.expander("Context that the agent gave"):
            st.code(views.readable(found["context"]), language=None, wrap_lines=True)
    if found["edited_params"]:
        st.markdown("**Approved with these arguments instead**", anchors=False)
        st.code(views.readable(found["edited_params"]), language="json", wrap_lines=True)
    if found["status"] == "pending":
        decision_form(found)
    if found["run_id"]:
        st.fragment(led_here, run_every=every, key="led_here_fragment")(found)


def asked_page() -> int:
    """The page of the list, counted from 1; before the widget is there, the address says it."""
    said = str(st.session_state.get("page") or st.query_params.get("page", ""))
    return max(1, int(said)) if said.isdecimal() and len(said) < PAGE_DIGITS else 1


def first_page() -> None:
    """Another list begins at its beginning."""
    st.session_state["page"] = 1


where = times.zone(st.context.timezone)
with frame.head("Approvals"):
    view = frame.choice("Show", ["Waiting", SETTLED], key="show", on_change=first_page)
statuses = control.SETTLED if view == SETTLED else control.WAITING
page = asked_page()
try:
    listed = control.listed(statuses, page)
    pages = max(1, -(-int(listed["total"]) // control.PAGE_ROWS))
    if page > pages:
        # It was the last one until somebody decided, or it stands in an old link.
        page = st.session_state["page"] = pages
        listed = control.listed(statuses, page)
except control.ControlError as error:
    states.no_control(str(error))
    frame.stop()
rows = listed["approvals"]
chosen = st.query_params.get("id", "") or (rows[0]["id"] if rows else "")
if not chosen:
    states.no_approvals(waiting=view != SETTLED)
    frame.stop()
left, right = st.columns([0.32, 0.68], gap="medium")
# The request first: it is what somebody came for, and its way into the page is the longest.
with right:
    try:
        detail(chosen)
    except control.ControlError as error:
        states.no_control(str(error))
with left:
    st.fragment(inbox, run_every=POLL_S, key="inbox_fragment")(tuple(row["id"] for row in rows))
    if pages > 1:
        st.pagination(pages, key="page", bind="query-params", max_visible_pages=5)
