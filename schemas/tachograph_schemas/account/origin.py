"""What started the run: the task, the trigger, for whom, with which code, when."""

from __future__ import annotations

from tachograph_schemas import words
from tachograph_schemas.account import payload
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.timeline import Timeline, label
from tachograph_schemas.rows import RunRow

_TRIGGERS = {
    "cli": "Started from the command line",
    "call": "Started by a call from code",
    "http": "Started by an HTTP request",
    "schedule": "Started by a schedule",
}

_TELLING = 5
"""Longer values that stand inside the task are not given again; short ones stand in many texts."""


def goal(view: Timeline) -> str:
    """The task in one display-safe line: as declared, else as first asked; empty when unknown."""
    run = view.run
    if run.goal:
        return words.excerpt(run.goal, 400)
    said = payload.task(run.input) if run.input else ""
    if said:
        return said
    for span in view.spans[:50]:
        if span.layer in {"agent", "run", "model", "step"} and span.input_text:
            said = payload.task(span.input_text)
            if said:
                return said
    return ""


def started_by(run: RunRow) -> str:
    """``Started by an HTTP request``; the trigger in the author's words where it is none we know."""
    if not run.trigger:
        return "What started it is not recorded"
    return _TRIGGERS.get(run.trigger, f"Started by {label(run.trigger)}")


def opening(view: Timeline) -> Line:
    """The first sentence of the story."""
    run = view.run
    asked = goal(view)
    agent = f"The agent {label(run.agent)} was started" if run.agent else "The run was started"
    by = f" ({label(run.trigger)})" if run.trigger else ""
    short = words.excerpt(asked, 200)
    text = f"{agent}{by}: “{short}”" if asked else f"{agent}{by}"
    detail = asked if asked != short else ""
    return Line(text, "run", "plain", run.root_span_id, 0, detail=detail)


def trigger(view: Timeline) -> list[Line]:
    """The answer to: what triggered it?"""
    run = view.run
    root = run.root_span_id
    asked = goal(view)
    where = f", in {words.excerpt(run.entrypoint, 120)}" if run.entrypoint else ""
    lines = [
        Line(f"{started_by(run)}{where}", "run", "plain", root, 0),
        Line(f"The task: “{asked}”" if asked else "The task is not recorded", "run", "plain", root),
    ]
    given = _input(view, asked)
    if given:
        lines.append(Line(f"It was given {given}", "run", "plain", root))
    people = [
        f"{noun} {label(value)}"
        for noun, value in (
            ("customer", run.customer),
            ("user", run.user_id),
            ("session", run.session_id),
        )
        if value
    ]
    lines.append(
        Line(
            f"On behalf of {words.joined(people)}" if people else "For whom it ran is not recorded",
            "run",
        )
    )
    lines.append(Line(_which_code(run), "run"))
    lines.append(Line(f"Started at {words.moment(run.started_at)}", "run"))
    if run.tags:
        lines.append(Line(f"Tagged {words.joined([label(tag) for tag in run.tags[:12]])}", "run"))
    return lines


def _input(view: Timeline, asked: str) -> str:
    """The arguments, without those that the other lines tell."""
    run = view.run
    value = payload.parse(run.input) if run.input else None
    if not isinstance(value, dict) or "messages" in value:
        return ""
    if len(value) == 1 and isinstance(only := next(iter(value.values())), dict):
        value = only
    told = {run.goal, run.customer, run.user_id, run.session_id, asked}
    left = {
        key: given
        for key, given in value.items()
        if given is not None and not _is_told(given, told)
    }
    return payload.arguments(left, 300)


def _is_told(given: object, told: set[str]) -> bool:
    """Whether a value stands in one of the other lines, the task maybe with words around it."""
    if not isinstance(given, str):
        return False
    said = words.excerpt(given, 400)
    return (
        said == "" or said in told or (len(said) > _TELLING and any(said in each for each in told))
    )


def _which_code(run: RunRow) -> str:
    version = f" version {label(run.version)}" if run.version else ""
    name = f"The agent {label(run.agent)}{version}" if run.agent else f"An agent{version}"
    service = (
        f" in the service {label(run.service)}" if run.service and run.service != run.agent else ""
    )
    commit = f", code {words.excerpt(run.code_version, 20)}" if run.code_version else ""
    unsaid = "" if run.version or run.code_version else "; its version is not recorded"
    return f"{name}{service}{commit}{unsaid}"
