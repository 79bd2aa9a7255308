"""What a batch of spans holds, so that its insert looks for nothing else.

A statement that understands every client costs each span the look-ups of all of them, and the engine a fifth of
a second to plan. But one installation's spans come from one or two clients. So the insert is made for a *shape*:
the fields (:data:`.sources.FIELDS`) and peculiarities of the batches seen so far. It refuses a batch that holds
more, whole and before anything is stored; then the engine is asked what that batch holds (``shape.sql``), the
shape grows, and the insert is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tachograph_schemas import sources

OUTGROWN: Final = "this batch holds more than its insert was made for"
"""In the engine's message when a batch does not fit the shape of its insert."""

PECULIARITIES: Final = (
    "calls",  # model calls
    "flat",  # messages spread over attributes
    "spoken",  # messages as span events
    "exception",  # exceptions as span events
    "tool_output",  # outputs of tools as span events
    "family",  # scopes whose undotted attributes are known
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of fields and peculiarities that a batch may hold."""

    holds: frozenset[str] = frozenset()

    def grown(self, row: Sequence[Sequence[int]]) -> Shape:
        """This shape and that of a batch: ``row`` is the answer to ``shape.sql``."""
        fields = [name for name in sources.FIELDS if sources.field_number(name) in row[0]]
        peculiar = [name for name, held in zip(PECULIARITIES, row[1], strict=True) if held]
        return Shape(self.holds.union(fields, peculiar))


EVERYTHING: Final = Shape(frozenset((*sources.FIELDS, *PECULIARITIES)))
"""The shape that any batch fits."""


def insert_growing(
    shape: Shape, insert: Callable[[Shape], None], ask: Callable[[], Sequence[Sequence[int]]]
) -> Shape:
    """Insert a batch; returns the shape that it took, ``shape`` or a grown one.

    Args:
        shape: of the batches before.
        insert: inserts the batch with the statement for a shape.
        ask: the answer to ``shape.sql`` over the batch.
    """
    try:
        insert(shape)
    except Exception as error:
        if OUTGROWN not in str(error):
            raise
        shape = shape.grown(ask())
        insert(shape)
    return shape
