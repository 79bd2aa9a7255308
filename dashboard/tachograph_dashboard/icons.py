"""The shapes of the dashboard, once: one per harness layer, one per outcome, and what a reader calls them.

Colour is never alone: each layer has a shape of its own, each outcome a shape and a word. Paths are drawn
on 16 by 16 and filled by the even-odd rule.
"""

from __future__ import annotations

from typing import Final

from tachograph_schemas.names import Layer, Outcome

LAYER_PATHS: Final[dict[Layer, str]] = {
    "run": "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm0 1.9a4.6 4.6 0 1 1 0 9.2 4.6 4.6 0 0 1 0-9.2Z"
    "m0 2.7a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8Z",
    "agent": "M8 1.6 13.6 4.8v6.4L8 14.4 2.4 11.2V4.8Z",
    "step": "M3.2 2.8h4.6L12.8 8l-5 5.2H3.2L8.2 8Z",
    "normalize": "M1.8 2.4h12.4L9.7 8.2v5.6l-3.4-1.9V8.2Z",
    "context": "M2 2.6h12v2.6H2Zm0 4.1h8.2v2.6H2Zm0 4.1h10.4v2.6H2Z",
    "model": "M8 1.2 9.7 6.3 14.8 8 9.7 9.7 8 14.8 6.3 9.7 1.2 8 6.3 6.3Z",
    "tool": "M10.9 1.7a4 4 0 0 0-4.8 5.2L1.9 11.1a1.9 1.9 0 0 0 2.9 2.9l4.2-4.2a4 4 0 0 0 5.2-4.8"
    "l-2.4 2.3-2.4-.7-.7-2.4Z",
    "retrieval": "M6.9 1.6a5.3 5.3 0 1 0 3 9.7l3.1 3.1 1.5-1.5-3.1-3.1a5.3 5.3 0 0 0-4.5-8.2Z"
    "m0 2.1a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4Z",
    "memory": "M8 1.5 14.5 4.7 8 7.9 1.5 4.7ZM1.5 8 8 11.2 14.5 8v3.3L8 14.5 1.5 11.3Z",
    "gate": "M8 1.3 13.6 3.4v4.1c0 3.5-2.3 6-5.6 7.2C4.7 13.5 2.4 11 2.4 7.5V3.4Z",
    "validation": "M6.3 13 1.6 8.3l1.9-1.9 2.8 2.8 6.2-6.2 1.9 1.9Z",
    "repair": "M3 8a5 5 0 0 1 8.7-3.4L13.3 3v4.6H8.7l1.6-1.6A3 3 0 1 0 11 8h2A5 5 0 1 1 3 8Z",
    "breaker": "M9.6 1.2 2.9 9.1h4.2L6.1 14.8l7-8.3H8.7Z",
    "retry": "M4 4.2h6.1L8.7 2.8l1.3-1.3 3.6 3.6-3.6 3.6-1.3-1.3 1.4-1.4H5.8v2.2H4Z"
    "M12 11.8H5.9l1.4 1.4L6 14.5l-3.6-3.6L6 7.3l1.3 1.3L5.9 10h4.3V7.8H12Z",
    "fallback": "M2.6 1.9h2.1v5.7a1.5 1.5 0 0 0 1.5 1.5h3.9L8.2 7.2l1.4-1.4 4.3 4.3"
    "-4.3 4.3-1.4-1.4 1.9-1.9H6.2a3.6 3.6 0 0 1-3.6-3.6Z",
    "approval": "M8 8a3.1 3.1 0 1 0 0-6.2A3.1 3.1 0 0 0 8 8Zm0 1.3c-3.1 0-5.6 1.6-5.6 3.6v1.3"
    "h11.2v-1.3c0-2-2.5-3.6-5.6-3.6Z",
    "checkpoint": "M3 1.4h1.9v1.2h8.6l-2.2 3.1 2.2 3.1H4.9v5.8H3Z",
    "budget": "M1.4 12.2a6.6 6.6 0 0 1 13.2 0Zm5.7-1 4.2-4.5-5.5 2.9Z",
    "stop": "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2Zm-.8 5.5v2h7.2V7Z",
    "handoff": "M1.5 6.9h6.3L5.6 4.7 7 3.3 11.7 8 7 12.7l-1.4-1.4 2.2-2.2H1.5Zm11.1-4.4h1.9v11"
    "h-1.9Z",
    "eval": "M2 9h3v5H2Zm4.5-3.8h3V14h-3ZM11 2h3v12h-3Z",
    "other": "M8 4.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8Z",
}

LAYER_WORDS: Final[dict[Layer, str]] = {
    "run": "run",
    "agent": "agent",
    "step": "step",
    "normalize": "input cleaning",
    "context": "context",
    "model": "model call",
    "tool": "tool call",
    "retrieval": "retrieval",
    "memory": "memory",
    "gate": "gate",
    "validation": "validation",
    "repair": "repair",
    "breaker": "circuit breaker",
    "retry": "retry",
    "fallback": "fallback",
    "approval": "approval",
    "checkpoint": "checkpoint",
    "budget": "budget",
    "stop": "stop",
    "handoff": "handoff",
    "eval": "evaluation",
    "other": "other",
}

OUTCOME_WORDS: Final[dict[Outcome, str]] = {
    "running": "Running",
    "success": "Succeeded",
    "failure": "Failed",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
}

_DISC = "M8 1.3a6.7 6.7 0 1 0 0 13.4A6.7 6.7 0 0 0 8 1.3Z"

OUTCOME_PATHS: Final[dict[Outcome, str]] = {
    "running": "M8 1.3a6.7 6.7 0 1 0 6.7 6.7h-2.1A4.6 4.6 0 1 1 8 3.4Z",
    "success": _DISC + "M7 11.3 3.9 8.2l1.4-1.4L7 8.5l3.9-3.9L12.3 6Z",
    "failure": _DISC + "M5.7 4.3 8 6.6l2.3-2.3 1.4 1.4L9.4 8l2.3 2.3-1.4 1.4L8 9.4l-2.3 2.3"
    "-1.4-1.4L6.6 8 4.3 5.7Z",
    "stopped": _DISC + "M5.4 5.4h5.2v5.2H5.4Z",
    "interrupted": _DISC + "M7 4h2v5H7Zm0 6.2h2v2H7Z",
}

OUTCOME_TONES: Final[dict[Outcome, str]] = {
    "running": "live",
    "success": "good",
    "failure": "bad",
    "stopped": "warn",
    "interrupted": "bad",
}
