"""What a deploy would change: the summaries of ``tacho replay --since``."""

from datetime import UTC, datetime

import streamlit as st

from tachograph_dashboard import components, control, frame, states
from tachograph_dashboard.views import replays

st.set_page_config(page_title="Replays · Tachograph")
st.title("Replays", anchor=False)
st.caption(
    "What would change: recorded runs, driven again with the code as it is. Start one in the folder of the program;"
    " nothing is sent, written or paid."
)
st.code("tacho replay --since 24h", language=None)
try:
    found = control.sweeps()
except control.ControlError as error:
    states.no_control(str(error), "Replays cannot be listed")
    frame.stop()
if not found:
    st.caption("Nobody has replayed many runs at once yet.")
    frame.stop()
lead = components.replays(replays.swept(found, datetime.now(UTC)), key="sweeps")
if lead:
    lead.pop("page")
    st.switch_page("app_pages/run.py", query_params=lead)
