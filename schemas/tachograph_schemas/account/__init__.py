"""The readable account of a run, made from its spans alone: no model, no I/O, the same every time."""

from __future__ import annotations

from collections.abc import Sequence

from tachograph_schemas import words
from tachograph_schemas.account import causes, ending, origin, payload, questions, record, story
from tachograph_schemas.account import signs as within
from tachograph_schemas.account.model import Account, Line, Section, Sign, Tone, Usual
from tachograph_schemas.account.timeline import Timeline
from tachograph_schemas.rows import AccountSpan, RunRow

__all__ = ["Account", "Line", "Section", "Sign", "Tone", "Usual", "build", "title"]


def title(run: RunRow, chars: int = 160) -> str:
    """What a person calls ``run``, in one display-safe line: its task, else its name. For lists of runs."""
    asked = run.goal or (payload.task(run.input) if run.input else "")
    return words.excerpt(asked or run.name, chars)


def build(run: RunRow, spans: Sequence[AccountSpan], usual: Usual | None = None) -> Account:
    """Tell what happened in ``run``.

    Pure and deterministic; looks at every span once and at the payloads of a few thousand, so that
    50,000 spans take well under a second. Never raises on what was recorded: spans may be missing,
    open, circular or hostile. All texts are display-safe and plain (no markup), but not escaped.

    Args:
        run: The row of the run.
        spans: Its spans, in any order, payloads cut to any length.
        usual: What successful runs of the same agent need, for the signs that compare.
    """
    view = Timeline(run, spans)
    verdict, tone = ending.verdict(view)
    lines = [origin.opening(view), *story.tell(view)]
    if run.outcome != "running":
        lines.append(ending.last_line(view))
    return Account(
        run_id=run.run_id,
        title=words.excerpt(origin.goal(view) or run.name, 160),
        verdict=verdict,
        tone=tone,
        story=tuple(lines),
        sections=questions.sections(view),
        warnings=record.warnings(view),
        signs=within.signs(view, usual),
        numbers=within.numbers(view),
        why=causes.chain(view),
    )
