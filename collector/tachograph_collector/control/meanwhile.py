"""Two people who change one thing at the same time: the second is told, if they say which version they have seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tachograph_schemas import words

Seen = Annotated[int | None, Field(ge=0, le=1 << 31)]
"""The version that somebody has looked at before they changed it; 0: there was none; null: they do not say."""


class ChangedError(Exception):
    """It is not what they have seen any more; the message says who has changed it, and when."""


def check(what: str, seen: int | None, version: int, by: str, at_ns: int) -> None:
    """Whether a change may be made to ``what``, which is of this version now (0: there is none).

    To be called in the transaction that makes it, which must end then.

    Raises:
        ChangedError: whoever makes the change has seen another version.
    """
    if seen is None or seen == version:
        return
    if not version:
        raise ChangedError(f"{what} was removed meanwhile.")
    did = "was changed meanwhile" if seen else "is there already"
    who = f"{words.excerpt(by, 200) or 'somebody'}, {words.moment_ns(at_ns)}"
    raise ChangedError(f"{what} {did}: by {who}.")
