"""The pages' other faces: nothing recorded yet, nothing matches, nothing there, no store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from tachograph_dashboard import control, data
from tachograph_schemas.queries import AmbiguousRunError
from tachograph_schemas.settings import DEFAULT_ENDPOINT

FIRST_RUN = """\
import tachograph as tacho

{where}tacho.init()

@tacho.run(agent="hello")
def handle(task: str) -> str:
    return f"done: {{task}}"

handle("record my first run")
"""


def collector_address() -> str:
    """Where programs send their spans, as far as this process knows."""
    return os.environ.get("TACHO_ENDPOINT") or DEFAULT_ENDPOINT


def first_program() -> str:
    """The program to start with; it says where it sends to when that is not the usual place."""
    address = collector_address()
    usual = address.rstrip("/") == DEFAULT_ENDPOINT
    return FIRST_RUN.format(where="" if usual else f"# TACHO_ENDPOINT={address}\n")


def first_run() -> None:
    """Nobody has recorded anything: show how, and look for the first run every two seconds."""
    st.space("medium")
    _, middle, _ = st.columns([0.16, 0.68, 0.16])
    with middle:
        st.markdown("# Record your first run", anchors=False)
        st.markdown(
            "Tachograph shows what your agents did, step by step. This page fills itself as soon "
            "as the first run arrives.",
            anchors=False,
        )
        st.space("small")
        mine, other = st.columns(2, gap="large")
        with mine:
            st.markdown("## A Python agent", anchors=False)
            st.code(first_program(), language="python", wrap_lines=True)
            st.markdown("Save it, run it with `python`, and look here.", anchors=False)
        with other:
            st.markdown("## Any program that speaks OpenTelemetry", anchors=False)
            st.code(
                f"export OTEL_EXPORTER_OTLP_ENDPOINT={collector_address()}\n"
                "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\n"
                "python my_agent.py",
                language=None,
                wrap_lines=True,
            )
            st.markdown(
                "Frameworks that emit GenAI or OpenInference spans need nothing else. To see "
                "ready-made runs first, try `tacho demo`.",
                anchors=False,
            )
        _await_first_run()


@st.fragment(run_every=2)
def _await_first_run() -> None:
    try:
        arrived = not data.is_empty()
    except data.StoreError:
        arrived = False
    if arrived:
        st.rerun()
    st.caption(":material/hourglass_empty: Waiting for the first run …")


@contextmanager
def _said(title: str) -> Iterator[None]:
    """A card in the middle of the page; ``title`` is ours, never a visitor's."""
    st.space("medium")
    _, middle, _ = st.columns([0.2, 0.6, 0.2])
    with middle, st.container(border=True, gap="small"):
        st.space("small")
        st.markdown(f"## {title}", anchors=False)
        yield
        st.space("small")


def nothing_matches(on_clear: Callable[[], None], *, narrowed: bool, widen: bool) -> None:
    """The filters leave nothing."""
    reason = (
        "Nothing has all of these filters."
        if narrowed
        else "Nothing was recorded in this time window."
    )
    if narrowed and widen:
        reason = "Nothing in this time window has all of these filters."
    with _said("No runs match"):
        st.caption(reason)
        label = "Clear filters" if narrowed else "Show all times"
        st.button(label, icon=":material/filter_alt_off:", key="clear", on_click=on_clear)


def store_down() -> None:
    """The store does not answer; recording goes on without it."""
    with _said("The store does not answer"):
        kept = (
            "Runs are still being recorded; what arrives now is shown as soon as the store is back."
            if control.is_up()
            else "Nor does the collector: programs go on, and what they record waits on their machines. "
            "`tacho up` starts both."
        )
        st.caption(f"{kept} This page tries again by itself; `tacho doctor` says what is wrong.")
        st.button("Try again", icon=":material/refresh:", key="retry", on_click=data.forget)
    _await_store()


@st.fragment(run_every=3)
def _await_store() -> None:
    try:
        data.forget()
        data.facets()
    except data.StoreError:
        return
    st.rerun()


def no_run(title: str, sentences: str) -> None:
    """The address names no run; both texts are ours, never a visitor's."""
    with _said(title):
        st.caption(sentences)
        st.page_link("app_pages/runs.py", label="All runs", icon=":material/arrow_back:")


def run_not_stored(run_id: str) -> None:
    """No run has this id; look for it every few seconds, as a link may be opened before its run has arrived."""
    no_run(
        "This run is not stored",
        "It may not have arrived yet: this page looks again by itself. Else the link is incomplete, or the run was "
        "deleted when its time was over.",
    )
    _await_run(run_id)


