"""What was done to the input before the model saw it: what was cleaned out, what was chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized

from tachograph._facts import describe, json_text, misused
from tachograph._given import amount, is_a, is_finite, listed, number, pairs
from tachograph._guard import guarded
from tachograph_schemas import names


def normalized(
    *,
    removed: Iterable[str] | str = (),
    injections: Iterable[str] | int = (),
    cut_chars: int = 0,
    reason: str = "",
) -> None:
    """Record what cleaning an input found; inside ``tacho.normalize`` it describes that span.

    Args:
        removed: What was stripped, in words: ``"3 zero-width characters"``.
        injections: The patterns of injected instructions that matched, by name; or how many.
        cut_chars: How many characters were cut off the end.
        reason: More, in a sentence.
    """
    with guarded("recording what was cleaned"):
        count = number(injections)
        patterns = [] if count is not None else listed(injections)
        describe(
            "normalize",
            "input",
            {
                names.NORMALIZE_REMOVED: ", ".join(listed(removed)),
                names.NORMALIZE_INJECTIONS: len(patterns) if count is None else count,
                names.NORMALIZE_PATTERNS: json_text(patterns) if patterns else None,
                names.NORMALIZE_CUT_CHARS: amount(cut_chars) or None,
                names.REASON: reason,
            },
        )


def context_chosen(
    *,
    candidates: int | Sized | None = None,
    selected: int | Sized | None = None,
    dropped: Mapping[str, int | Sized] | None = None,
    budget_tokens: int | None = None,
    used_tokens: int | None = None,
    compacted_from_tokens: int | None = None,
    reason: str = "",
) -> None:
    """Record what the model will see and what it will not; inside ``tacho.context`` it describes that span.

    Args:
        candidates: The pieces there were, or how many.
        selected: The pieces that were chosen, or how many.
        dropped: The rest by reason: ``{"stale": 4, "over the token budget": texts}``.
        budget_tokens: How many tokens there was room for.
        used_tokens: How many the chosen pieces take, after compaction.
        compacted_from_tokens: How many tokens an older history had before it was summarised.
        reason: Why these, in a sentence.
    """
    with guarded("recording what was chosen"):
        if dropped is not None and not is_a(dropped, Mapping):
            misused("context_chosen", "dropped is no mapping from reasons to numbers")
            dropped = None
        why = _counts(dropped)
        describe(
            "context",
            "chosen",
            {
                names.CONTEXT_CANDIDATES: amount(candidates),
                names.CONTEXT_SELECTED: amount(selected),
                names.CONTEXT_DROPPED: sum(why.values()) if why else None,
                names.CONTEXT_DROPPED_WHY: json_text(why) if why else None,
                names.CONTEXT_BUDGET_TOKENS: budget_tokens,
                names.CONTEXT_USED_TOKENS: used_tokens,
                names.CONTEXT_COMPACTED_FROM_TOKENS: compacted_from_tokens,
                names.REASON: reason,
            },
        )


def _counts(dropped: Mapping[str, int | Sized] | None) -> dict[str, float]:
    """How many were dropped for each reason; a reason whose number cannot be told says why not, and counts as none."""
    found: dict[str, float] = {}
    for reason, things in pairs({} if dropped is None else dropped):
        count = amount(things)
        if isinstance(count, str):
            found[f"{reason} ({count})"] = 0
        else:
            found[reason] = count if count is not None and is_finite(count) else 0
    return found
