"""The only way from the pages to the collector's control API.

Functions block until the answer is there and raise :class:`ControlError` with a sentence when there is none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tachograph_dashboard.cache import TimedCache
from tachograph_schemas.control import APPROVALS, DRIFT, ORDERS, REPLAYS, Answer
from tachograph_schemas.control_client import ControlClient
from tachograph_schemas.settings import DEFAULT_ENDPOINT

PAGE_ROWS = 50
_FRESH_S = 1.0
_TIMEOUT_S = 5.0
WAITING = ("pending",)
SETTLED = ("approved", "refused", "expired")

_lists: TimedCache[Mapping[str, Any]] = TimedCache(_FRESH_S, 32)
_replays: TimedCache[Mapping[str, Any]] = TimedCache(_FRESH_S, 64)


class ControlError(Exception):
    """The collector does not answer, or refuses. ``conflict``: somebody else was faster."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status
        """The HTTP status; 0 when nobody answered."""

    @property
    def was_changed(self) -> bool:
        """Whether somebody else has changed it since it was looked at."""
        return self.status == 412


def listed(statuses: tuple[str, ...], page: int) -> Mapping[str, Any]:
    """One page of requests, counted from 1, without their arguments; and how many there are."""
    query = {"status": statuses, "limit": PAGE_ROWS, "offset": (page - 1) * PAGE_ROWS}
    return _lists.get((statuses, page), lambda: call("GET", APPROVALS, query=query))


def request(approval_id: str) -> Mapping[str, Any] | None:
    """One request, whole; ``None`` when there is none."""
    if not approval_id.isalnum():
        return None
    try:
        # A page asks twice: for what it shows, and in the part that looks for news.
        return _lists.get(("one", approval_id), lambda: call("GET", f"{APPROVALS}/{approval_id}"))
    except ControlError as error:
        if error.status in {404, 422}:
            return None
        raise


def decide(found: Mapping[str, Any], decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """Decide on what was shown: on exactly these arguments."""
    body = {"params_hash": found["params_hash"], **decision}
    try:
        return call("POST", f"{APPROVALS}/{found['id']}/decision", body)
    finally:
        forget()


def drift_alarms(state: str) -> list[Mapping[str, Any]]:
    """The alarms of a state, ``open`` or ``acknowledged``, the newest first."""
    query = {"state": state}
    found = _lists.get(("drift", state), lambda: call("GET", f"{DRIFT}/alarms", query=query))
    return list(found["alarms"])


def drift_agents(agent: str = "") -> list[Mapping[str, Any]]:
    """How each agent is watched; one alone with pictures."""
    return list(_drift_watch(agent)["agents"])


def drift_behind_s() -> float:
    """For how long no run could be compared, seconds; 0 when all is well."""
    return float(_drift_watch("").get("behind_s", 0))  # older collectors do not say it


def _drift_watch(agent: str) -> Mapping[str, Any]:
    query = {"agent": agent}
    return _lists.get(("drift agents", agent), lambda: call("GET", f"{DRIFT}/agents", query=query))


def drift_guards(agent: str = "") -> list[Mapping[str, Any]]:
    """Each new version of an agent, or of all, against the one before it; the newest first."""
    query = {"agent": agent}
    found = _lists.get(("guards", agent), lambda: call("GET", f"{DRIFT}/guards", query=query))
    return list(found["guards"])


def acknowledge(alarm_id: str, said: Mapping[str, Any]) -> None:
    """End an alarm of drift."""
    try:
        call("POST", f"{DRIFT}/alarms/{alarm_id}/ack", said)
    finally:
        forget()


def replays(run_id: str) -> list[Mapping[str, Any]]:
    """Replays and forks of a run, and what made it when it is a fork; the newest first."""
    query = {"run_id": run_id, "limit": PAGE_ROWS}
    return list(_replays.get(run_id, lambda: call("GET", REPLAYS, query=query))["replays"])


def sweeps() -> list[Mapping[str, Any]]:
    """What came of many replays at once, the newest first."""
    return list(_lists.get(("sweeps",), lambda: call("GET", f"{REPLAYS}/sweeps"))["sweeps"])


def ask_replay(run_id: str) -> None:
    """Ask a worker to replay a run."""
    try:
        call("POST", REPLAYS, {"run_id": run_id, "kind": "replay"})
    finally:
        forget()


def orders() -> list[Mapping[str, Any]]:
    """What is paused or stopped, the oldest first."""
    return list(_lists.get(("orders",), lambda: call("GET", ORDERS))["orders"])


def give_order(order: Mapping[str, Any]) -> None:
    """Pause or stop an agent, a run or everything."""
    try:
        call("POST", ORDERS, order)
    finally:
        forget()


def end_orders(aim: Mapping[str, Any]) -> None:
    """Take back what is ordered for exactly this scope and target."""
    try:
        call("POST", f"{ORDERS}/end", aim)
    finally:
        forget()


def is_up() -> bool:
    """Whether the collector answers at all, be it with a refusal."""
    try:
        orders()
    except ControlError as error:
        return error.status != 0
    return True


def forget() -> None:
    """Ask again for what is shown."""
    _lists.clear()
    _replays.clear()


def call(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Mapping[str, Any]:
    """One call, and what it answers."""
    # Set by `serve` from the settings; pages run in threads of the same process.
    endpoint = os.environ.get("TACHO_ENDPOINT") or DEFAULT_ENDPOINT
    client = _client(endpoint, os.environ.get("TACHO_API_KEY", ""))
    answer: Answer = client.call(method, path, body, query=query, timeout_s=timeout_s)
    if not answer:
        raise ControlError(answer.why, answer.status)
    return answer.data


@lru_cache(maxsize=4)
def _client(endpoint: str, api_key: str) -> ControlClient:
    """Kept: to make one takes as long as to ask."""
    return ControlClient(endpoint, api_key)
