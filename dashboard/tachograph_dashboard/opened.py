"""What a form was opened on, in each session: so that what somebody else changes meanwhile is not overwritten unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from tachograph_dashboard.views import meanwhile

Row = Mapping[str, Any]


class Opened:
    """Of one form. ``key`` begins its names in the state of the session."""

    def __init__(self, key: str) -> None:
        self._row, self._seen, self._told = (f"{key}_{each}" for each in ("row", "seen", "told"))

    def begin(self, row: Row) -> None:
        """The form is drawn anew, from ``row``; empty for something new."""
        st.session_state[self._row] = st.session_state[self._seen] = row
        st.session_state.pop(self._told, None)

    @property
    def row(self) -> Row:
        """What it was drawn from: drawn from anything else, it would lose what was typed."""
        return st.session_state.get(self._row, {})  # type: ignore[no-any-return]

    def version(self, name: str) -> int:
        """The newest version of what has this name that its user has seen; 0 for none."""
        seen = st.session_state.get(self._seen, {})
        return int(seen["version"]) if seen.get("name") == name else 0

    def changed(self, why: str, now: Row) -> None:
        """Somebody else was faster, and ``now`` is what they have made of it; empty when it is gone."""
        st.session_state[self._told] = meanwhile.told(why, st.session_state[self._seen], now)
        st.session_state[self._seen] = now

    def tell(self) -> None:
        """Say so, where the form is."""
        if self._told in st.session_state:
            # Not as Markdown: names and texts of others are in it.
            st.text(st.session_state[self._told])
