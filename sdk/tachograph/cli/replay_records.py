"""What was replayed or forked is put down with the collector, so that the run's page can list it."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tachograph.cli.control_api import client
from tachograph.cli.problem import Problem
from tachograph_schemas.control import REPLAYS

_TIMEOUT_S = 10.0
"""As for all other calls: a collector that is merely busy is to know of the replay."""


class Memory:
    """Puts down many of one sweep. A collector that does not answer once is not asked again. Safe between threads."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """``options``: what all of them have in common."""
        self.sweep = secrets.token_hex(8)
        self._options = dict(options)
        self.answers = True
        """Whether the collector has taken everything so far."""

    def replay(self, run_id: str, result: Mapping[str, Any]) -> None:
        """One of the replays."""
        self.answers = self.answers and remember(
            run_id, "replay", {"sweep": self.sweep, **self._options}, result
        )

    def summary(self, options: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """What came of all."""
        self.answers = self.answers and remember(
            self.sweep, "sweep", {**self._options, **options}, result
        )


def remember(run_id: str, kind: str, options: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Put one down; whether it was. Without a collector it is not: the replay has happened all the same."""
    body = {"run_id": run_id, "kind": kind, "options": dict(options), "result": dict(result)}
    with suppress(OSError, KeyError):
        body["actor"] = getpass.getuser()
    try:
        return bool(client().call("POST", f"{REPLAYS}/done", body, timeout_s=_TIMEOUT_S))
    except Problem:
        return False


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
