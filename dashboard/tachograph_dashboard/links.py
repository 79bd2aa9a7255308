"""Signed links for the routes that serve bulk data beside the pages.

A page signs what its reader may see and the route serves nothing else, so the decision is made in one
place. A link lives for one to two hours; within an hour it is the same text, so that the browser's own
cache answers a reload.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer

Purpose = Literal["tree", "export", "span"]
HOUR_S = 3600
# Links die with the process: a restart asks the reader to load the page again.
_signer = URLSafeSerializer(secrets.token_hex(32), salt="tachograph-dashboard")


class LinkRefusedError(Exception):
    """The link is not ours, is for something else, or has expired."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a link gives access to."""

    purpose: Purpose
    project: str
    run_id: str
    version: int
    """Changes with the run; part of the address, so that a cached answer is never a stale one."""
    span_id: str = ""


def link(target: Target, now_s: float | None = None) -> str:
    """The path of ``target``, usable for at least an hour from now."""
    hours = int((time.time() if now_s is None else now_s) // HOUR_S)
    token = _signer.dumps(
        [target.purpose, target.project, target.run_id, target.version, target.span_id, hours + 2]
    )
    return f"/data/{target.purpose}/{token}"


def read(token: str, purpose: Purpose, now_s: float | None = None) -> Target:
    """What ``token`` gives access to.

    Raises:
        LinkRefusedError: see there.
    """
    try:
        said, project, run_id, version, span_id, until_hour = _signer.loads(token)
    except (BadData, ValueError, TypeError) as error:
        raise LinkRefusedError("not a link of this dashboard") from error
    now = time.time() if now_s is None else now_s
    if said != purpose or now >= until_hour * HOUR_S:
        raise LinkRefusedError("expired")
    return Target(purpose, project, run_id, version, span_id)
