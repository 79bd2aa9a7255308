"""Decorators of what an agent reaches out with: models, tools, effects, retrieval, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, overload

from opentelemetry.trace import SpanKind

from tachograph._binding import Option, resolve
from tachograph._consent import ApprovalPolicy, consenting
from tachograph._decorators import Aliases, F, capture_policy, simple
from tachograph._facts import one_of, price
from tachograph._failure import safe_text
from tachograph._given import text
from tachograph._policy import Capture
from tachograph_schemas import names

Risk = Literal["low", "medium", "high", "critical"]
Effect = Literal["read", "write"]
Tier = Literal["short", "medium", "long"]


def _varies(option: Option) -> bool:
    """Whether an option is read from the arguments of each call."""
    return not (option is None or issubclass(type(option), str))


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    risk: Risk | None = None,
    effect: Effect | None = None,
    scope: str | None = None,
    call_id: Option = None,
    cost_usd: float | None = None,
    approval: bool | ApprovalPolicy = False,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    risk: Risk | None = None,
    effect: Effect | None = None,
    scope: str | None = None,
    call_id: Option = None,
    cost_usd: float | None = None,
    approval: bool | ApprovalPolicy = False,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a tool call.

    Args:
        function: The function, when used without parentheses.
        name: The tool's name as the model knows it; default: the function's.
        risk: ``low medium high critical``.
        effect: ``write`` when a call changes the world (see also :func:`effect`), ``read`` when it only
            looks; left out, the record says that its effect is not declared.
        scope: The permission it needs, a verb and an object: ``orders:read``.
        call_id: The id the model gave the call; a text, ``tacho.arg(...)`` or a function of the
            bound arguments.
        cost_usd: What each call costs, US dollars; what is known only afterwards says :func:`tacho.cost`.
        approval: Ask a person before each call: True, or an :class:`ApprovalPolicy` that says how.
        aliases: How the function was called before, so that recordings made under that name still replay.
        capture_input: Record the arguments: True, False, or ``full preview hash none``.
        capture_output: Record the result, likewise.

    The decorated function raises BudgetExceeded instead of running when a budget is used up, and Refused when
    a person has to allow the call and did not. A person may change the arguments that it runs with.
    """
    danger = one_of("tool", "risk", risk, get_args(Risk))
    impact = one_of("tool", "effect", effect, get_args(Effect))
    price_usd = price("tool", cost_usd)
    fixed = (danger, impact, text(scope), price_usd)
    return simple(
        "tool",
        function,
        (capture_input, capture_output),
        _tool_facts(call_id, dict(zip(_TOOL_FACTS, fixed, strict=True))),
        name=name,
        varies=_varies(call_id),
        consent=consenting(approval, danger, capture_policy(capture_input)),
        cost_usd=price_usd or 0.0,
        aliases=aliases,
    )


_TOOL_FACTS = (names.TOOL_RISK, names.TOOL_EFFECT, names.TOOL_SCOPE, names.COST_USD)


