"""Another model in a fork: the agent's code asks for the one it knows, and what is sent names the other.

The tape keeps what the code asked, so that the fork replays with that code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from tachograph.replay._place import PLACE

_ASKS = ("messages", "input", "prompt", "contents")
"""A JSON body with ``model`` and one of these is a request to a model."""


def _instead() -> str:
    place = PLACE.get()
    return "" if place is None else place.engine.model_instead


def asks_a_model(body: Any) -> bool:
    """Whether a request's JSON body is one to a model."""
    return isinstance(body, dict) and "model" in body and any(key in body for key in _ASKS)


def with_model(kind: str, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of a decorated model call, with the other model when it takes one by the name ``model``."""
    instead = _instead() if kind == "model" else ""
    if not instead:
        return args, kwargs
    bound = inspect.signature(function).bind(*args, **kwargs)
    if "model" not in bound.signature.parameters:
        return args, kwargs
    bound.arguments["model"] = instead
    return bound.args, bound.kwargs


def swapped(module: Any, request: Any) -> Any:
    """A request of an httpx client with the other model in its body."""
    instead = _instead()
    if not instead:
        return request
    try:
        body = json.loads(request.content)
    except Exception:
        return request  # a body that is made while it is sent, or no JSON: no model's
    if not asks_a_model(body):
        return request
    headers = [
        (name, value)
        for name, value in request.headers.multi_items()
        if name.lower() != "content-length"
    ]
    content = json.dumps({**body, "model": instead}).encode()
    return module.Request(
        request.method,
        request.url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )
