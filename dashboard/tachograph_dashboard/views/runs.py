"""The list of runs and the figures above it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from tachograph_dashboard.data import RunsView
from tachograph_dashboard.views import times
from tachograph_schemas import account, words
from tachograph_schemas.rows import RunRow, TrendSlice

_TITLE_CHARS = 160
_WHY_CHARS = 120
_NAME_CHARS = 60


def figures(view: RunsView) -> list[dict[str, Any]]:
    """The cards of the strip. Unknown is said, never shown as nothing."""
    total, trend = view.summary, view.trend
    ended = total.runs - total.running
    return [
        card(
            "Runs",
            f"{total.runs:,}",
            f"{total.running:,} running now" if total.running else "",
            course=[slice_.runs for slice_ in trend],
            kind="bars",
        ),
        card(
            "Succeeded",
            share(total.succeeded, ended),
            f"{total.stopped:,} stopped" if total.stopped else "",
            help_="Of the runs that have ended",
            course=[_success(slice_) for slice_ in trend],
        ),
        card(
            "Failed",
            f"{total.failed:,}",
            f"{total.interrupted:,} interrupted" if total.interrupted else "",
            tone="bad" if total.failed else "plain",
            help_="Ended with an error; interrupted runs went silent before the end",
            course=[slice_.failed for slice_ in trend],
            kind="bars",
        ),
        card(
            "Slowest 5 %",
            words.UNKNOWN if total.p95_ns is None else words.duration(total.p95_ns),
            "" if total.median_ns is None else f"half take {words.duration(total.median_ns)}",
            help_="Every twentieth run takes at least this long",
            course=[slice_.p95_ns if slice_.runs else None for slice_ in trend],
        ),
        _cost_card(view),
    ]


def _cost_card(view: RunsView) -> dict[str, Any]:
    total = view.summary
    unpriced = f"{words.count(total.unpriced, 'call')} unpriced" if total.unpriced else ""
    known = total.total_cost_usd is not None
    value = (
        words.usd(total.total_cost_usd)
        if known
        else ("unknown" if total.unpriced else words.UNKNOWN)
    )
    note = ", ".join(
        part for part in (f"{total.tokens:,} tokens" if total.tokens else "", unpriced) if part
    )
    return card(
        "Cost",
        value,
        note,
        help_="Over the calls whose price is known",
        course=[slice_.slice_cost_usd for slice_ in view.trend],
        kind="bars",
    )


def card(
    label: str,
    value: str,
    note: str,
    help_: str = "",
    *,
    course: Sequence[float | None] = (),
    kind: str = "line",
    tone: str = "plain",
) -> dict[str, Any]:
    """One card of a strip of figures; ``course`` is its little chart, empty for none."""
    return {
        "label": label,
        "value": value,
        "note": note,
        "tone": tone,
        "help": help_,
        "course": list(course),
        "kind": kind,
    }


def share(part: int, whole: int) -> str:
    """``99.6 %``; a dash when there is nothing to be a share of."""
    if not whole:
        return words.UNKNOWN
    share = 100 * part / whole
    # 99.96 % is not everything.
    return f"{share:.0f} %" if share in {0, 100} else f"{min(share, 99.9):.1f} %"


def _success(slice_: TrendSlice) -> float | None:
    ended = slice_.succeeded + slice_.failed
    return slice_.succeeded / ended if ended else None


def table(rows: Sequence[RunRow], where: tzinfo, now: datetime) -> dict[str, Any]:
    """What the table draws; columns in which no run has anything are left out."""
    without = [] if any(row.customer for row in rows) else ["customer"]
    return {"runs": [_row(row, where, now) for row in rows], "without": without}


def _row(row: RunRow, where: tzinfo, now: datetime) -> dict[str, Any]:
    return {
        "id": row.run_id,
        "outcome": row.outcome,
        "title": title(row),
        "why": why(row),
        "agent": words.excerpt(row.agent or row.service, _NAME_CHARS),
        "customer": words.excerpt(row.customer, _NAME_CHARS),
        "started": times.whole(row.started_at, where),
        "started_short": times.short(row.started_at, where, now),
        "started_ms": round(row.started_at.timestamp() * 1000),
        "took": words.duration(row.duration_ns),
        "models": f"{row.model_calls:,}",
        "tools": f"{row.tool_calls:,}",
        "tokens": words.tokens(row.total_tokens),
        "cost": cost(row),
        "cost_note": cost_note(row),
    }


def title(row: RunRow) -> str:
    """What a run was for: its goal, else what it was asked, else its name."""
    return account.title(row, _TITLE_CHARS) or f"Run {row.run_id[:8]}"


def why(row: RunRow) -> str:
    """Why a run did not end well, in short."""
    if row.outcome in {"failure", "stopped"}:
        return words.excerpt(row.stop_reason or row.error_type, _WHY_CHARS)
    return ""


def cost(row: RunRow) -> str:
    """The cost of the priced calls; never 0 for unknown."""
    if row.cost_usd is None:
        return "unpriced" if row.unpriced_calls else words.UNKNOWN
    return words.usd(row.cost_usd) + ("+" if row.unpriced_calls else "")


def cost_note(row: RunRow) -> str:
    """What the cost leaves out."""
    notes = [
        f"{words.count(number, 'call')} {what}"
        for number, what in (
            (row.unpriced_calls, "without a known price"),
            (row.odd_calls, "with odd numbers"),
        )
        if number
    ]
    return ", ".join(notes)
