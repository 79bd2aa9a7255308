"""Deciding by link: the page, what it asks for, and the making of links."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from tachograph_collector.control.access import Access, Name, Sentence, actor
from tachograph_collector.control.api_approvals import Hash, Id
from tachograph_collector.control.approvals import ConflictError, NotAllowedError
from tachograph_collector.control.links import PAGE, LinkError, Links, NoAddressError
from tachograph_collector.keys import Caller
from tachograph_schemas.control import APPROVALS

_MOST_LIFETIME_S = 30 * 86_400.0
_SHOWN = ("action", "agent", "risk", "reason", "params", "params_hash", "context", "expires_ns")


class Wanted(BaseModel):
    """For whom a pair of links is."""

    model_config = ConfigDict(extra="forbid")

    approver: Annotated[Name, Field(min_length=1)]
    """Whose decision it will be, in the record."""
    lifetime_s: Annotated[float, Field(gt=0, le=_MOST_LIFETIME_S, allow_inf_nan=False)] = (
        _MOST_LIFETIME_S
    )
    """No longer than the request's own time."""


class Held(BaseModel):
    """A link's secret."""

    model_config = ConfigDict(extra="forbid")

    token: Name


class Confirmed(Held):
    """A link's secret, and what its holder has seen and says."""

    params_hash: Hash
    reason: Sentence = ""


def add_links(api: FastAPI, links: Links, access: Access) -> None:
    """Add the making of links, the page, and the two calls that the page makes."""
    deciding = Depends(access.needs("operate"))

    @api.post(APPROVALS + "/{approval_id}/links")
    def make(approval_id: Id, wanted: Wanted, caller: Caller = deciding) -> dict[str, Any]:
        """Two links for one person, to approve and to refuse. 409 when this collector has no address."""
        with _explained():
            pair = links.make(
                approval_id,
                caller.project,
                wanted.approver.strip() or caller.name,
                maker_key=caller.key,
                maker=actor("", caller),
                lifetime_s=wanted.lifetime_s,
            )
        if pair is None:
            raise HTTPException(404, "There is no such request in this project.")
        return asdict(pair)

    _add_page(api, links)


def _add_page(api: FastAPI, links: Links) -> None:
    page, policy = _page()

    @api.get(PAGE, response_class=HTMLResponse)
    def show() -> HTMLResponse:
        """The page behind every link. It is the same for all: opening one says and changes nothing."""
        return HTMLResponse(page, headers=policy)

    @api.post(PAGE + "/look")
    def look(held: Held, request: Request) -> dict[str, Any]:
        """What a link decides on."""
        _refuse_other_pages(request, links.base_url)
        with _explained():
            found = links.look(held.token)
        asked = {name: found["request"][name] for name in _SHOWN}
        return {"decision": found["decision"], "approver": found["approver"], "request": asked}

    @api.post(PAGE)
    def decide(confirmed: Confirmed, request: Request) -> dict[str, Any]:
        """Decide as the link says. 410 when it opens nothing any more, 409 when it is decided already."""
        _refuse_other_pages(request, links.base_url)
        with _explained():
            found = links.spend(confirmed.token, confirmed.params_hash, confirmed.reason)
        return {"status": found["status"]}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What is wrong, as an answer."""
    try:
        yield
    except LinkError as error:
        raise HTTPException(410, str(error)) from error
    except (ConflictError, NoAddressError) as error:
        raise HTTPException(409, str(error)) from error
    except NotAllowedError as error:
        raise HTTPException(403, str(error)) from error


def _refuse_other_pages(request: Request, base_url: str) -> None:
    origin = request.headers.get("origin")
    if origin is not None and origin != base_url:
        raise HTTPException(403, "Pages of other sites may not use links.")


def _page() -> tuple[str, dict[str, str]]:
    """The page, and the headers that allow its own script and style and nothing else."""
    text = (files("tachograph_collector.control") / "decide.html").read_text(encoding="utf-8")
    allowed = {tag: _sources(text, tag) for tag in ("script", "style")}
    policy = (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _sources(text: str, tag: str) -> str:
    """What a Content-Security-Policy calls the elements of one kind: their hashes."""
    parts = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
    return " ".join(f"'sha256-{each}'" for each in hashes)