def _tool_facts(
    call_id: Option, fixed: Mapping[str, Any]
) -> Callable[[str, Mapping[str, Any]], tuple[str, dict[str, Any]]]:
    def describe(label: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return f"execute_tool {label}", {
            names.GEN_AI_OPERATION_NAME: "execute_tool",
            names.GEN_AI_TOOL_NAME: label,
            names.GEN_AI_TOOL_TYPE: "function",
            names.GEN_AI_TOOL_CALL_ID: resolve(call_id, given),
            **fixed,
        }

    return describe


@overload
def effect(function: F, /) -> F: ...
@overload
def effect(
    *,
    name: str | None = None,
    risk: Risk | None = None,
    scope: str | None = None,
    call_id: Option = None,
    cost_usd: float | None = None,
    approval: bool | ApprovalPolicy = False,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def effect(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    risk: Risk | None = None,
    scope: str | None = None,
    call_id: Option = None,
    cost_usd: float | None = None,
    approval: bool | ApprovalPolicy = False,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """A tool that changes the world: :func:`tool` with ``effect="write"``."""
    decorator: Callable[[Any], Any] = tool(
        name=name,
        risk=risk,
        effect="write",
        scope=scope,
        call_id=call_id,
        cost_usd=cost_usd,
        approval=approval,
        aliases=aliases,
        capture_input=capture_input,
        capture_output=capture_output,
    )
    return decorator if function is None else decorator(function)


@overload
def model(function: F, /) -> F: ...
@overload
def model(
    *,
    name: str | None = None,
    provider: str | None = None,
    model: Option = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def model(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    provider: str | None = None,
    model: Option = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a model call, for clients that ``tacho.instrument`` does not know.

    Args:
        function: The function, when used without parentheses.
        name: The span's name, when ``chat MODEL`` will not do.
        provider: Who answers: ``openai``, ``anthropic``, ``mistral_ai`` ...
        model: The model asked for; a text, ``tacho.arg("model")`` or a function of the arguments.
        aliases: How the function was called before, so that recordings made under that name still replay.
        capture_input: Record the arguments: True, False, or ``full preview hash none``.
        capture_output: Record the result, likewise.

    The decorated function raises BudgetExceeded instead of running when a budget is used up.
    """
    wanted, answering, label_given = model, text(provider), text(name)

    def describe(label: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        asked = resolve(wanted, given)
        return label_given or f"chat {asked or label}", {
            names.GEN_AI_OPERATION_NAME: "chat",
            names.GEN_AI_PROVIDER_NAME: answering,
            names.GEN_AI_REQUEST_MODEL: asked,
        }

    captured = (capture_input, capture_output)
    return simple(
        "model",
        function,
        captured,
        describe,
        name=name,
        kind=SpanKind.CLIENT,
        varies=_varies(wanted),
        aliases=aliases,
    )


@overload
def retrieval(function: F, /) -> F: ...
@overload
def retrieval(
    *,
    name: str | None = None,
    store: str | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def retrieval(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    store: str | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a retrieval from ``store`` (an index, a database, a collection). ``aliases``: see :func:`tool`."""
    source, label_given = text(store), text(name)

    def describe(label: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        query = given.get("query")
        return label_given or f"retrieval {source or label}", {
            names.GEN_AI_OPERATION_NAME: "retrieval",
            names.GEN_AI_DATA_SOURCE_ID: source,
            names.GEN_AI_RETRIEVAL_QUERY_TEXT: safe_text(query)
            if issubclass(type(query), str)
            else None,
        }

    captured = (capture_input, capture_output)
    return simple(
        "retrieval", function, captured, describe, name=name, varies=True, aliases=aliases
    )


@overload
def memory(function: F, /) -> F: ...
@overload
def memory(
    *,
    name: str | None = None,
    operation: Effect | None = None,
    tier: Tier | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def memory(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    operation: Effect | None = None,
    tier: Tier | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a read or a write of the agent's memory.

    Args:
        function: The function, when used without parentheses.
        name: The span's name; default: the function's.
        operation: ``read`` or ``write``.
        tier: ``short`` (this session), ``medium`` (this task) or ``long`` (across sessions).
        aliases: How the function was called before, so that recordings made under that name still replay.
        capture_input: Record the arguments: True, False, or ``full preview hash none``.
        capture_output: Record the result, likewise.
    """
    conventional = {"read": "search_memory", "write": "upsert_memory"}
    access = one_of("memory", "operation", operation, get_args(Effect))
    reach = one_of("memory", "tier", tier, get_args(Tier))

    def describe(label: str, _: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return label, {
            names.GEN_AI_OPERATION_NAME: conventional.get(access or ""),
            names.MEMORY_OPERATION: access,
            names.MEMORY_TIER: reach,
        }

    captured = (capture_input, capture_output)
    return simple("memory", function, captured, describe, name=name, aliases=aliases)
