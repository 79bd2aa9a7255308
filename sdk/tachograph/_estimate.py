"""What a model call may use at most, as far as its request tells: what budgets hold before it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tachograph import _prices


class Estimate(NamedTuple):
    """What a model call may use at most, as far as its request tells."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    provider: str = ""


_FILE_BYTES = 6_000
_IN_BASE64 = re.compile(r"[\w+/=:;,.-]{500}", re.ASCII)
"""How a picture or file begins. A text of a language without spaces, or JSON, does not."""
_BYTES_PER_TOKEN = 3
"""Fewer than there are in nearly any text, so that the estimate is rather too high."""
_UNSAID_OUTPUT_TOKENS = 256
"""What the first answer is taken for where no request limits it; those after it for the largest so far."""
_MOST_OUTPUT = ("max_tokens", "max_output_tokens", "max_completion_tokens")


def tokens_in(size_bytes: int) -> int:
    """How many tokens a text or JSON of this size is at most, nearly always."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def size_of(request: Any) -> int:
    """How many bytes of text a model is sent; pictures and files that lie in it are taken for a few pages."""
    if isinstance(request, str):
        return (
            _FILE_BYTES
            if len(request) > _FILE_BYTES and _IN_BASE64.match(request)
            else len(request.encode("utf-8", "replace"))
        )
    if isinstance(request, Mapping):
        return sum(len(str(key)) + 6 + size_of(value) for key, value in request.items())
    if isinstance(request, list | tuple):
        return sum(size_of(each) for each in request)
    return 8


def most_tokens(request: Mapping[str, Any]) -> int:
    """How much a request allows the model to answer, tokens; 0 when it does not say."""
    said = (request.get(name) for name in _MOST_OUTPUT)
    return max((number for number in said if type(number) is int and number > 0), default=0)


def needs_of(estimate: Estimate, *, usd: bool) -> dict[str, float]:
    """What a call may use at most by what its request says, by unit; dollars only where they are wanted."""
    output_tokens = estimate.output_tokens
    if not output_tokens and estimate.model:
        output_tokens = _UNSAID_OUTPUT_TOKENS
    needs = {"tokens": float(estimate.input_tokens + output_tokens), "usd": 0.0}
    if estimate.model and usd:
        usage = _prices.Usage(estimate.input_tokens, output_tokens)
        needs["usd"] = _prices.estimated_usd(estimate.model, estimate.provider or None, usage)
    return needs


def presumed_of(estimate: Estimate) -> dict[str, float]:
    """What a call of a model that is not named is taken to use until one has shown it, by unit."""
    output_tokens = estimate.output_tokens or _UNSAID_OUTPUT_TOKENS
    usage = _prices.Usage(estimate.input_tokens, output_tokens)
    return {
        "tokens": float(estimate.input_tokens + output_tokens),
        "usd": _prices.presumed_usd(usage),
    }
