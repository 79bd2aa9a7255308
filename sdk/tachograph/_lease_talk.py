"""What this process and the collector can say to each other about shares of budgets."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from tachograph_schemas.control import MOST_NAME

_MOST: Final = 1e24
"""More than any account can have been charged; no number beyond it is one."""


def makes_sense(given: Any, said: list[dict[str, Any]]) -> bool:
    """Whether an answer is one about these leases; whatever else answers is no collector of ours."""
    if not isinstance(given, list) or len(given) != len(said):
        return False
    return all(
        isinstance(each, dict)
        and each.get("lease") == asked["lease"]
        and all(_is_amount(each.get(name)) for name in ("granted", "used", "spent", "expires_s"))
        for each, asked in zip(given, said, strict=True)
    )


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST


def as_account(key: str) -> str:
    """``key``, or where it is longer than a name of an account may be, its beginning and a hash of all of it."""
    if len(key) <= MOST_NAME:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{key[: MOST_NAME - 17]}~{digest}"
