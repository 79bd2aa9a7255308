"""What the run cost: money, tokens and time, unknown said as unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tachograph_schemas import names, words
from tachograph_schemas.account import beside, harness
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.timeline import Timeline, fact, label, number
from tachograph_schemas.rows import AccountSpan

_MOST_MODELS = 12


@dataclass(slots=True)
class Share:
    """What some model calls cost together."""

    calls: int = 0
    cost_usd: float = 0.0
    priced: int = 0
    tokens: int = 0

    def add(self, span: AccountSpan) -> None:
        """Count a call."""
        self.calls += 1
        self.tokens += _tokens(span)
        if span.cost_usd is not None:
            self.priced += 1
            self.cost_usd += span.cost_usd

    @property
    def money(self) -> str:
        """``$0.0123``, ``at least $0.0123``, ``unpriced``."""
        if not self.priced:
            return words.UNPRICED
        least = "at least " if self.priced < self.calls else ""
        return f"{least}{words.usd(self.cost_usd)}"


def _tokens(span: AccountSpan) -> int:
    classes = (
        span.input_tokens,
        span.cache_read_tokens,
        span.cache_write_tokens,
        span.output_tokens,
    )
    return sum(number for number in classes if number is not None)


def cost(view: Timeline) -> list[Line]:
    """The answer to: what did it cost?"""
    lines = [Line(_money(view), "model", "warn" if view.run.unpriced_calls else "plain")]
    calls = view.calls("model")
    lines.append(Line(_token_classes(view), "model"))
    by_model: dict[str, Share] = {}
    for span in calls:
        by_model.setdefault(span.model, Share()).add(span)
    if len(by_model) > 1:
        ranked = sorted(by_model.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens))
        lines.extend(_model(name, share) for name, share in ranked[:_MOST_MODELS])
        if len(ranked) > _MOST_MODELS:
            lines.append(Line(f"… and {len(ranked) - _MOST_MODELS:,} more models", "model"))
    lines.extend(beside.lines(view))
    lines.extend(_wasted(view, calls))
    lines.append(Line(_time(view, calls), "run", duration_ns=view.run.duration_ns))
    return lines


def _money(view: Timeline) -> str:
    run = view.run
    calls = words.count(run.model_calls, "model call")
    if not run.model_calls:
        return "No model call is recorded"
    if run.cost_usd is None:
        return f"What it cost is not known: {calls}, none with a known price"
    if run.unpriced_calls:
        return f"At least {words.usd(run.cost_usd)} for {calls}, {run.unpriced_calls:,} of them unpriced"
    return f"{words.usd(run.cost_usd)} for {calls}"


def _token_classes(view: Timeline) -> str:
    run = view.run
    said = [
        f"{words.tokens(number)} {noun}"
        for noun, number in (
            ("fresh input", run.input_tokens),
            ("read from the cache", run.cache_read_tokens),
            ("written to the cache", run.cache_write_tokens),
            ("output", run.output_tokens),
        )
        # Caches that were not used are not worth a word.
        if number or (number is not None and "cache" not in noun)
    ]
    if not said:
        return "No token usage was reported" if run.model_calls else "No token usage is recorded"
    thinking = (
        f" ({words.tokens(run.reasoning_tokens)} of it reasoning)" if run.reasoning_tokens else ""
    )
    return f"Tokens: {', '.join(said)}{thinking}"


def _model(name: str, share: Share) -> Line:
    who = label(name) or "a model that is not named"
    text = f"{who}: {share.money} for {words.count(share.calls, 'call')}, {words.tokens(share.tokens)} tokens"
    return Line(text, "model")


def _wasted(view: Timeline, calls: list[AccountSpan]) -> list[Line]:
    failed, repairs = Share(), Share()
    for span in calls:
        if span.status == "error":
            failed.add(span)
        elif view.in_repair(span):
            repairs.add(span)
    lines = []
    if failed.calls:
        text = f"{words.count(failed.calls, 'model call')} failed"
        used = f", {words.tokens(failed.tokens)} tokens used on them" if failed.tokens else ""
        lines.append(Line(f"{text}{used}", "model", "warn"))
    if repairs.calls:
        text = f"Loops that had to repair an answer took {words.count(repairs.calls, 'model call')}: {repairs.money}"
        share = _percent(repairs.cost_usd, view.run.cost_usd)
        lines.append(Line(f"{text}{share}", "repair", "warn"))
    retries = len(view.calls("retry"))
    if retries:
        lines.append(
            Line(
                words.count(retries, *harness.RETRIES),
                "retry",
                "warn",
            )
        )
    return lines


def _percent(part: float, whole: float | None) -> str:
    return f" ({100 * part / whole:.0f} % of the cost)" if whole and part else ""


def _time(view: Timeline, calls: list[AccountSpan]) -> str:
    run = view.run
    total = words.duration(run.duration_ns)
    so_far = " so far" if run.outcome == "running" else ""
    parts = []
    models_ns = covered(calls)
    tools_ns = covered(view.calls("tool"))
    if models_ns:
        parts.append(f"{words.duration(models_ns)} in models")
    if tools_ns:
        parts.append(f"{words.duration(tools_ns)} in tools")
    parts += _waiting(view)
    return f"Time: {total}{so_far}{', of it ' + ', '.join(parts) if parts else ''}"


def _waiting(view: Timeline) -> list[str]:
    """The time in which the run did nothing: for people, or because no process of it was alive."""
    asked_ns = unasked_ns = 0
    for span in view.calls("approval"):
        if harness.nobody_to_ask(span):
            unasked_ns += number(span, names.WAITING_NS)
        else:
            asked_ns += number(span, names.WAITING_NS)
    waited_ns = max(view.run.waiting_ns - unasked_ns, 0)
    resumed = any(fact(span, names.RESUMED) for span in view.calls("run"))
    people_ns = min(asked_ns, waited_ns) if resumed else waited_ns
    said = [(people_ns, "waiting for people"), (waited_ns - people_ns, "between its attempts")]
    return [f"{words.duration(time_ns)} {what}" for time_ns, what in said if time_ns]


def covered(spans: Iterable[AccountSpan]) -> int:
    """The time during which at least one of the spans (oldest first) ran, ns."""
    total = reached = 0
    for span in spans:
        total += max(span.end_ns - max(span.start_ns, reached), 0)
        reached = max(reached, span.end_ns)
    return total
