"""Two runs side by side: which step of one is which step of the other, and where they part.

Steps are aligned, not counted: what one run has more is beside a gap, and the rest still lines up. Two steps are the
same when layer, name and arguments are; where only the arguments differ, layer and name decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import blake2b
from typing import Literal

from tachograph_schemas.rows import AccountSpan

State = Literal["same", "changed", "result", "only_a", "only_b"]
"""``changed``: other arguments; ``result``: the same arguments, another outcome."""

MOST_STEPS = 4_000
"""Of each run; the rest is not compared, as alignment takes time with the square of it."""
_CONTAINERS = frozenset(("run", "agent", "step", "turn"))
"""Layers that hold others: what came of them is a consequence."""


@dataclass(frozen=True, slots=True)
class Step:
    """One span with its place in the tree."""

    span: AccountSpan
    depth: int
    is_container: bool

    @property
    def exact(self) -> tuple[str, str, str]:
        """What it is, with its arguments."""
        said = self.span.input_text.encode("utf-8", "replace")
        return *self.kind, blake2b(said, digest_size=8).hexdigest()

    @property
    def kind(self) -> tuple[str, str]:
        """What it is."""
        return self.span.layer, self.span.tool or self.span.name

    @property
    def outcome(self) -> tuple[str, str, str, str]:
        """What came of it."""
        span = self.span
        return span.output_text, span.status, span.verdict, span.error_type


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of the comparison."""

    state: State
    a: Step | None
    b: Step | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All lines, in the order of the runs."""

    pairs: list[Pair]
    first: int | None
    """Which line is the first that differs; None when none does."""
    cut: bool
    """Whether one of the runs has more steps than are compared."""


def compare(a: Sequence[AccountSpan], b: Sequence[AccountSpan]) -> Comparison:
    """Align the spans of two runs, given oldest first."""
    ours, theirs = steps(a), steps(b)
    cut = max(len(ours), len(theirs)) > MOST_STEPS
    pairs = _aligned(ours[:MOST_STEPS], theirs[:MOST_STEPS])
    first = next((at for at, pair in enumerate(pairs) if pair.state != "same"), None)
    return Comparison(pairs, first, cut)


def steps(spans: Sequence[AccountSpan]) -> list[Step]:
    """The spans of a run as a tree, line by line; what ran at the same time in an order that both runs have."""
    shown = [span for span in spans if not span.second_view_of]
    known = {span.span_id for span in shown}
    children: dict[str, list[AccountSpan]] = defaultdict(list)
    for span in shown:
        parent = span.parent_span_id if span.parent_span_id in known else ""
        children[parent].append(span)
    out: list[Step] = []
    waiting = [(span, 0) for span in reversed(_settled(children[""]))]
    while waiting:
        span, depth = waiting.pop()
        below = children.get(span.span_id, [])
        out.append(Step(span, depth, bool(below) or span.layer in _CONTAINERS))
        waiting += [(child, depth + 1) for child in reversed(_settled(below))]
    return out


def _settled(siblings: list[AccountSpan]) -> list[AccountSpan]:
    """Siblings by their start; those that overlap by what they are, as chance decides which of them starts first."""
    out: list[AccountSpan] = []
    group: list[AccountSpan] = []
    until_ns = 0
    for span in sorted(siblings, key=lambda each: each.start_ns):
        if group and span.start_ns >= until_ns:
            out += sorted(group, key=_what)
            group = []
        group.append(span)
        until_ns = max(until_ns, span.end_ns)
    return out + sorted(group, key=_what)


def _what(span: AccountSpan) -> tuple[str, str, str]:
    return span.layer, span.tool or span.name, span.input_text


def _aligned(ours: list[Step], theirs: list[Step]) -> list[Pair]:
    pairs: list[Pair] = []
    for same, mine, yours in _blocks(ours, theirs, lambda step: step.exact):
        if same:
            pairs += map(_met, mine, yours)
            continue
        for alike, left, right in _blocks(mine, yours, lambda step: step.kind):
            if alike:
                pairs += map(_met, left, right)
            else:
                pairs += [Pair("only_a", step, None) for step in left]
                pairs += [Pair("only_b", None, step) for step in right]
    return pairs


def _blocks(
    ours: list[Step], theirs: list[Step], key: Callable[[Step], tuple[str, ...]]
) -> list[tuple[bool, list[Step], list[Step]]]:
    """Stretches that are equal by ``key``, and what lies between them."""
    matcher = SequenceMatcher(
        None, [key(step) for step in ours], [key(step) for step in theirs], autojunk=False
    )
    return [
        (tag == "equal", ours[a_from:a_to], theirs[b_from:b_to])
        for tag, a_from, a_to, b_from, b_to in matcher.get_opcodes()
    ]


def _met(a: Step, b: Step) -> Pair:
    if a.exact != b.exact:
        return Pair("changed", a, b)
    # What came of a container is a consequence of what is in it, or told at the top.
    told_below = a.is_container or b.is_container
    return Pair("same" if told_below or a.outcome == b.outcome else "result", a, b)
