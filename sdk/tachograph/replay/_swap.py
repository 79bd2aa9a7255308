"""Other arguments, or another model, in a fork: the agent's code asks for what it knows, and something else is sent.

The tape keeps what the code asked, so that the fork replays with that code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from tachograph.errors import Refused
from tachograph.replay._edits import Edit, EditError, applied
from tachograph.replay._place import PLACE

_ASKS = ("messages", "input", "prompt", "contents")
"""A JSON body with ``model`` and one of these is a request to a model."""


def _instead() -> str:
    place = PLACE.get()
    return "" if place is None else place.engine.model_instead


def _edits() -> tuple[Edit, ...]:
    place = PLACE.get()
    return () if place is None else place.edits


def asks_a_model(body: Any) -> bool:
    """Whether a request's JSON body is one to a model."""
    return isinstance(body, dict) and "model" in body and any(key in body for key in _ASKS)


def as_set(kind: str, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of a decorated call as the fork wants them; those of a model call with the other model, too.

    Raises:
        Refused: the call has no such place.
    """
    instead = _instead() if kind == "model" else ""
    edits = _edits() if kind != "http" else ()
    if not (instead or edits):
        return args, kwargs
    bound = inspect.signature(function).bind(*args, **kwargs)
    if instead and "model" in bound.signature.parameters:
        bound.arguments["model"] = instead
    if edits:
        _edit(bound, edits)
    return bound.args, bound.kwargs


def _edit(bound: inspect.BoundArguments, edits: tuple[Edit, ...]) -> None:
    """Change arguments by their names, those of ``**options`` among them."""
    bound.apply_defaults()
    parameters = bound.signature.parameters.values()
    rest = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)
    given = dict(bound.arguments)
    options = given.pop(rest) if rest is not None else {}
    changed = _applied({**given, **options}, edits)
    bound.arguments.update({name: changed.pop(name) for name in given})
    if rest is not None:
        bound.arguments[rest] = changed


def _applied(arguments: dict[str, Any], edits: tuple[Edit, ...]) -> dict[str, Any]:
    try:
        return applied(arguments, edits)
    except EditError as error:
        raise Refused("the fork", f"--set {error}") from error


def swapped(module: Any, request: Any, *, is_effect: bool) -> Any:
    """A request of an httpx client as the fork wants it. ``is_effect``: it is a step of its own, and no part of one."""
    instead, edits = _instead(), _edits() if is_effect else ()
    if not (instead or edits):
        return request
    try:
        body = json.loads(request.content)
    except Exception:
        body = None  # a body that is made while it is sent, or no JSON: no model's
    changed = {"method": request.method, "url": str(request.url), "body": body}
    if instead and asks_a_model(body):
        changed["body"] = {**body, "model": instead}
    if edits:
        changed = _applied(changed, edits)
    if changed == {"method": request.method, "url": str(request.url), "body": body}:
        return request
    headers = [
        (name, value)
        for name, value in request.headers.multi_items()
        if name.lower() != "content-length"
    ]
    content = request.content if changed["body"] == body else json.dumps(changed["body"]).encode()
    return module.Request(
        changed["method"],
        changed["url"],
        headers=headers,
        content=content,
        extensions=request.extensions,
    )
