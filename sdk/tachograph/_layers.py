"""Facts of the harness as plain calls: each makes one span of its layer and returns what was decided.

None of them raises for what it was given (but see ``stop``): a mistake is logged and the rest recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NoReturn, get_args

from tachograph._facts import begin, json_text, misused, one_of, record
from tachograph._failure import safe_text
from tachograph._frame import frame_of
from tachograph._given import amount, listed, number, truth
from tachograph._guard import guarded
from tachograph.errors import RunStopped
from tachograph_schemas import names

Risk = Literal["low", "medium", "high", "critical"]
StopKind = Literal["missing_data", "conflicting_records", "low_confidence", "policy", "approval"]
Check = Literal["schema", "semantic", "range", "consistency", "verification"]
Refusal = Literal["unknown", "out_of_scope"]
_NONE: Final[list[Any]] = []
"""Told apart from what an agent gives by identity: its containers may have truth values of their own."""


def tool_refused(
    tool: str,
    *,
    why: Refusal = "unknown",
    arguments: Any = None,
    offered: Iterable[str] = (),
    scope: str | None = None,
    call_id: str | None = None,
    reason: str = "",
) -> None:
    """Record a call that a model asked for and that was not made.

    Args:
        tool: The tool's name, as the model gave it.
        why: ``unknown``: there is no such tool, the model made it up; ``out_of_scope``: there is, and this
            agent may not use it.
        arguments: What it was to be called with; frozen as JSON.
        offered: The names of the tools that the model was shown.
        scope: The permission that was missing: ``contracts:renew``.
        call_id: The id the model gave the call.
        reason: What the model was told, in a sentence.
    """
    with guarded("recording a refused call"):
        shown, refusal = listed(offered), one_of("tool_refused", "why", why, get_args(Refusal))
        handle = begin(
            "tool",
            tool,
            {
                names.GEN_AI_OPERATION_NAME: "execute_tool",
                names.GEN_AI_TOOL_NAME: tool,
                names.GEN_AI_TOOL_CALL_ID: call_id,
                names.TOOL_REFUSAL: refusal,
                names.TOOL_OFFERED: json_text(shown) if shown else None,
                names.TOOL_SCOPE: scope,
                names.REASON: reason,
                names.ERROR_TYPE: "OutOfScope" if refusal == "out_of_scope" else "UnknownTool",
            },
        )
        if arguments is not None:
            handle.set_input(arguments)
        handle.end()


def validate(
    check: str,
    ok: bool,
    *,
    kind: Check = "schema",
    field: str | None = None,
    message: str = "",
    value: Any = None,
    by: str | None = None,
) -> bool:
    """Record the result of a check and return it: ``if not tacho.validate("total", total > 0): ...``.

    Args:
        check: The check's name.
        ok: Whether it passed.
        kind: ``verification`` is a verdict by somebody independent of the agent.
        field: Which field of the answer was checked.
        message: What is wrong when it fails, in a sentence.
        value: What was found there; frozen as JSON.
        by: Who judged, when it was not the agent's own code.
    """
    answer = truth(ok)
    if answer is None:
        misused("validate", "ok is neither true nor false; the check counts as failed")
    passed = bool(answer)
    handle = begin(
        "validation",
        check,
        {
            names.VALIDATION_CHECK: check,
            names.VALIDATION_KIND: one_of("validate", "kind", kind, get_args(Check)),
            names.VALIDATION_VERDICT: "pass" if passed else "fail",
            names.VALIDATION_FIELD: field,
            names.VALIDATION_BY: by,
            names.REASON: "" if passed else message,
        },
    )
    if value is not None:
        handle.set_input(value)
    handle.end()
    return passed


def checkpoint(
    label: str,
    *,
    done: Iterable[Any] = (),
    in_flight: Iterable[Any] = _NONE,
    todo: Iterable[Any] = (),
    lost: Iterable[Any] = _NONE,
    action: Literal["saved", "restored"] = "saved",
) -> None:
    """Record that the agent's progress was saved or restored.

    Lists, tuples, sets and the like; iterators are noted by their type and left to the agent.

    Args:
        label: The checkpoint's name.
        done: What is done.
        in_flight: What was begun and not confirmed: it may or may not have happened.
        todo: What is left.
        lost: On ``restored``: what was done after the checkpoint and must be done again.
        action: ``saved`` or ``restored``.
    """
    handle = begin(
        "checkpoint",
        label,
        {
            names.CHECKPOINT_LABEL: label,
            names.CHECKPOINT_ACTION: one_of("checkpoint", "action", action, ("saved", "restored")),
            names.CHECKPOINT_LOST: None if lost is _NONE else amount(lost),
        },
    )
    # As they are: an iterator is the agent's to consume, and may never end.
    state = {"done": done, "in_flight": in_flight, "todo": todo, "lost": lost}
    handle.set_input({key: what for key, what in state.items() if what is not _NONE})
    handle.end()


def record_stop(rule: str, reason: str, *, kind: StopKind | None, needs: str) -> None:
    """The record of a stop, without the stop."""
    record(
        "stop",
        rule,
        {
            names.STOP_RULE: rule,
            names.STOP_KIND: one_of("stop", "kind", kind, get_args(StopKind)),
            names.REASON: reason,
            names.STOP_NEEDS: needs,
        },
    )


def stop(rule: str, reason: str, *, kind: StopKind | None = None, needs: str = "") -> NoReturn:
    """Stop the run on purpose: missing data, conflicting records, too much risk.

    Args:
        rule: The stop rule's name.
        reason: Why, in a sentence.
        kind: ``missing_data conflicting_records low_confidence policy approval`` (nobody has allowed it yet).
        needs: What a person needs in order to take over.

    Raises:
        RunStopped: always. Let it escape the run, which is then recorded as stopped, not failed.
    """
    record_stop(rule, reason, kind=kind, needs=needs)
    raise RunStopped(safe_text(rule), safe_text(reason), needs=safe_text(needs))


def handoff(to: str, *, reason: str = "", payload: Any = None) -> None:
    """Record that work was handed to ``to``: another agent, a team, a person."""
    handle = begin(
        "handoff",
        to,
        {names.HANDOFF_FROM: frame_of().agent, names.HANDOFF_TO: to, names.REASON: reason},
    )
    if payload is not None:
        handle.set_input(payload)
    handle.end()


def breaker_event(name: str, from_state: str, to_state: str, reason: str = "") -> None:
    """Record that the circuit breaker ``name`` changed its state: ``closed``, ``open``, ``half_open``."""
    states = [
        safe_text(state, 64).lower().replace("-", "_").replace(" ", "_")
        for state in (from_state, to_state)
    ]
    _breaker(name, "opened" if states[1] == "open" else states[1], reason, states=states)


def breaker_refused(name: str, call: str = "", *, reason: str = "") -> None:
    """Record that the circuit breaker ``name`` was open, so that ``call`` was not made."""
    _breaker(name, "refused", reason, call=call)


def _breaker(
    name: str,
    event: str,
    reason: str,
    *,
    states: Sequence[str | None] = (None, None),
    call: str = "",
) -> None:
    record(
        "breaker",
        name,
        {
            names.BREAKER_NAME: name,
            names.BREAKER_EVENT: event,
            names.BREAKER_FROM: states[0],
            names.BREAKER_TO: states[1],
            names.BREAKER_REFUSED: call,
            names.REASON: reason,
        },
    )


def retry_event(
    of: str, attempt: int, error: BaseException | None = None, wait_s: float | None = None
) -> None:
    """Record that a call failed and will be tried again.

    Args:
        of: What is retried: a tool's or a model's name.
        attempt: The attempt that failed, counted from 1.
        error: Why it failed.
        wait_s: Seconds until the next attempt.
    """
    waiting_s = number(wait_s)
    handle = begin(
        "retry",
        of,
        {
            names.RETRY_OF: of,
            names.RETRY_ATTEMPT: attempt,
            names.RETRY_WAIT_MS: None if waiting_s is None else waiting_s * 1_000,
        },
    )
    if issubclass(type(error), BaseException):
        handle.record_cause(error)  # type: ignore[arg-type]  # as was just seen
    elif error is not None:
        handle.set({names.REASON: safe_text(error)})
    handle.end()


def fallback_event(
    from_: str, to: str, reason: str = "", *, reduced: str = "", told: str = ""
) -> None:
    """Record that ``to`` stood in for ``from_``.

    Args:
        from_: What was not available: a model, a source.
        to: What was used in its place: another one, a cached answer.
        reason: Why, in a sentence.
        reduced: What the stand-in cannot do: ``"prices are from yesterday"``.
        told: What the user was told about it.
    """
    record(
        "fallback",
        to,
        {
            names.FALLBACK_FROM: from_,
            names.FALLBACK_TO: to,
            names.FALLBACK_REDUCED: reduced,
            names.FALLBACK_TOLD: told,
            names.REASON: reason,
        },
    )


def evaluate(
    name: str,
    *,
    score: float | None = None,
    label: str | None = None,
    explanation: str = "",
    case: str | None = None,
    expected: Any = None,
    actual: Any = None,
) -> None:
    """Record a judgement of the agent's work by the evaluation ``name``.

    Args:
        name: The evaluation's name.
        score: A number; higher is better.
        label: The judgement in a word: ``pass``, ``fail``.
        explanation: Why, in a sentence.
        case: The case of a test set that was judged.
        expected: What the case asks for; frozen as JSON.
        actual: What the agent gave; frozen as JSON.
    """
    handle = begin(
        "eval",
        name,
        {
            names.EVAL_NAME: name,
            names.EVAL_SCORE: score,
            names.EVAL_LABEL: label,
            names.EVAL_EXPLANATION: explanation,
            names.EVAL_CASE: case,
        },
    )
    if expected is not None:
        handle.set_input(expected)
    if actual is not None:
        handle.set_output(actual)
    handle.end()
