"""What ``tacho doctor`` asks the running parts: collector, storage, dashboard."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tachograph.cli.check import Check
from tachograph.cli.connection import (
    Place,
    find_place,
    is_server,
    reading,
    same_address,
    without_secret,
)
from tachograph.cli.problem import Problem
from tachograph_schemas import words
from tachograph_schemas.instance import Instance

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_TIMEOUT_S = 3
_SILENT_S = 24 * 3600


def collector(endpoint: str, api_key: str, instance: Instance | None) -> list[Check]:
    """Whether the collector that the SDK would send to answers, and is ready."""
    name = "Collector"
    base = endpoint.rstrip("/").removesuffix("/v1/traces")
    shown = without_secret(base)
    status, text = get(f"{base}/healthz", api_key)
    if status is None:
        other = ""
        if instance is not None and not same_address(base, instance.collector):
            other = f" A collector runs at {instance.collector}: unset TACHO_ENDPOINT or set it to that."
        todo = other.strip() or "Start one with `tacho up`, or set TACHO_ENDPOINT to where it runs."
        return [Check(name, "fail", f"nothing answers at {shown} ({text})", todo)]
    if status in {401, 403}:
        return [
            Check(name, "fail", f"{shown} refuses the API key", "Set TACHO_API_KEY to a valid key.")
        ]
    if status != 200:
        return [
            Check(
                name,
                "fail",
                f"{shown} answered {status} to /healthz",
                "Is another program on that port?",
            )
        ]
    checks = [Check(name, "ok", f"answers at {shown}")]
    status, text = get(f"{base}/readyz", api_key)
    if status == 200:
        checks.append(Check(name, "ok", f"ready{_backlog(text)}"))
    else:
        checks.append(
            Check(
                name,
                "warn",
                f"not ready: {_trouble(text)}",
                "Look at its log; what arrives is kept.",
            )
        )
    return checks


def _state(text: str) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _backlog(text: str) -> str:
    waiting = _state(text).get("unstored_bytes")
    return (
        f", {waiting:,} bytes on their way into the storage"
        if isinstance(waiting, int) and waiting
        else ""
    )


def _trouble(text: str) -> str:
    state = _state(text)
    return (
        words.excerpt(str(state.get("trouble") or state.get("status") or text), 200)
        or "no reason given"
    )


def storage() -> list[Check]:
    """Whether the runs can be read, whether the tables are those of this version, when the last span came."""
    try:
        place = find_place()
    except Problem as problem:
        what, _, todo = str(problem).partition(". ")
        return [Check("Storage", "fail", what, todo)]
    try:
        with reading() as client:
            return [Check("Storage", "ok", _where(place)), _schema(client), _last_span(client)]
    except Problem as problem:
        what, _, todo = str(problem).partition(". ")
        return [Check("Storage", "fail", what, todo)]


def _where(place: Place) -> str:
    return f"{'gateway' if place.instance else 'ClickHouse server'} at {place.shown} answers"


def _schema(client: Client) -> Check:
    from tachograph_schemas import queries, store

    there = queries.schema_version(client)
    here = store.migrations()[-1].number
    if there == here:
        return Check("Tables", "ok", f"schema {there}, as this version wants it")
    if there > here:
        return Check(
            "Tables",
            "fail",
            f"schema {there} is of a later version (this one knows {here})",
            "Upgrade tachograph.",
        )
    return Check(
        "Tables",
        "warn",
        f"schema {there} is older than this version's {here}",
        "Restart the collector: it migrates.",
    )


def _last_span(client: Client) -> Check:
    from tachograph_schemas import queries

    newest = queries.runs(client, queries.RunFilter(), queries.RunPage(limit=20))
    if not newest:
        return Check(
            "Last span",
            "warn",
            "no run is recorded yet",
            "Record one: `tacho demo`, or see `tacho runs`.",
        )
    last = max(row.last_seen_at for row in newest)
    aware = last if last.tzinfo is not None else last.replace(tzinfo=UTC)
    now = datetime.now(UTC)
    said = f"received {words.ago(aware, now)}, at {words.moment(aware)}"
    if (now - aware).total_seconds() > _SILENT_S:
        return Check(
            "Last span",
            "warn",
            said,
            "If agents ran since, check their TACHO_ENDPOINT and TACHO_DISABLED.",
        )
    return Check("Last span", "ok", said)


def dashboard(instance: Instance | None, clickhouse: str) -> list[Check]:
    """Whether the dashboard that the running collector announces answers."""
    if instance is None:
        return (
            []
            if is_server(clickhouse)
            else [Check("Dashboard", "warn", "not running", "`tacho up` starts it.")]
        )
    if instance.dashboard is None:
        return [Check("Dashboard", "ok", "not started (`tacho up --no-dashboard`)")]
    status, text = get(f"{instance.dashboard.rstrip('/')}/_stcore/health", "")
    if status == 200:
        return [Check("Dashboard", "ok", f"answers at {instance.dashboard}")]
    why = f"answered {status}" if status else text
    return [
        Check(
            "Dashboard",
            "fail",
            f"{instance.dashboard} does not answer ({why})",
            "Restart `tacho up`; see dashboard.log in TACHO_HOME.",
        )
    ]


def get(url: str, api_key: str) -> tuple[int | None, str]:
    """The status and body of a GET; no status and the reason when nothing answers. Blocks 3 s at most."""
    if not is_server(url):
        return None, "no http:// or https:// address"
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    # No proxy of the environment may stand between this machine and its own ports.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}) if _is_local(url) else urllib.request.ProxyHandler()
    )
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return int(answer.status), answer.read(65_536).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(65_536).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return None, words.excerpt(str(getattr(error, "reason", error)), 120)


def _is_local(url: str) -> bool:
    return same_address(url.split("//", 1)[1].split("/", 1)[0].rsplit(":", 1)[0], "127.0.0.1")
