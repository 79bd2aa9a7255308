"""What one model call decided, and on how much context."""

from __future__ import annotations

from dataclasses import dataclass

from tachograph_schemas import words
from tachograph_schemas.account import payload
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.account.timeline import Timeline, error_kind, is_abandoned, label
from tachograph_schemas.rows import AccountSpan

_ASKED_FOR_TOOLS = {"tool_use", "tool_calls", "tool_call", "function_call", "tool-calls"}
_CUT_SHORT = {"length", "max_tokens", "MAX_TOKENS"}
_WITHHELD = {"refusal", "content_filter", "content-filter", "SAFETY"}
_SHOWN_REQUESTS = 4


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a model call."""

    span: AccountSpan
    requests: tuple[payload.ToolRequest, ...]
    """The tools that the model asked for."""
    text: str
    """What it said, in one display-safe line."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for decisions that read alike."""
        asked = tuple(request.name for request in self.requests)
        return (self.span.status, *(asked or (self.text[:80],)))


def read(view: Timeline, span: AccountSpan) -> Decision:
    """Read a model call's recorded answer; its second view is asked where it recorded none itself."""
    recorded = [span, *view.inner.get(span.span_id, ())]
    said = next((each.output_text for each in recorded if each.output_text), "")
    found = payload.messages(said) if said else []
    requests = tuple(request for message in found for request in message.requests)
    texts = [message.text for message in found if message.text.strip()]
    return Decision(span, requests, words.excerpt(texts[-1], 300) if texts else "")


def describe(view: Timeline, decision: Decision, *, with_arguments: bool = True) -> Line:
    """The sentence for a model call."""
    span = decision.span
    is_named = len(view.run.models) > 1 and span.model not in {"", "unknown"}
    model = f"The model {label(span.model)}" if is_named else "The model"
    if span.is_open:
        return view.line(
            span, f"{model} was asked and has not answered", "warn", context(view, span)
        )
    if span.status == "error":
        tone: Tone = "warn" if view.recovered(span) else "bad"
        why = error_kind(span) or "an error"
        return view.line(
            span, f"{model} gave no answer: {why}", tone, words.excerpt(span.status_message, 400)
        )
    if is_embedding(span):
        return view.line(span, f"Turned text into vectors with {label(span.model)}")
    text, tone = _outcome(model, decision, with_arguments=with_arguments)
    if is_abandoned(span):
        text, tone = f"{text}; nobody read the answer to its end", "warn"
    remark = f"It said: “{decision.text}”" if decision.requests and decision.text else ""
    # A quotation that ends its sentence needs no second full stop.
    between = " " if decision.text.endswith((".", "!", "?", "…")) else ". "
    return view.line(span, text, tone, between.join(filter(None, [remark, context(view, span)])))


def _outcome(model: str, decision: Decision, *, with_arguments: bool) -> tuple[str, Tone]:
    finish = decision.span.finish_reason
    if decision.requests:
        return (
            f"{model} decided to call {asked_for(decision, with_arguments=with_arguments)}",
            "plain",
        )
    if finish in _WITHHELD:
        return f"{model} refused to answer{_quoted(decision.text)}", "warn"
    if finish in _CUT_SHORT:
        return (
            f"{model} ran into its token limit in the middle of the answer{_quoted(decision.text)}",
            "warn",
        )
    if decision.text:
        return f"{model} answered{_quoted(decision.text)}", "plain"
    if finish in _ASKED_FOR_TOOLS:
        return f"{model} decided to call tools (its message is not recorded)", "plain"
    return f"{model} answered (its message is not recorded)", "plain"


def _quoted(text: str) -> str:
    return f": “{words.excerpt(text, 160)}”" if text else ""


def asked_for(decision: Decision, *, with_arguments: bool) -> str:
    """``lookup_order(order_id='A-1007') and lookup_customer(…)``, or the tools' names alone."""
    if not with_arguments:
        counted: dict[str, int] = {}
        for request in decision.requests:
            counted[request.name] = counted.get(request.name, 0) + 1
        said = [
            label(name) + (f" {words.times(number)}" if number > 1 else "")
            for name, number in counted.items()
        ]
        return words.joined(said)
    shown = [
        payload.call(request.name, request.arguments)
        for request in decision.requests[:_SHOWN_REQUESTS]
    ]
    more = len(decision.requests) - len(shown)
    return words.joined([*shown, f"{more} more"] if more else shown)


def context(view: Timeline, span: AccountSpan) -> str:
    """``Context: 1,387 tokens, 5 messages recorded``: what the model saw; empty when nothing is known."""
    known = [span.input_tokens, span.cache_read_tokens, span.cache_write_tokens]
    parts = []
    if any(known):
        cached = span.cache_read_tokens or 0
        tail = f" ({words.tokens(cached)} from the cache)" if cached else ""
        parts.append(f"{words.tokens(sum(filter(None, known)))} tokens{tail}")
    if span.input_text and not is_cut(span.input_text):
        # Some clients record what is new since the last call only, so this may not be the whole view.
        number = len(payload.messages(span.input_text))
        if number:
            parts.append(f"{words.count(number, 'message')} recorded")
    return f"Context: {', '.join(parts)}" if parts else ""


def is_cut(text: str) -> bool:
    """Whether a JSON payload ends in the middle."""
    end = text.rstrip()[-1:]
    return text[:1] in {"[", "{"} and end != {"[": "]", "{": "}"}[text[:1]]


def is_embedding(span: AccountSpan) -> bool:
    """Whether it turned text into vectors: no decision."""
    return "embed" in span.model.lower() or span.name.lower().startswith(
        ("embeddings", "createembed")
    )
