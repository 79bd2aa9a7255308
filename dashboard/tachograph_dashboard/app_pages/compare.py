"""Two runs side by side. ``/compare?a=&b=``"""

from datetime import UTC, datetime

import streamlit as st

from tachograph_dashboard import components, control, data, states
from tachograph_dashboard.views import compare as views
from tachograph_dashboard.views import times
from tachograph_dashboard.views.runs import title
from tachograph_schemas import words
from tachograph_schemas.compare import compare
from tachograph_schemas.queries import AmbiguousRunError, RunFilter
from tachograph_schemas.rows import RunRow


def find(name: str) -> RunRow | None:
    """The run that the address names; None when it names none that is stored."""
    said = st.query_params.get(name, "").strip().lower()
    try:
        return data.run(said) if said else None
    except AmbiguousRunError:
        return None


def candidates(row: RunRow) -> dict[str, str]:
    """What a run is likely to be compared with: its forks and its original first, then its agent's latest runs."""
    found: dict[str, str] = {}
    try:
        for each in control.replays(row.run_id):
            child = each["child_run_id"]
            if child and child != row.run_id:
                found[child] = f"Fork of it, from step {each['options'].get('at', '?')}"
            elif child:
                found[each["run_id"]] = "The run it is a fork of"
    except control.ControlError:
        pass  # without the collector there are the other runs
    now = datetime.now(UTC)
    for other in data.runs_page(RunFilter(agents=(row.agent,)), "newest", 1):
        if other.run_id != row.run_id:
            said = f"{words.excerpt(title(other), 80)}, {words.ago(other.started_at, now)}"
            found.setdefault(other.run_id, f"{said} ({other.run_id[:8]})")
    return found


def choose(row: RunRow) -> None:
    """One run is known; ask for the other."""
    st.markdown("# Compare", anchors=False)
    # A title is a customer's text: no Markdown.
    st.text(f"{title(row)}, {words.moment(row.started_at)}")
    found = candidates(row)
    if not found:
        st.caption(
            "There is no other run of this agent. Fork it with `tacho fork`, or choose two in the list."
        )
        return
    chosen = st.selectbox(
        "With which run?",
        list(found),
        index=None,
        format_func=lambda run_id: found[run_id],
        placeholder="Choose a run",
        width=640,
    )
    if chosen:
        st.query_params["b"] = chosen
        st.rerun()


def relation(a: RunRow, b: RunRow) -> str:
    """What B is to A, when it is known."""
    try:
        for each in control.replays(a.run_id):
            if each["run_id"] == a.run_id and each["child_run_id"] == b.run_id:
                return f"Fork of A from step {each['options'].get('at', '?')}"
    except control.ControlError:
        pass
    return ""


def show(a: RunRow, b: RunRow) -> None:
    """Both are known."""
    left, right = (
        data.run_steps(row.run_id, data.run_version(row.run_id, row.project), row.project)
        for row in (a, b)
    )
    shown = views.comparison(
        a, b, compare(left, right), times.zone(st.context.timezone), relation(a, b)
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("# Compare runs", anchors=False)
        st.space("stretch")
        if st.button("Swap A and B", type="tertiary", icon=":material/swap_horiz:"):
            st.query_params.from_dict({"a": b.run_id, "b": a.run_id})
            st.rerun()
    opened = components.comparison(shown, key=f"compare-{a.run_id}-{b.run_id}")
    if opened:
        st.switch_page("app_pages/run.py", query_params={"id": opened})


st.set_page_config(page_title="Compare runs · Tachograph")
try:
    first, second = find("a"), find("b")
    if first is None:
        states.no_run(
            "There is nothing to compare",
            "Choose two runs in the list, or Compare on a run's page.",
        )
    elif second is None or second.run_id == first.run_id:
        choose(first)
    else:
        show(first, second)
except data.StoreError:
    states.store_down()
