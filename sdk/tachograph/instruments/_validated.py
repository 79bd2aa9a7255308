"""What a validation by pydantic found, as a record: which fields, by which rule, within the capture policy."""

from __future__ import annotations

from typing import Any

from tachograph._facts import begin
from tachograph._failure import safe_text, type_name
from tachograph_schemas import names

MOST_ERRORS = 20
"""Errors that are recorded one by one; a list of a thousand bad rows says the same thousand times."""


def record_validation(check: str, error: BaseException | None) -> None:
    """Record that data passed (``error`` is None) or what was wrong with it."""
    facts = {
        names.VALIDATION_CHECK: check,
        names.VALIDATION_KIND: "schema",
        names.VALIDATION_VERDICT: "pass" if error is None else "fail",
    }
    handle = begin("validation", check, facts)
    if error is not None and handle.recording:
        found = problems(error)
        count = len(found) if found else 1
        fields = ", ".join(dict.fromkeys(each["field"] for each in found))
        # The library's words for a rule; its messages may quote the data, so they are payload.
        rules = "; ".join(f"{each['field']}: {each['type']}" for each in found[:MOST_ERRORS])
        said = rules or type_name(error)
        handle.set(
            {
                names.VALIDATION_FIELD: safe_text(fields, 512) or None,
                names.REASON: safe_text(f"{count} error{'s' if count > 1 else ''}: {said}", 2_048),
            }
        )
        handle.set_input(found[:MOST_ERRORS] or [{"message": safe_text(error)}])
    handle.end()


def problems(error: BaseException) -> list[dict[str, Any]]:
    """The errors of a ``ValidationError``: field path, type, message, the value found; else none."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return []
    try:
        found = errors(include_url=False, include_context=False)
    except TypeError:
        # Another library's error, with a method of that name.
        return []
    return [
        {
            "field": ".".join(str(step) for step in each.get("loc", ())) or "(root)",
            "type": str(each.get("type")),
            "message": each.get("msg"),
            "found": each.get("input"),
        }
        for each in found
        if isinstance(each, dict)
    ]
