"""The page that every page of the dashboard starts in: Streamlit's own, told what it would otherwise find out or meet late.

* Where its server is. By itself it asks under the address of the page first, which is not there, and then one level above.
* Which scripts the first run of a page will need: each would be asked for when the first thing of its kind is drawn.
* Not the font of its own theme, which ours does not use.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import streamlit
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tachograph_dashboard.static_files import takes_gzip

_STATIC = Path(streamlit.__file__).parent / "static"
# Drawn by nearly every page of ours. A name that a later Streamlit does not have is left out.
_DRAWN_SOON = (
    "BidiComponent",
    "Button",
    "ButtonGroup",
    "Html",
    "Pagination",
    "Selectbox",
    "TextArea",
    "TextInput",
)
_IMPORTED = re.compile(r"""(?:from|import)\s*["'`]\./([\w.-]+\.js)["'`]""")
_NAMED = re.compile(r'(?:href|src)="\./static/js/([^"]+)"')
_FONT = re.compile(r'\s*<link\s+rel="preload"[^>]*\bas="font"[^>]*>')
# The folder of the page, not the root: a proxy may serve the dashboard below a path. Without origins that may
# embed it, Streamlit takes its settings for incomplete; nothing but this machine's own page may.
_TOLD = """
window.__streamlit = {
  BACKEND_BASE_URL: new URL(".", location.href).href,
  HOST_CONFIG: {allowedOrigins: [location.origin], useExternalAuthToken: false},
}
"""
_HTML = b"text/html"
_CONDITIONS = {b"if-none-match", b"if-modified-since"}
_OF_THE_FILE = {
    b"content-length",
    b"content-encoding",
    b"vary",
    b"etag",
    b"last-modified",
    b"accept-ranges",
}
# What is below these is no page of ours.
_OTHERS = ("/_stcore/", "/media/", "/component/", "/app/", "/static/", "/data/")


@cache
def page() -> str:
    """The whole page, for this version of Streamlit."""
    html = _FONT.sub("", (_STATIC / "index.html").read_text(encoding="utf-8"))
    known = set(_NAMED.findall(html))
    wanted = [name for name in dict.fromkeys(_soon()) if name not in known]
    links = "".join(
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in wanted
    )
    return html.replace("<title>", f"<script>{_TOLD}</script>{links}<title>", 1)


def _soon() -> Iterator[str]:
    """Scripts that are asked for after the first message, each with all that it imports."""
    folder = _STATIC / "static" / "js"
    open_, seen = (
        [path for kind in _DRAWN_SOON for path in sorted(folder.glob(f"{kind}.*.js"))],
        set(),
    )
    while open_:
        path = open_.pop(0)
        if path.name in seen or not path.is_file():
            continue
        seen.add(path.name)
        yield path.name
        open_ += [folder / name for name in _IMPORTED.findall(path.read_text(encoding="utf-8"))]


class Shell:
    """The middleware: whatever Streamlit answers with its own page is answered with :func:`page`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._body = page().encode()
        self._packed = gzip.compress(self._body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OTHERS):
            await self._app(scope, receive, send)
            return
        packs = takes_gzip(scope)
        body = self._packed if packs else self._body
        is_ours = False

        async def swap(message: Message) -> None:
            nonlocal is_ours
            if message["type"] == "http.response.start" and _is_page(message):
                is_ours = True
                await send({**message, "headers": _headers(message, len(body), packs)})
            elif not is_ours:
                await send(message)
            elif not message.get("more_body"):
                sent = b"" if scope["method"] == "HEAD" else body
                await send({"type": "http.response.body", "body": sent})

        # Asked whether its file has changed, Streamlit would let the browser keep the page it has.
        asked = [item for item in scope["headers"] if item[0] not in _CONDITIONS]
        await self._app({**scope, "headers": asked}, receive, swap)


def _is_page(start: Message) -> bool:
    kind = dict(start.get("headers", [])).get(b"content-type", b"")
    return bool(start["status"] == 200 and kind.startswith(_HTML))


def _headers(start: Message, length: int, packs: bool) -> list[tuple[bytes, bytes]]:
    kept = [item for item in start["headers"] if item[0].lower() not in _OF_THE_FILE]
    ours = [(b"content-length", str(length).encode()), (b"vary", b"accept-encoding")]
    return [*kept, *ours, *([(b"content-encoding", b"gzip")] if packs else [])]
