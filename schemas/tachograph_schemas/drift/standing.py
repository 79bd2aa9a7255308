"""How an agent is watched at the moment: what is learnt, what is known of each metric, how far the evidence is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import picture
from tachograph_schemas.drift.baseline import LEAST_RUNS, YOUNG_RUNS, Baseline
from tachograph_schemas.drift.metrics import BY_KEY, METRICS, Metric


def standing(agent: str, watch: AgentWatch, *, pictures: bool) -> dict[str, Any]:
    """One agent as JSON; of alarms it knows nothing (:func:`with_alarms`)."""
    kept = watch.baseline
    return {
        "agent": agent,
        "runs": watch.runs,
        "state": stage(kept),
        "says": said(watch),
        "budget_runs": watch.budget_runs,
        "baseline": _baseline(kept) if kept else None,
        "metrics": [_metric(watch, metric, pictures=pictures) for metric in METRICS],
    }


def stage(baseline: Baseline | None) -> str:
    """``learning``, ``young`` (only large changes) or ``watching``."""
    if baseline is None:
        return "learning"
    return "watching" if baseline.is_full else "young"


def said(watch: AgentWatch) -> str:
    """The stage in a sentence, and one for each metric that is learnt anew."""
    return " ".join((_stage_said(watch), *_relearning(watch)))


def _relearning(watch: AgentWatch) -> Iterator[str]:
    for key, learning in watch.relearning.items():
        title = BY_KEY[key].title
        if learning.learnt < YOUNG_RUNS:
            yield f"{title}: learning anew, {learning.learnt} of the first {YOUNG_RUNS} runs that have it."
        else:
            yield f"{title}: still learning anew, only large changes raise an alarm."


def _stage_said(watch: AgentWatch) -> str:
    kept = watch.baseline
    if kept is None:
        return (
            f"Learning what is normal: {watch.learning.learnt} of the first {YOUNG_RUNS} runs. "
            "Nothing is compared yet."
        )
    if not kept.is_full:
        lacks = (
            f"{watch.learning.learnt} of {LEAST_RUNS} runs"
            if watch.learning.learnt < LEAST_RUNS
            else "less than a week of runs"
        )
        return f"Still learning ({lacks}): only large changes raise an alarm, and the week's rhythm is not known."
    return f"Watching: at most one false alarm in {watch.budget_runs:,} runs, all metrics together."


def _baseline(kept: Baseline) -> dict[str, Any]:
    names = ("version", "runs", "since_ns", "until_ns", "split", "strata", "fingerprints")
    return {name: getattr(kept, name) for name in names} | {"is_full": kept.is_full}


def with_alarms(found: dict[str, Any], alarmed: Collection[str]) -> dict[str, Any]:
    """The same, the metrics ``alarmed`` having an open alarm."""
    metrics = [
        row | ({"state": "alarm"} if row["key"] in alarmed else {}) for row in found["metrics"]
    ]
    state = "alarm" if alarmed else found["state"]
    return found | {"state": state, "metrics": metrics}


def _metric(watch: AgentWatch, metric: Metric, *, pictures: bool) -> dict[str, Any]:
    watched = watch.baseline is not None and watch.baseline.has(metric)
    state = "no data"
    if watched:
        state = "watching"
    elif watch.baseline is None or metric.key in watch.relearning:
        state = "learning"
    bound = watch.bound(metric) if watched else None
    shown = {
        "key": metric.key,
        "title": metric.title,
        "unit": metric.unit,
        "kind": metric.kind,
        "state": state,
        "values": watch.seen(metric),
        "bound_runs": bound,
        "suspicion": _suspicion(watch.evidence(metric), bound),
    }
    if pictures and watched:
        shown["picture"] = picture(watch, metric.key, _category(watch, metric), None)
    return shown


def _suspicion(evidence: float, bound: float | None) -> float:
    """How far on the way to an alarm, 0 to 1, on the scale of bets won."""
    if not bound or evidence <= 1:
        return 0.0
    # Up to the root of the bound is what chance alone reaches every day.
    return max(0.0, min(1.0, 2 * math.log(evidence) / math.log(bound) - 1))


def _category(watch: AgentWatch, metric: Metric) -> str:
    """Of a mix: the category that most was won on, or the largest."""
    assert watch.baseline is not None
    if metric.kind == "number":
        return ""
    if _suspicion(watch.evidence(metric), watch.bound(metric)):
        held = watch.held(metric)
        return max(held, key=lambda name: max(held[name]))
    means = watch.baseline.shares[metric.key].means[""]
    return max(means, key=means.__getitem__)
