"""A call's arguments by parameter name, cheaply, and options that are read from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tachograph._failure import MESSAGE_LIMIT_CHARS, not_recorded, safe_text, type_name
from tachograph._guard import pass_on, say_rarely
from tachograph._moment import for_a_moment

_RECEIVERS = ("self", "cls", "mcs")


@dataclass(frozen=True, slots=True)
class Arg:
    """An option that takes the value of a parameter of the decorated function. See :func:`arg`."""

    name: str


def arg(name: str) -> Arg:
    """Use the parameter ``name`` of the call as this option: ``@tacho.run(goal=tacho.arg("task"))``."""
    return Arg(name)


Option = str | Arg | Callable[[Mapping[str, Any]], object] | None
"""A text, :func:`arg`, or a function of the bound arguments (one mapping, by parameter name)."""


def resolve(option: Option, arguments: Mapping[str, Any], *, say: bool = False) -> str | None:
    """The text of an option for one call; None when it has none, or when its function fails.

    ``say``: the text then says that it could not be recorded (a goal, not an id). Nothing that the
    function raises goes further, but for what arrived from outside while it ran.
    """
    if option is None or type(option) is str:
        return option and option[:MESSAGE_LIMIT_CHARS]
    try:
        if type(option) is Arg:
            value: object = for_a_moment(arguments.get, option.name)
        else:
            # Typed as a text, but an id given as a number is not worth losing the record for.
            value = for_a_moment(option, arguments) if callable(option) else option
    except BaseException as error:
        pass_on(error)
        # The user's own function, so no fault of ours to be loud about in tests.
        say_rarely(
            "option",
            "tachograph: the function of an option raised %s; the record goes without",
            type_name(error),
        )
        return not_recorded(error) if say else None
    return None if value is None else safe_text(value)


class Binder:
    """Binds arguments of one function; made once, at decoration."""

    def __init__(self, function: Callable[..., Any], *, bound_first: bool = False) -> None:
        self._signature: inspect.Signature | None
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None
            parameters: list[inspect.Parameter] = []
        else:
            parameters = list(self._signature.parameters.values())
        self._drop = _receiver(function, parameters, bound_first=bound_first)
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
        self._positional = tuple(p.name for p in parameters if p.kind in plain)
        keyword = tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        self._known = len(self._positional) + len(keyword) == len(parameters)
        self._names = self._positional + keyword
        plainly = self._signature is not None and self._known and not keyword and not self._drop
        self.plain = self._positional if plainly else None
        """The parameters, if a call that fills them all by position is bound by pairing the two up."""
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, defaults included, without ``self``; never raises."""
        if self._signature is None:
            return {"args": list(args), **kwargs} if args else dict(kwargs)
        if self._known and len(args) <= len(self._positional):
            return self._bind_plain(args, kwargs)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            # The call itself is about to fail with the same message; record what was given.
            return {"args": list(args), **kwargs}
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        if self._drop:
            arguments.pop(self._drop, None)
        return arguments

    def _bind_plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(self._positional, args, strict=False))
        if kwargs or len(given) < len(self._names):
            defaults = self._defaults
            # In the order of the signature, which is how a reader knows the function.
            for name in self._names:
                if name in kwargs:
                    given[name] = kwargs[name]
                elif name not in given and name in defaults:
                    given[name] = defaults[name]
            for name in kwargs.keys() - given.keys():
                given[name] = kwargs[name]
        if self._drop:
            given.pop(self._drop, None)
        return given


def _receiver(
    function: Callable[..., Any], parameters: list[inspect.Parameter], *, bound_first: bool
) -> str | None:
    """The parameter that is the object or class itself: of no use in a record."""
    if not parameters:
        return None
    first = parameters[0].name
    if bound_first:
        return first
    owner = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = bool(owner) and not owner.endswith("<locals>")
    return first if in_class and first in _RECEIVERS else None
