"""Other arguments for live calls of a fork: ``--set '4.args.model="large"'``, ``--set '4.messages[0].content+="Be brief."'``.

They are put below the effect, like another model: the tape keeps what the code asked, so the fork replays with the code as
it is. The agent's own objects are not changed.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from tachograph_schemas import tapes

_SETTING = re.compile(
    r"([0-9]{1,9})\.(args|messages)((?:\.[\w-]+|\[-?[0-9]{1,9}\])*)(\+?=)(.*)", re.DOTALL
)
_PART = re.compile(r"\.([\w-]+)|\[(-?[0-9]+)\]")
_SHARED = (type, ModuleType, FunctionType, MethodType)
"""What a copy of an object has in common with all others."""


class EditError(ValueError):
    """An edit cannot be understood, or does not fit the call; the message says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One value that a live call gets instead of its own."""

    step: int
    of: str
    """``args``, or ``messages`` for the list of messages wherever the call has it."""
    path: tuple[str | int, ...]
    value: Any
    adds: bool = False
    """Whether the value is put behind the one that is there."""

    @property
    def place(self) -> str:
        """As it was written, without the value."""
        parts = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.path)
        return f"{self.step}.{self.of}{''.join(parts)}"

    def as_list(self) -> list[Any]:
        """For JSON; see :func:`from_lists`."""
        return [self.step, self.of, list(self.path), self.value, self.adds]


def from_lists(given: Sequence[Sequence[Any]]) -> dict[int, tuple[Edit, ...]]:
    """Edits by step."""
    found: dict[int, tuple[Edit, ...]] = {}
    for step, of, path, value, adds in given:
        edit = Edit(step, of, tuple(path), value, adds)
        found[step] = (*found.get(step, ()), edit)
    return found


def parse(text: str) -> Edit | None:
    """An edit as it is written on the command line; None when it is about something else.

    Raises:
        EditError: what stands behind the sign is no JSON.
    """
    found = _SETTING.fullmatch(text)
    if found is None:
        return None
    step, of, path, sign, said = found.groups()
    parts = tuple(int(index) if index else name for name, index in _PART.findall(path))
    if of == "args" and (not parts or isinstance(parts[0], int)):
        raise EditError("args takes the name of an argument: STEP.args.NAME")
    try:
        value = tapes.parsed(said.encode())
    except ValueError as error:
        hint = (
            ""
            if said[:1] in '[{"'
            else f" A text is written in quotation marks: {json.dumps(said)}"
        )
        raise EditError(f"{said[:80]} is no JSON: {error}.{hint}") from error
    return Edit(int(step), of, parts, value, sign == "+=")


def applied(arguments: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """Arguments by name with the edits in them; what is edited is copied first.

    Raises:
        EditError: there is no such place, or a value that nothing can be put behind.
    """
    out, copied = dict(arguments), set()
    for edit in edits:
        path = _whole_path(out, edit)
        holder: Any = out
        if path[0] not in copied and len(path) > 1:
            out[str(path[0])] = _copy(out[str(path[0])], edit)
            copied.add(path[0])
        for part in path[:-1]:
            holder = _at(holder, part, edit)
        _put(holder, path[-1], edit)
    return out


def _whole_path(arguments: Mapping[str, Any], edit: Edit) -> tuple[str | int, ...]:
    """From the call's arguments on. Of a request, what is not an argument of it is looked for in its body."""
    body = arguments.get("body")
    within = body if isinstance(body, dict) and {"method", "url"} <= arguments.keys() else None
    if edit.of == "args":
        name = edit.path[0]
        if name in arguments:
            return edit.path
        if within is not None:
            return ("body", *edit.path)
        raise EditError(f"{edit.place}: there is no such argument; there is {_listed(arguments)}")
    if within is not None:
        return ("body", _messages_in(within, edit), *edit.path)
    return (_messages_in(arguments, edit), *edit.path)


def _messages_in(holder: Mapping[str, Any], edit: Edit) -> str:
    if "messages" in holder:
        return "messages"
    for name, value in holder.items():
        if isinstance(value, list) and value and all(_is_message(each) for each in value):
            return name
    raise EditError(f"{edit.place}: the call has no messages; it has {_listed(holder)}")


def _is_message(value: Any) -> bool:
    return "role" in value if isinstance(value, dict) else hasattr(value, "role")


def _copy(value: Any, edit: Edit) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:  # the object's own code
        raise EditError(f"{edit.place}: {_kind(value)} cannot be copied: {error}") from error


def _at(holder: Any, part: str | int, edit: Edit) -> Any:
    try:
        if isinstance(holder, (dict, list)):
            return holder[part]  # type: ignore[index]  # whichever fits; else it is said
        found = getattr(holder, _field(part))
    except Exception:  # a property may raise anything
        raise EditError(f"{edit.place}: there is no {part!r} in {_kind(holder)}") from None
    if isinstance(found, _SHARED):
        raise EditError(f"{edit.place}: {part!r} of {_kind(holder)} is no value of its own")
    return found


def _field(part: str | int) -> str:
    """The name of a field: what begins with an underscore leads to what objects share."""
    name = str(part)
    if name.startswith("_"):
        raise AttributeError(name)
    return name


def _put(holder: Any, part: str | int, edit: Edit) -> None:
    value = edit.value
    if edit.adds:
        before = _at(holder, part, edit)
        try:
            value = before + value
        except TypeError:
            raise EditError(
                f"{edit.place}+=: {_kind(value)} cannot be put behind {_kind(before)}"
            ) from None
    try:
        if isinstance(holder, (dict, list)):
            holder[part] = value  # type: ignore[index]  # whichever fits
        else:
            setattr(holder, _field(part), value)
    except Exception:  # the object's own code
        raise EditError(f"{edit.place}: {part!r} cannot be set in {_kind(holder)}") from None


def _kind(value: Any) -> str:
    return f"{type(value).__name__}" + (f" of {_listed(value)}" if isinstance(value, dict) else "")


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(str, names)) or "none"