@st.fragment(run_every=3)
def _await_run(run_id: str) -> None:
    try:
        found = data.run(run_id)
    except AmbiguousRunError:
        pass
    except data.StoreError:
        return
    else:
        if found is None:
            return
    st.rerun()


def _widen_button(on_widen: Callable[[], None]) -> None:
    st.button("Show all times", icon=":material/date_range:", key="widen", on_click=on_widen)


def no_agents(on_widen: Callable[[], None], *, name: str = "", widen: bool) -> None:
    """No agent, or not the one of the address, has run in the time."""
    with _said(f"{'This agent has not run' if name else 'No agent has run'} in this time"):
        if name:
            # Not as Markdown: it came with the address.
            st.text(name)
        st.caption("Its figures are made of the runs that started in the time shown above.")
        with st.container(horizontal=True, gap="small"):
            if widen:
                _widen_button(on_widen)
            if name:
                st.page_link(
                    "app_pages/agents.py", label="All agents", icon=":material/arrow_back:"
                )


ASKS = """\
decision = tacho.approve(
    "refund order A-1007",
    params={"order_id": "A-1007", "usd": 900},
    approver="inbox",
)
if decision:
    refund(**decision.params)
"""


def no_approvals(*, waiting: bool) -> None:
    """Nobody has asked for anything; look for the first request every two seconds."""
    with _said("Nothing waits for a decision" if waiting else "Nothing was decided yet"):
        st.caption("Requests appear here by themselves, when an agent asks for a person:")
        st.code(ASKS, language="python", wrap_lines=True)
        if waiting:
            _await_request()


@st.fragment(run_every=2)
def _await_request() -> None:
    try:
        waits = control.listed(control.WAITING, 1)["total"]
    except control.ControlError:
        return
    if waits:
        st.rerun()


SETS_BUDGET = """\
tacho budget set acme-day \\
    --usd 20 --scope customer --window day
"""


def no_budgets() -> None:
    """Nobody has set one."""
    st.caption(
        "No budget limits anything yet. One that is set here or on the command line stops the next call of "
        "every agent once it is used up."
    )
    st.code(SETS_BUDGET, language=None, wrap_lines=True)


def no_costs(*, widen: bool, on_widen: Callable[[], None]) -> None:
    """No run began in this time."""
    with _said("Nothing was recorded in this time"):
        st.caption("Costs appear here as soon as an agent has run.")
        if widen:
            _widen_button(on_widen)


def no_drift() -> None:
    """No finished run has been looked at yet; look again every few seconds."""
    with _said("Nothing to compare yet"):
        st.caption(
            "Finished runs are looked at a minute after their end. From 100 runs of an agent on large changes raise an "
            "alarm here; from 400 runs over a week on, small ones as well."
        )
    _await_drift()


@st.fragment(run_every=5)
def _await_drift() -> None:
    try:
        known = control.drift_agents()
    except control.ControlError:
        return
    if known:
        st.rerun()


def no_control(sentence: str, title: str = "The inbox cannot be reached") -> None:
    """The collector does not answer, or the dashboard's key is not enough; looks again by itself."""
    with _said(title):
        # Not as Markdown: it is another program's sentence.
        st.text(sentence[:1].upper() + sentence[1:])
        st.caption(
            "Agents go on; this page tries again by itself. `tacho up` starts a collector, `TACHO_ENDPOINT` says where "
            "it is, and `tacho doctor` what is wrong."
        )
        st.button("Try again", icon=":material/refresh:", key="retry", on_click=control.forget)
    _await_control()


@st.fragment(run_every=3)
def _await_control() -> None:
    try:
        control.forget()
        control.listed(control.WAITING, 1)
    except control.ControlError:
        return
    st.rerun()


ALERT = """\
tacho alert target set team slack://TokenA/TokenB/TokenC/#agents
tacho alert set "agent is expensive" --metric cost_usd --by agent \\
    --window 1h --warning 5 --critical 20 --to team
"""


def no_rules(on_new: Callable[[], None]) -> None:
    """Nothing is watched."""
    with _said("Be told before somebody asks"):
        st.caption(
            "A rule watches a figure of your agents: cost, failures, latency, gates, approvals that wait. "
            "Make the first one here or on the command line:"
        )
        st.code(ALERT, language=None, wrap_lines=True)
        st.button("New rule", type="primary", on_click=on_new, key="first_rule")


def all_well(watching: str) -> None:
    """Nothing fires; ``watching``: how many rules watch."""
    with _said("All is well"):
        st.caption(f"Nothing fires of {watching}. This page refreshes by itself.")
