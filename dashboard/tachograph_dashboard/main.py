"""The frame around every page. It runs on every rerun, so it asks the store nothing, and the collector seldom."""

from contextlib import suppress
from pathlib import Path

import streamlit as st

from tachograph_dashboard import frame, look, navigation

_HERE = Path(__file__).parent

# Icons of Streamlit's own names would be fetched from a font server; files of ours are not.
st.set_page_config(
    page_title="Runs · Tachograph", page_icon=str(_HERE / "static" / "icon.svg"), layout="wide"
)
st.logo(str(_HERE / "static" / "logo.svg"), size="medium")
st.html(f"<style>{look.rules()}</style>")

waiting = navigation.waiting()


def page(name: str, icon: str) -> st.Page:
    """A page of the navigation, with the number of what waits on it."""
    count = waiting.get(name, 0)
    title = f"{name.capitalize()} ({count:,})" if count else name.capitalize()
    return st.Page(f"app_pages/{name}.py", title=title, icon=f":material/{icon}:", url_path=name)


# Not a folder named pages/: until the navigation has run once, Streamlit would serve that by itself.
chosen = st.navigation(
    [
        st.Page("app_pages/runs.py", title="Runs", icon=":material/list:", default=True),
        page("agents", "smart_toy"),
        page("costs", "payments"),
        page("approvals", "how_to_reg"),
        page("alerts", "notifications"),
        page("drift", "trending_up"),
        page("replays", "replay"),
        st.Page("app_pages/run.py", title="Run", url_path="run", visibility="hidden"),
        st.Page("app_pages/compare.py", title="Compare", url_path="compare", visibility="hidden"),
    ],
    position="top",
)
with suppress(frame.PageEnds):
    chosen.run()
