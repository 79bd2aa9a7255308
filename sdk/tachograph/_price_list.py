"""What models cost, for budgets in dollars: by the user's own price list at the collector, then by ``genai-prices``.

The list is kept in ``TACHO_HOME`` and asked for in the background, once a minute at most and only while something is
counted in dollars: a call never waits for it. Without the collector the list last heard holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import (
    monotonic,
)  # not the one that agents read, which recordings for replay put in its place
from typing import TYPE_CHECKING, Any, Final

from tachograph._control import unrecorded
from tachograph._guard import guarded, say_rarely
from tachograph._waits import Background, Mutex
from tachograph_schemas.control import PRICES

if TYPE_CHECKING:
    from tachograph_schemas.control_client import ControlClient
    from tachograph_schemas.rates import UserPrice
    from tachograph_schemas.rows_costs import Rate

REFRESH_S: Final = 60.0
_ANSWER_S = 5.0
_MOST_NAMES = 1_000
"""Of models whose rates are remembered."""

_MOST_BYTES = 16 << 20
"""Of a kept list; a longer one is none of ours."""

_client: ControlClient | None = None
_kept: Path | None = None
_own: tuple[UserPrice, ...] = ()
_found: dict[tuple[str, str], list[Rate]] = {}
_lock = Mutex()
_next_s = 0.0
_is_asking = False


def connect(client: ControlClient | None, home: Path | None = None) -> None:
    """Take the list of this collector from now on; None: no list of the user's own."""
    global _client, _kept, _next_s
    _client, _next_s = client, 0.0
    _kept = home / f"prices-{client.identity}.json" if client and home else None
    _put(())
    with guarded("reading prices"):
        # A pipe of that name would be waited for.
        if _kept is not None and _kept.is_file() and _kept.stat().st_size <= _MOST_BYTES:
            _put(_read(json.loads(_kept.read_text(encoding="utf-8"))))


def rates(provider: str, model: str) -> list[Rate]:
    """The rates of a model in the order in which they are tried; empty when no list knows it. Never blocks."""
    want()
    # Both as they are now: a list that arrives meanwhile makes new ones.
    own, found = _own, _found
    known = found.get((provider, model))
    if known is None:
        from tachograph_schemas.rates import look_up

        known = look_up(provider, model, own).rates
        if not known:
            _say_without_list()
        if len(found) >= _MOST_NAMES:
            found.clear()
        found[(provider, model)] = known
    return known


def want() -> None:
    """Something is counted in dollars: ask for the list in the background when it is old."""
    global _next_s, _is_asking
    if _client is None or _is_asking or monotonic() < _next_s:
        return
    with guarded("asking for prices"), _lock:
        if _is_asking or monotonic() < _next_s:
            return
        # Here: what another thread imports at a fork, the child waits for without end when it comes to need it.
        from tachograph_schemas import rates  # noqa: F401

        _is_asking, _next_s = True, monotonic() + REFRESH_S
        Background(_ask, "tachograph-prices").start()


def _ask() -> None:
    global _is_asking
    try:
        client, kept = _client, _kept
        with guarded("asking for prices"), unrecorded():
            answer = client.call("GET", PRICES, timeout_s=_ANSWER_S) if client is not None else None
            if answer and client is _client:
                heard = _read(answer.data)
                if heard != _own:
                    _put(heard)
                    _keep(kept, answer.data)
    finally:
        _is_asking = False


def _put(prices: Iterable[UserPrice]) -> None:
    global _own, _found
    _own, _found = tuple(prices), {}


def _read(document: Mapping[str, Any]) -> tuple[UserPrice, ...]:
    from tachograph_schemas.rates import LATEST_S, MOST_USD, UserPrice

    usd = _within(float, MOST_USD)
    fields: Mapping[str, Callable[[Any], Any]] = {
        "model": str,
        "provider": str,
        "from_s": _within(int, LATEST_S),
        "input_usd": usd,
        "output_usd": usd,
        "cache_read_usd": usd,
        "cache_write_usd": usd,
        "cache_write_1h_usd": usd,
    }
    listed = document.get("prices", [])
    return tuple(
        UserPrice(**{key: read(each[key]) for key, read in fields.items()}) for each in listed
    )


def _within(kind: Callable[[Any], float], most: float) -> Callable[[Any], float]:
    def read(given: Any) -> float:
        found = kind(given)
        if not 0 <= found <= most:
            raise ValueError(f"{found} is not between 0 and {most:g}")
        return found

    return read


def _keep(path: Path | None, document: Mapping[str, Any]) -> None:
    if path is None:
        return
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"prices": document.get("prices", [])}), encoding="utf-8")
    draft.replace(path)


def _say_without_list() -> None:
    try:
        import genai_prices  # noqa: F401
    except ImportError:
        say_rarely(
            "prices",
            "tachograph: a budget in usd needs prices: pip install genai-prices (or tachograph[server])",
        )


def _after_fork() -> None:
    """The parent's thread is not the child's."""
    global _lock, _is_asking
    _lock, _is_asking = Mutex(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
