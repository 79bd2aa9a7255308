"""Text that compresses as real text does: made-up words drawn by Zipf's law, always the same for a seed."""

from __future__ import annotations

import itertools
import random

WORDS = 6000
SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]


def _vocabulary() -> tuple[list[str], list[float]]:
    dice = random.Random(20_060_606)
    made: dict[str, None] = {}
    while len(made) < WORDS:
        # Frequent words are short, as in every language.
        longest = 1 + min(3, len(made) // 100)
        made["".join(dice.choices(SYLLABLES, k=dice.randint(1, longest)))] = None
    weights = itertools.accumulate(1 / (rank + 2.7) for rank in range(WORDS))
    return list(made), list(weights)


_MADE, _WEIGHTS = _vocabulary()


def text(dice: random.Random, size_bytes: int) -> str:
    """Exactly ``size_bytes`` of ASCII words."""
    words = dice.choices(_MADE, cum_weights=_WEIGHTS, k=size_bytes // 3 + 1)
    return " ".join(words)[:size_bytes].ljust(size_bytes, ".")
