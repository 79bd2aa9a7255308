"""The frame around every page. It runs on every rerun, so it asks the store nothing, and the collector seldom."""

from pathlib import Path

import streamlit as st

from tachograph_dashboard import navigation

_HERE = Path(__file__).parent

# Icons of Streamlit's own names would be fetched from a font server; files of ours are not.
st.set_page_config(
    page_title="Runs · Tachograph", page_icon=str(_HERE / "static" / "icon.svg"), layout="wide"
)
st.logo(str(_HERE / "static" / "logo.svg"), size="medium")
# The rules aimed at Streamlit itself: the theme has no horizontal padding, and air around titles for documents.
st.html(
    "<style>[data-testid=stMainBlockContainer]{padding-inline:1.75rem}"
    "[data-testid=stMainBlockContainer] h1{padding:3px 6px 17px 0}</style>"
)

waiting = navigation.waiting()


def page(name: str, icon: str) -> st.Page:
    """A page of the navigation, with the number of what waits on it."""
    count = waiting.get(name, 0)
    title = f"{name.capitalize()} ({count:,})" if count else name.capitalize()
    return st.Page(f"app_pages/{name}.py", title=title, icon=f":material/{icon}:", url_path=name)


# Not a folder named pages/: until the navigation has run once, Streamlit would serve that by itself.
st.navigation(
    [
        st.Page("app_pages/runs.py", title="Runs", icon=":material/list:", default=True),
        page("agents", "smart_toy"),
        page("costs", "payments"),
        page("approvals", "how_to_reg"),
        page("alerts", "notifications"),
        page("drift", "trending_up"),
        st.Page("app_pages/run.py", title="Run", url_path="run", visibility="hidden"),
        st.Page("app_pages/compare.py", title="Compare", url_path="compare", visibility="hidden"),
    ],
    position="top",
).run()
