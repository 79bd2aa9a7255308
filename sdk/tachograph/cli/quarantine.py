"""``tacho doctor`` on the quarantine: what was set aside and why, and putting it through again."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tachograph.cli.check import Check
from tachograph.cli.checks_services import _is_local, get
from tachograph.cli.connection import is_server
from tachograph_schemas import words
from tachograph_schemas.quarantine import DIRECTORY, RETRY, found_in, move_back

_TIMEOUT_S = 10
_PATIENCE_S = 20.0
_PAUSE_S = 0.2
_NAME = "Quarantine"


def state(folder: Path, endpoint: str, api_key: str) -> dict[str, Any]:
    """What is in quarantine, as the collector at ``endpoint`` says, else by the files under ``folder``.

    Blocks on the network for a few seconds at most.
    """
    status, text = get(f"{_base(endpoint)}/api/v1/quarantine", api_key)
    if status == 200:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict) and "bodies" in found:
            return found
    # In this order: a body that comes back meanwhile would else be in neither of the two.
    waiting = len(found_in(folder / DIRECTORY / RETRY))
    bodies = found_in(folder / DIRECTORY)
    return {
        "bodies": len(bodies),
        "bytes": sum(body.bytes for body in bodies),
        "newest_reason": bodies[-1].reason if bodies else "",
        "path": str(folder / DIRECTORY),
        "retrying": waiting,
    }


def checks(folder: Path, endpoint: str, api_key: str) -> list[Check]:
    """Whether anything is set aside: count, bytes, the newest reason, and where."""
    found = state(folder, endpoint, api_key)
    waiting = found.get("retrying") or 0
    out = []
    if found["bodies"]:
        what = _bodies(int(found["bodies"]))
        reason = words.excerpt(str(found["newest_reason"]) or "no reason is noted", 200)
        said = f"{what}, {found['bytes']:,} bytes, in {found['path']}; the newest: {reason}"
        todo = "After an upgrade or a repair: tacho doctor --retry-quarantine"
        out.append(Check(_NAME, "warn", said, todo))
    if waiting:
        said = (
            f"{_bodies(int(waiting))} to be tried again, at once or at the collector's next start"
        )
        out.append(Check(_NAME, "ok", said))
    return out or [Check(_NAME, "ok", "empty: everything that came could be stored")]


def retry(folder: Path, endpoint: str, api_key: str) -> dict[str, Any]:
    """Put everything through again, and wait for a running collector's verdict for some seconds.

    Returns:
        ``retried``; ``when``, ``now`` or ``next start``; ``came_back``, how many failed again (``None`` while that
        is not known); ``problem``, empty when all went well.
    """
    status, text = _post(f"{_base(endpoint)}/api/v1/quarantine/retry", api_key)
    if status is None:
        try:
            moved = move_back(folder / DIRECTORY)
        except OSError as error:
            return _outcome(0, "next start", None, f"{folder / DIRECTORY}: {error}")
        return _outcome(moved, "next start", None)
    if status != 200:
        return _outcome(0, "now", None, f"the collector answered {status}: {text[:200]}")
    moved = int(json.loads(text)["retried"])
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = state(folder, endpoint, api_key)
        if not found.get("retrying"):
            return _outcome(moved, "now", int(found["bodies"]))
        # Another process works on it: there is nothing here to wait on but its answer.
        time.sleep(_PAUSE_S)
    return _outcome(moved, "now", None)


def sentence(outcome: dict[str, Any]) -> str:
    """What :func:`retry` did, in words."""
    if outcome["problem"]:
        return f"The quarantine could not be tried again: {outcome['problem']}"
    what = _bodies(outcome["retried"])
    if not outcome["retried"]:
        return "The quarantine is empty: nothing to try again."
    if outcome["when"] == "next start":
        return f"No collector answers: {what} will be tried again when it starts."
    if outcome["came_back"] is None:
        return f"{what} are being tried again; `tacho doctor` says which came back."
    if outcome["came_back"]:
        return f"{what} tried again, {outcome['came_back']} came back; `tacho doctor` says why."
    return f"{what} tried again, and stored."


def _outcome(retried: int, when: str, came_back: int | None, problem: str = "") -> dict[str, Any]:
    return {"retried": retried, "when": when, "came_back": came_back, "problem": problem}


def _bodies(count: int) -> str:
    return "1 body" if count == 1 else f"{count:,} bodies"


def _base(endpoint: str) -> str:
    return endpoint.rstrip("/").removesuffix("/v1/traces")


def _post(url: str, api_key: str) -> tuple[int | None, str]:
    """The status and body of a POST without content; no status when nothing answers."""
    if not is_server(url):
        return None, ""
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    proxies = urllib.request.ProxyHandler({}) if _is_local(url) else urllib.request.ProxyHandler()
    request = urllib.request.Request(url, b"{}", headers)  # noqa: S310
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=_TIMEOUT_S) as answer:
            return int(answer.status), answer.read(65_536).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(65_536).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None, ""
