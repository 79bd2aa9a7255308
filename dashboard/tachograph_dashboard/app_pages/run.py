"""One run: what it did, why, and the evidence. ``/run?id=&span=``"""

from datetime import UTC, datetime

import streamlit as st

from tachograph_dashboard import components, control, data, frame, navigation, orders, states
from tachograph_dashboard.links import Target, link
from tachograph_dashboard.views import details, replays, telling, times
from tachograph_dashboard.views.header import header
from tachograph_schemas import words
from tachograph_schemas.account.model import Account
from tachograph_schemas.queries import AmbiguousRunError
from tachograph_schemas.rows import RunRow

TREE_PX, STORY_PX = 430, 760
POLL_S, AGAIN_S = 2, 5
ASK = "ask_replay"


def find(run_id: str) -> RunRow | None:
    """The run of the address; when there is none, says why."""
    try:
        found = data.run(run_id) if run_id else None
    except AmbiguousRunError:
        states.no_run(
            "Several runs start like that", "The link holds only the beginning of a run's id."
        )
        return None
    except data.StoreError:
        states.store_down()
        return None
    if found is None and run_id:
        states.run_not_stored(run_id)
    elif found is None:
        states.no_run("No run was named", "A link to a run ends with its id.")
    return found


def telling_span(row: RunRow, account: Account) -> str:
    """The span a reader should see first: where it went wrong, else the whole run."""
    if row.outcome in {"failure", "stopped", "interrupted"}:
        bad = [line.span_id for line in account.story if line.tone == "bad" and line.span_id]
        if bad:
            return bad[-1]
    return row.root_span_id


def chosen_span() -> str:
    state = st.session_state.get(TREE) or {}
    return str(state.get("selected") or st.session_state[FIRST])


def show_asked(key: str) -> None:
    """A link to a span, clicked while no tree is there to answer."""
    state = st.session_state.get(key) or {}
    if state.get("span"):
        st.session_state[FIRST] = str(state["span"])


@st.fragment
def timeline() -> None:
    """Tree and details: another choice runs this alone, and leaves the polling of the rest alone."""
    components.tree(
        {
            "src": link(Target("tree", row.project, row.run_id, version)),
            "run": row.run_id,
            "height": TREE_PX,
            "selected": st.session_state[FIRST],
            "live": row.outcome == "running",
            "until_ms": row.duration_ns / 1e6
            if row.outcome in {"running", "interrupted"}
            else None,
        },
        key=TREE,
    )
    span_details()


def span_details() -> None:
    span_id = chosen_span()
    try:
        span = data.span(row.run_id, span_id, version, row.project) if span_id else None
        price = data.price(span) if span else None
    except data.StoreError:
        st.caption("The store does not answer. Choose the span again in a moment.")
        return
    if span is None:
        st.caption("Choose a span in the timeline, or a step of the story, to see its evidence.")
        return
    target = Target("span", row.project, row.run_id, version, span_id)
    shown = details.details(span, row, account, where, link(target), price)
    components.details(shown, key="span_details", on_span=lambda: show_asked("span_details"))


@st.fragment(run_every=POLL_S)
def follow() -> None:
    """While the run runs: look whether it has changed, and let the page follow."""
    try:
        now_version = data.run_version(row.run_id, row.project)
        now = data.run(row.run_id, row.project)
    except data.StoreError:
        return
    if now_version != version or now is None or now.outcome != row.outcome:
        st.rerun()


def head() -> None:
    """Title, verdict, facts; a fact may lead to the list of runs that share it."""
    export = link(Target("export", row.project, row.run_id, version))
    shown = header(row, account, where, datetime.now(UTC), export)
    navigation.follow(components.run_header(shown, key="run_header"))


def story_and_questions(selected: str) -> None:
    titles = ["What happened", "Eight questions"]
    if row.outcome not in {"running", "success"}:
        titles.append("Why it ended")
    story, questions, *why, replay = st.tabs([*titles, "Replay"])
    with story:
        components.account(
            telling.story(account, selected, STORY_PX),
            key="story",
            on_span=lambda: show_asked("story"),
        )
    with questions:
        components.account(
            telling.questions(account, selected, STORY_PX),
            key="questions",
            on_span=lambda: show_asked("questions"),
        )
    for tab in why:
        with tab:
            why_it_ended(selected)
    with replay:
        replay_panel()


