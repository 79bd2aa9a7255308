"""When people are told: maintenance windows and digests, as rows of the page of alerts and as forms."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import streamlit as st

from tachograph_dashboard.views import times
from tachograph_dashboard.views.alerts import drawn
from tachograph_schemas import words

Row = Mapping[str, Any]
_LENGTHS_S = {
    1_800: "30 min",
    3_600: "1 h",
    7_200: "2 h",
    14_400: "4 h",
    28_800: "8 h",
    86_400: "1 day",
    172_800: "2 days",
}
_REPEATS = {"": "once", "day": "every day", "week": "every week"}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def windows(rows: Sequence[Row], where: tzinfo, now: datetime) -> list[dict[str, Any]]:
    """Maintenance windows, with what can be done about them."""
    return [_window(row, where, now) for row in rows]


def _window(row: Row, where: tzinfo, now: datetime) -> dict[str, Any]:
    agents = words.excerpt(", ".join(row["agents"]), 160)
    meta = [(_REPEATS[row["every"]], False)]
    if row["next_starts_ns"] is None:
        state, when = ("Over", "plain"), f"ended {_moment(row['ends_ns'], where)}"
    else:
        starts, ends = (_moment(row[f"next_{name}_ns"], where) for name in ("starts", "ends"))
        left_ns = row["next_ends_ns"] - now.timestamp() * 1e9
        state = ("On", "live") if row["is_open"] else ("Planned", "plain")
        when = f"{starts} to {ends}"
        if row["is_open"]:
            meta.append((f"{words.duration(max(0, left_ns))} left", True))
    meta.append((f"made by {words.excerpt(row['created_by'], 60)}", False))
    return drawn(
        row["name"],
        state,
        words.excerpt(row["name"], 100),
        of="" if agents else "all rules",
        line=when + (f", rules about {agents}" if agents else ""),
        meta=meta,
        acts=[*([("end", "End now")] if row["is_open"] else []), ("remove", "Remove")],
        quiet=not row["is_open"],
    )


def digests(rows: Sequence[Row], where: tzinfo) -> list[dict[str, Any]]:
    """Digests, and when they come next."""
    return [
        drawn(
            row["name"],
            ("Daily" if row["every"] == "day" else "Weekly", "plain"),
            words.excerpt(row["name"], 100),
            line=f"{_hour(row)} UTC, to {words.excerpt(', '.join(row['targets']), 160)}",
            meta=[(f"next {_moment(row['next_ns'], where)} here", False)],
            acts=[("preview", "What would it say now?"), ("remove", "Remove")],
            quiet=True,
        )
        for row in rows
    ]


def _hour(row: Row) -> str:
    day = "Every day" if row["every"] == "day" else f"Every {_WEEKDAYS[row['weekday']]}"
    return f"{day} at {row['minute'] // 60:02}:{row['minute'] % 60:02}"


def _moment(at_ns: int, where: tzinfo) -> str:
    return times.minute(datetime.fromtimestamp(at_ns / 1e9, UTC), where)


def window_fields(where: tzinfo, now: datetime, agents: Sequence[str]) -> None:
    """Draw the form of a maintenance window; :func:`window_of` reads it."""
    there = now.astimezone(where)
    what, day, hour, length, every = st.columns([0.28, 0.19, 0.15, 0.17, 0.21])
    what.text_input(
        "Name", key="window_name", max_chars=100, placeholder="release", persist_state="page"
    )
    day.date_input("From", there.date(), key="window_day", persist_state="page")
    hour.time_input(
        "At", time(there.hour, there.minute), key="window_hour", step=300, persist_state="page"
    )
    length.selectbox(
        "For",
        list(_LENGTHS_S),
        index=1,
        format_func=_LENGTHS_S.__getitem__,
        key="window_length",
        persist_state="page",
    )
    every.selectbox(
        "Repeat",
        list(_REPEATS),
        format_func=_REPEATS.__getitem__,
        key="window_every",
        persist_state="page",
    )
    st.multiselect(
        "Only rules about these agents",
        agents,
        key="window_agents",
        placeholder="All rules",
        accept_new_options=True,
        format_func=words.plain,
        persist_state="page",
    )


def window_of(said: MutableMapping[Any, Any], where: tzinfo) -> dict[str, Any]:
    """The window that the form asks for, as the control API takes it."""
    day: date = said["window_day"]
    starts = datetime.combine(day, said["window_hour"], where)
    starts_ns = int(starts.timestamp()) * 10**9
    return {
        "name": str(said["window_name"]).strip(),
        "starts_ns": starts_ns,
        "ends_ns": starts_ns + said["window_length"] * 10**9,
        "every": said["window_every"],
        "agents": list(said["window_agents"]),
    }


def ended(row: Row, now: datetime) -> dict[str, Any] | None:
    """A window that is on, from now on without this time of it; ``None``: nothing is left of it."""
    if not row["every"]:
        return None
    repeat = timedelta(days=1 if row["every"] == "day" else 7)
    starts_ns = row["starts_ns"]
    while starts_ns <= now.timestamp() * 1e9:
        starts_ns += int(repeat.total_seconds()) * 10**9
    kept = {name: row[name] for name in ("name", "every", "agents")}
    length_ns = row["ends_ns"] - row["starts_ns"]
    return kept | {"starts_ns": starts_ns, "ends_ns": starts_ns + length_ns}


def digest_fields(targets: Sequence[str]) -> None:
    """Draw the form of a digest; :func:`digest_of` reads it."""
    what, every, weekday, hour = st.columns([0.34, 0.22, 0.24, 0.2])
    what.text_input(
        "Name", key="digest_name", max_chars=100, placeholder="morning", persist_state="page"
    )
    choices = {"day": "every day", "week": "every week"}
    every.selectbox(
        "Comes",
        list(choices),
        format_func=choices.__getitem__,
        key="digest_every",
        persist_state="page",
    )
    weekday.selectbox(
        "On (weekly ones)",
        list(range(7)),
        format_func=_WEEKDAYS.__getitem__,
        key="digest_weekday",
        persist_state="page",
    )
    hour.time_input("At, UTC", time(7, 0), key="digest_hour", step=900, persist_state="page")
    st.multiselect(
        "Tell",
        targets,
        key="digest_targets",
        placeholder="Whom?",
        format_func=words.plain,
        persist_state="page",
    )


def digest_of(said: MutableMapping[Any, Any]) -> dict[str, Any]:
    """The digest that the form asks for, as the control API takes it."""
    hour: time = said["digest_hour"]
    return {
        "name": str(said["digest_name"]).strip(),
        "every": said["digest_every"],
        "weekday": said["digest_weekday"],
        "minute": hour.hour * 60 + hour.minute,
        "targets": list(said["digest_targets"]),
    }
