"""The frame around every page. It runs on every rerun, so it asks the store nothing."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

# Icons of Streamlit's own names would be fetched from a font server; files of ours are not.
st.set_page_config(
    page_title="Tachograph", page_icon=str(_HERE / "static" / "icon.svg"), layout="wide"
)
st.logo(str(_HERE / "static" / "logo.svg"), size="medium")
# The one rule aimed at Streamlit itself: the theme has no horizontal padding.
st.html("<style>[data-testid=stMainBlockContainer]{padding-inline:1.75rem}</style>")

# Not a folder named pages/: until the navigation has run once, Streamlit would serve that by itself.
st.navigation(
    [
        st.Page("app_pages/runs.py", title="Runs", icon=":material/list:", default=True),
        st.Page(
            "app_pages/agents.py", title="Agents", icon=":material/smart_toy:", url_path="agents"
        ),
        st.Page("app_pages/costs.py", title="Costs", icon=":material/payments:"),
        st.Page("app_pages/approvals.py", title="Approvals", icon=":material/how_to_reg:"),
        st.Page("app_pages/drift.py", title="Drift", icon=":material/trending_up:"),
        st.Page("app_pages/alerts.py", title="Alerts", icon=":material/notifications:"),
        st.Page("app_pages/run.py", title="Run", url_path="run", visibility="hidden"),
        st.Page("app_pages/compare.py", title="Compare", url_path="compare", visibility="hidden"),
    ],
    position="top",
).run()
