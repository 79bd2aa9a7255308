"""One sentence for each layer around the work itself: input, context, checkpoints, evaluations."""

from __future__ import annotations

from tachograph_schemas import names, words
from tachograph_schemas.account import payload
from tachograph_schemas.account.model import Tone
from tachograph_schemas.account.phrases import Told, because, items, proposal, quoted
from tachograph_schemas.account.timeline import fact, label, number
from tachograph_schemas.rows import AccountSpan


def checkpoint(span: AccountSpan) -> Told:
    """Progress saved, or taken up again."""
    where = quoted(span, names.CHECKPOINT_LABEL, "checkpoint ")
    given = payload.parse(span.input_text) if span.input_text else {}
    parts = (
        ("done", "Done"),
        ("in_flight", "Begun and not confirmed"),
        ("lost", "To be done again"),
        ("todo", "Left to do"),
    )
    said = [
        f"{words_for}: {_list(given[key])}"
        for key, words_for in parts
        if isinstance(given, dict) and given.get(key)
    ]
    detail = ". ".join(said)
    if fact(span, names.CHECKPOINT_ACTION) == "restored":
        lost = number(span, names.CHECKPOINT_LOST)
        again = f"; {words.count(lost, 'step')} of work must be done again" if lost else ""
        return f"Took up again at the checkpoint {where}{again}", "warn", detail
    return f"Saved its progress as {where}", "plain", detail


def _list(given: object) -> str:
    """What was done or is left: names as they are, anything else as arguments."""
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return words.excerpt(", ".join(given), 200)
    return payload.arguments(given, 200)


def context(span: AccountSpan) -> Told:
    """What was put in front of the model."""
    shown = number(span, names.CONTEXT_SELECTED)
    offered = number(span, names.CONTEXT_CANDIDATES)
    said = f"Put together the context ({label(span.name)})"
    if offered:
        dropped = max(offered - shown, number(span, names.CONTEXT_DROPPED), 0)
        left = f", left out {dropped:,}{_why(span)}" if dropped else ""
        said = f"Chose {shown:,} of {offered:,} pieces of context{left}"
    return f"{said}{because(span)}", "plain", _tokens(span)


def _why(span: AccountSpan) -> str:
    """`` (4 stale, 2 over the token budget)``; empty when no reasons are recorded."""
    given = payload.parse(fact(span, names.CONTEXT_DROPPED_WHY) or "null")
    if not isinstance(given, dict):
        return ""
    said = [f"{number} {label(str(why))}" for why, number in list(given.items())[:6] if number]
    return f" ({', '.join(said)})" if said else ""


def _tokens(span: AccountSpan) -> str:
    used = number(span, names.CONTEXT_USED_TOKENS)
    room = number(span, names.CONTEXT_BUDGET_TOKENS)
    before = number(span, names.CONTEXT_COMPACTED_FROM_TOKENS)
    said = []
    if before:
        said.append(f"The history was shortened from {before:,} to {used:,} tokens")
    if room:
        said.append(f"{used:,} of {room:,} tokens used")
    elif used and not before:
        said.append(f"{used:,} tokens used")
    return ". ".join(said)


def normalize(span: AccountSpan) -> Told:
    """Input that was cleaned before the model saw it."""
    injections = number(span, names.NORMALIZE_INJECTIONS)
    removed = fact(span, names.NORMALIZE_REMOVED)
    cut = number(span, names.NORMALIZE_CUT_CHARS)
    done = [f"removed {words.excerpt(removed, 120)}"] if removed and removed != "0" else []
    if cut:
        done.append(f"cut {words.count(cut, 'character')} off its end")
    what = f", {words.joined(done)}" if done else ""
    if injections:
        hits = words.count(injections, "suspicious instruction")
        patterns = items(fact(span, names.NORMALIZE_PATTERNS))
        named = f" ({', '.join(patterns)})" if patterns else ""
        return f"Found {hits} in the input{named}{what}{because(span)}", "bad", ""
    return f"Cleaned the input{what}{because(span)}", "plain", ""


def evaluation(span: AccountSpan) -> Told:
    """A judgement of the agent's work."""
    name = quoted(span, names.EVAL_NAME, "evaluate ")
    verdict = fact(span, names.EVAL_LABEL)
    score = fact(span, names.EVAL_SCORE)
    said = " ".join(
        filter(None, [label(verdict), f"({label(score)})" if score and verdict else label(score)])
    )
    tone: Tone = "plain"
    if verdict.lower() in {"fail", "failed", "reject", "rejected", "no", "incorrect"}:
        tone = "warn"
    elif verdict.lower() in {"pass", "passed", "accept", "accepted", "yes", "correct"}:
        tone = "good"
    case = fact(span, names.EVAL_CASE)
    about = f" of the case “{label(case)}”" if case else ""
    details = [words.excerpt(fact(span, names.EVAL_EXPLANATION), 400)]
    if span.input_text:
        details.append(f"Expected: {proposal(span)}")
    if span.output_text:
        details.append(f"Given: {payload.answer(span.output_text, 160)}")
    return (
        f"The evaluation {name}{about} said {said}"
        if said
        else f"The evaluation {name}{about} ran",
        tone,
        ". ".join(filter(None, details)),
    )
