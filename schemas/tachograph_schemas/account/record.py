"""What the reader must know about the record itself: what is missing, cut, masked or without a price."""

from __future__ import annotations

from tachograph_schemas import names, words
from tachograph_schemas.account import decisions
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.timeline import Timeline, fact, number


def warnings(view: Timeline) -> tuple[str, ...]:
    """Sentences about the record, the gravest first."""
    return tuple(
        text
        for text in (
            _missing_spans(view),
            _missing_root(view),
            _of_no_kind(view),
            _not_read(view),
            _broke_off(view),
            _never_ended(view),
            _no_contents(view),
            _cut(view),
            _masked(view),
            _unpriced(view),
        )
        if text
    )


def last_seconds(view: Timeline) -> list[Line]:
    """What an interrupted run cannot tell: spans that were still in its process when it died."""
    if view.run.outcome != "interrupted":
        return []
    return [
        Line("Actions begun in its last few seconds may be missing from the record", tone="warn")
    ]


def missing_spans(view: Timeline) -> int:
    """How many spans the client made that are not stored; 0 while the run is not over."""
    made = view.run.spans_made
    if made is None or view.run.ended_at is None:
        return 0
    return max(made - view.run.span_count, 0)


def _missing_spans(view: Timeline) -> str:
    missing = missing_spans(view)
    if not missing:
        return ""
    are = "is" if missing == 1 else "are"
    return (
        f"{view.run.span_count:,} of {view.run.spans_made:,} spans are stored: {missing:,} {are} missing, "
        "so this account may be incomplete"
    )


def _missing_root(view: Timeline) -> str:
    root = view.by_id.get(view.run.root_span_id)
    if root is None or root.layer == "run" or not root.parent_span_id:
        return ""
    if view.run.ended_at is not None or view.parent(root) is not None:
        return ""
    return "The span that began this run is not stored: its start, task and outcome are inferred from the others"


def _of_no_kind(view: Timeline) -> str:
    if view.spans or not view.run.span_count:
        return ""
    number = words.count(view.run.span_count, "span")
    return f"The {number} of this run do not say what kind of step they are, so there is little to tell"


def _not_read(view: Timeline) -> str:
    there = view.run.span_count - view.run.layer_counts.get("other", 0)
    if len(view.spans) >= there:
        return ""
    return f"This account covers the first {len(view.spans):,} of {there:,} steps"


def _never_ended(view: Timeline) -> str:
    if view.run.ended_at is None:
        return ""
    resumed_ns = _resumed_ns(view)
    never = sum(span.is_open and span.start_ns >= resumed_ns for span in view.spans)
    return f"{words.count(never, 'step')} never ended although the run did" if never else ""


def _broke_off(view: Timeline) -> str:
    """An attempt that was killed leaves its own span open, and what it was doing."""
    resumed_ns = _resumed_ns(view)
    left = [span for span in view.spans if span.is_open and span.start_ns < resumed_ns]
    if not left:
        return ""
    inside = sum(span.layer != "run" for span in left)
    doing = f", in the middle of {words.count(inside, 'step')}" if inside else ""
    return f"An earlier attempt of this run broke off without an ending{doing}"


def _resumed_ns(view: Timeline) -> int:
    """When the last attempt began that took the run up again; 0 when there was none."""
    resumed = [span.start_ns for span in view.calls("run") if fact(span, names.RESUMED)]
    return max(resumed, default=0)


def _no_contents(view: Timeline) -> str:
    calls = view.calls("model")
    silent = [
        span
        for span in calls
        if not span.output_text and not span.is_open and span.status != "error"
        and not decisions.is_embedding(span)
        and not any(inner.output_text for inner in view.inner.get(span.span_id, ()))
    ]  # fmt: skip
    if not silent:
        return ""
    if len(silent) == len(calls):
        return "The client recorded no messages, so what the model decided can be seen from its tool calls only"
    return f"The messages of {words.count(len(silent), 'model call')} are not recorded"


def _cut(view: Timeline) -> str:
    cut = [lost for span in view.spans if (lost := number(span, names.TRUNCATED_BYTES)) > 0]
    if not cut:
        return ""
    return f"Long payloads of {words.count(len(cut), 'step')} were cut when recorded ({size(sum(cut))} left out)"


def size(number_bytes: int) -> str:
    """``1.2 MB``."""
    if number_bytes < 1000:
        return words.count(number_bytes, "byte")
    for unit, factor in (("kB", 10**3), ("MB", 10**6)):
        if number_bytes < factor * 1000:
            return f"{number_bytes / factor:.1f} {unit}"
    return f"{number_bytes / 10**9:.1f} GB"


def _masked(view: Timeline) -> str:
    masked = sum(number(span, names.REDACTED_COUNT) for span in view.spans)
    if not masked:
        return ""
    were = "was" if masked == 1 else "were"
    return f"{words.count(masked, 'secret')} {were} masked before anything was stored"


def _unpriced(view: Timeline) -> str:
    run = view.run
    if not run.unpriced_calls:
        return ""
    if run.cost_usd is None:
        return "What this run cost is not known: " + _reasons(view)
    return (
        f"The cost is a lower bound: {words.count(run.unpriced_calls, 'model call')} of "
        f"{run.model_calls:,} could not be priced ({_reasons(view)})"
    )


def _reasons(view: Timeline) -> str:
    calls = view.calls("model")
    by_status: dict[str, list[str]] = {}
    for span in calls:
        by_status.setdefault(span.cost_status, []).append(span.model)
    said = []
    for status, text in (
        ("unknown_price", "no price is known for"),
        ("pending", "the price is still being looked up for"),
    ):
        models = sorted({model for model in by_status.get(status, []) if model})
        if status in by_status:
            listed = [words.excerpt(model, 60) for model in models[:4]] or ["an unnamed model"]
            said.append(f"{text} {words.joined(listed)}")
    silent = len(by_status.get("no_usage", []))
    if silent:
        said.append(f"{words.count(silent, 'call')} reported no token usage")
    return words.joined(said) or "no usage was reported"
