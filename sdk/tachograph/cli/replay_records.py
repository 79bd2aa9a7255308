"""What was replayed or forked is put down with the collector, so that the run's page can list it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tachograph.cli.control_api import client
from tachograph.cli.problem import Problem
from tachograph_schemas.control import REPLAYS

_TIMEOUT_S = 3.0


def remember(run_id: str, kind: str, options: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Put one down. Without a collector nothing is put down: the replay has happened all the same."""
    body = {"run_id": run_id, "kind": kind, "options": dict(options), "result": dict(result)}
    with suppress(OSError, KeyError):
        body["actor"] = getpass.getuser()
    with suppress(Problem):
        client().call("POST", f"{REPLAYS}/done", body, timeout_s=_TIMEOUT_S)


def replay_result(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a replay: the verdict and the first difference, without payloads."""
    found = answer["divergence"]
    kept = ("kind", "message", "step", "name", "path", "where")
    return {
        "identical": answer["identical"],
        "effects": answer["effects"],
        "divergence": None
        if found is None
        else {name: str(found[name])[:500] if name != "step" else found[name] for name in kept},
    }