def why_it_ended(selected: str) -> None:
    try:
        nearest = data.nearest(row, version)
    except data.StoreError:
        st.caption("The store does not answer. Reload the page in a moment.")
        return
    components.account(
        telling.why(account, nearest, selected, STORY_PX),
        key="why",
        on_span=lambda: show_asked("why"),
    )


@st.fragment
def replay_panel() -> None:
    """Whether the run can be driven again, how, and what came of it so far. The dashboard itself runs nothing."""
    try:
        recording = data.recording(row.run_id, row.project)
    except data.StoreError:
        unanswered("The store does not answer now; this is shown again as soon as it does.")
        return
    said, can = replays.state(row, recording)
    st.markdown(said, anchors=False)
    commands = replays.commands(row, recording) if recording is not None else ""
    if recording is not None and commands:
        st.code(commands, language=None, wrap_lines=True)
        st.caption(replays.manner(recording))
    try:
        known = control.replays(row.run_id)
    except control.ControlError:
        unanswered("The collector does not answer: past replays cannot be listed.")
        return
    asked = any(map(replays.is_open, known))
    if asked:
        follow_replay([each["status"] for each in known])
    if can and st.button("Have a worker replay it", disabled=asked, key=ASK):
        ask_replay()
    now = datetime.now(UTC)
    if any(replays.wants_worker(each, now) for each in known):
        st.code("tacho worker", language=None)
    if can and not known:
        st.caption("It was not replayed or forked yet.")
    if not known:
        return
    lead = components.replays(replays.listed(row.run_id, known, now, row.cost_usd), key="replays")
    if lead:
        page = "compare" if lead.pop("page") == "/compare" else "run"
        st.switch_page(f"app_pages/{page}.py", query_params=lead)


def unanswered(sentence: str) -> None:
    """Instead of the button: whoever has pressed it hears that nothing came of it."""
    pressed = "Nothing was asked for. " if st.session_state.get(ASK) else ""
    st.caption(pressed + sentence)
    look_again()


@st.fragment(run_every=AGAIN_S)
def look_again() -> None:
    """While something does not answer: the panel comes back by itself."""
    try:
        data.recording(row.run_id, row.project)
        control.replays(row.run_id)
    except data.StoreError:
        return
    except control.ControlError:
        return
    st.rerun()


@st.fragment(run_every=POLL_S)
def follow_replay(statuses: list[str]) -> None:
    """While a worker is awaited: show what came of it."""
    try:
        now = [each["status"] for each in control.replays(row.run_id)]
    except control.ControlError:
        return
    if now != statuses:
        st.rerun()


def ask_replay() -> None:
    """A button was pressed."""
    try:
        control.ask_replay(row.run_id)
    except control.ControlError as error:
        # Not as Markdown: it is another program's sentence.
        st.text(f"Not done: {error}")
    else:
        st.rerun(scope="fragment")


st.set_page_config(page_title="Run · Tachograph")
found = find(st.query_params.get("id", ""))
if found is None:
    frame.stop()
row = found
try:
    version = data.run_version(row.run_id, row.project)
    account = data.run_account(row, version)
except data.StoreError:
    states.store_down()
    frame.stop()
where = times.zone(st.context.timezone)
TREE, FIRST = f"tree-{row.run_id}", f"first-{row.run_id}"
st.session_state.setdefault(
    FIRST, st.query_params.get("span", "").strip().lower() or telling_span(row, account)
)
st.set_page_config(page_title=f"{words.excerpt(row.title, 60) or 'Run'} · Tachograph")

head()
if row.outcome == "running":
    orders.in_force(row.agent, row.run_id)
    orders.offer("run", row.run_id)
left, right = st.columns([0.36, 0.64], gap="medium")
# The tree first: it is what takes longest in the browser.
with right:
    timeline()
with left:
    story_and_questions(st.session_state[FIRST])
if row.outcome == "running":
    follow()
