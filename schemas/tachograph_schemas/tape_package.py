"""A recording as those read it who only pass it on: everything is checked, and little of it is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tachograph_schemas.tapes import (
    LIMIT_BYTES,
    SPANS_MEMBER,
    TAPE_MEMBER,
    Members,
    Values,
    damage_told,
    named,
    parsed,
    records_of,
)


@dataclass(frozen=True, slots=True)
class Package:
    """A recording of which everything was checked, and nothing but its tape is held in memory."""

    first: dict[str, Any]
    """What its first record says, which is of the run."""
    end: dict[str, Any]
    """What its last record of an end says; empty when it has none."""
    effects: int
    tape: bytes
    blobs: Mapping[str, str]
    """Texts of JSON by name, unpacked whenever one is asked for."""
    size_bytes: int
    """Unpacked."""


def checked(data: bytes, limit_bytes: int = LIMIT_BYTES) -> Package:
    """The same checks as :func:`tapes.opened`, without holding what it says, for those who only pass it on.

    Raises:
        PackageError: see there.
    """
    with damage_told():
        members = Members(data, limit_bytes)
        first: dict[str, Any] = {}
        end: dict[str, Any] = {}
        effects, size_bytes, names, counted = 0, 0, [], Values()
        for name, text in members:
            size_bytes += len(text)
            if name == SPANS_MEMBER:
                continue
            counted.take(text)
            if name != TAPE_MEMBER:
                names.append(named(name, text))
                parsed(text)
        tape = members.read(TAPE_MEMBER)
        for record in records_of(tape):
            first = first or record
            end = record if record.get("t") == "end" else end
            effects += record.get("t") == "call"
    return Package(first, end, effects, tape, _Blobs(members, names), size_bytes)


class _Blobs(Mapping[str, str]):
    """The payloads of a package, unpacked one at a time."""

    def __init__(self, members: Members, names: list[str]) -> None:
        self._members = members
        self._names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        return self._members.read(f"blobs/{name}.json").decode("ascii")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
