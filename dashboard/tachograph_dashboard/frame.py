"""What every page begins with: its title beside its choices, the time window, and who is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import streamlit as st

from tachograph_dashboard import navigation
from tachograph_dashboard.filters import DEFAULT_WINDOW, WINDOWS

_ME = "me"


class PageEnds(Exception):  # no error: the page has said what there is to say
    """Raised by :func:`stop`, caught by the frame around the pages."""


def stop() -> NoReturn:
    """Draw no more of this page.

    Not ``st.stop()``: after that Streamlit keeps the fragments of the run before. One that was due in the browser by then
    is drawn where it no longer belongs, and Streamlit's client answers with a blank page.
    """
    raise PageEnds


@contextmanager
def head(title: str) -> Iterator[None]:
    """The page's title, also of the browser's tab; what is drawn within stands beside it."""
    st.set_page_config(page_title=f"{title} · Tachograph")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"# {title}", anchors=False, width="content")
        yield


def choice(label: str, options: list[str], **more: Any) -> str:
    """One of a few, side by side; it stands in the address as ``key``."""
    more.setdefault("default", options[0])
    chosen = st.segmented_control(
        label, options, required=True, label_visibility="collapsed", bind="query-params", **more
    )
    return str(chosen or more["default"])


def window(on_change: Callable[[], None] | None = None) -> str:
    """The time window, at the right."""
    st.space("stretch")
    wanted = st.session_state.pop(navigation.WANTED_WINDOW, None)
    if wanted in WINDOWS:
        st.session_state[navigation.WINDOW] = wanted
    return choice(
        "Time window",
        list(WINDOWS),
        default=DEFAULT_WINDOW,
        key=navigation.WINDOW,
        on_change=on_change,
    )


def widen() -> None:
    """Show all times."""
    st.session_state[navigation.WINDOW] = "all"


def your_name(place: Any, key: str, **more: Any) -> None:
    """Ask who is looking: decisions name somebody. Said once, it is known on every page."""
    more.setdefault("placeholder", "As the record has it")
    place.text_input(
        "Your name", me(), key=key, on_change=_remember, args=(key,), max_chars=100, **more
    )


def me(key: str = "") -> str:
    """Who is looking; ``key``: the field that may have changed with the click that asks."""
    # Streamlit forgets a field that is not drawn.
    said = st.session_state.get(key) if key else None
    return str(said or st.session_state.get(_ME) or "").strip()


def _remember(key: str) -> None:
    st.session_state[_ME] = str(st.session_state.get(key) or "").strip()
