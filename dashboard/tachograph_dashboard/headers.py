"""Who may talk to the dashboard, and what a page of it may do: one middleware around everything.

* ``Host`` must name this machine, or the public address (against DNS rebinding), for pages, routes and the socket alike.
* The socket and every request that changes something must come from a page of exactly this address.
* The content security policy allows our own scripts alone: a script that got into the page through trace
  content would not run, and nothing on the page can reach another machine.
"""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tachograph_dashboard import shell
from tachograph_dashboard.settings import is_loopback

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def content_security_policy() -> str:
    """The policy for this version of Streamlit: the only inline scripts are those of the page it starts in."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(shell.page())
    )
    rules = {
        "default-src": "'none'",
        # Components are handed to the browser as blobs.
        "script-src": f"'self' blob: {hashes}".strip(),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class Guard:
    """The middleware. Refuses with 403 before anything else runs."""

    def __init__(self, app: ASGIApp, public_host: str = "") -> None:
        self._app = app
        self._public_host = public_host
        self._headers = [
            (b"content-security-policy", content_security_policy().encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if not _is_welcome(scope, self._public_host):
            await _refuse(scope, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self._headers}
                theirs = [
                    item for item in message.get("headers", []) if item[0].lower() not in ours
                ]
                message["headers"] = [*theirs, *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers)


def _is_welcome(scope: Scope, public_host: str) -> bool:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        _ = urlsplit(f"//{host}").port
    except ValueError:
        return False
    if not is_loopback(name) and (not public_host or name != public_host.lower()):
        return False
    origin = headers.get(b"origin")
    if scope["type"] == "websocket":
        # Browsers always say where a socket comes from; programs have no business on this one.
        return origin in {f"http://{host}", f"https://{host}"}
    if scope["method"] in _SAFE_METHODS or origin is None:
        return headers.get(b"sec-fetch-site", "none") != "cross-site" or _is_navigation(headers)
    return origin in {f"http://{host}", f"https://{host}"}


def _is_navigation(headers: dict[bytes, str]) -> bool:
    """A click on a link elsewhere may open a page here; a script or image elsewhere may load nothing."""
    return headers.get(b"sec-fetch-mode") == "navigate"


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        # Closing before accepting is answered with 403.
        await send({"type": "websocket.close", "code": 1008, "reason": "not from this dashboard"})
        return
    body = b"The dashboard only answers its own pages, under an address of this machine."
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
