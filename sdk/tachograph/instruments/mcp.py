"""Records what client sessions of the Model Context Protocol ask their servers.

A call of a tool is a ``tool`` span, reading a resource a ``retrieval``; lists and prompts are facts of layer
``other``. The SDK of the protocol makes spans of its own for the messages; they nest in these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp import ClientSession
from opentelemetry.trace import SpanKind

from tachograph._clearance import cleared_async
from tachograph._failure import safe_text
from tachograph._guard import guarded
from tachograph._spans import SpanHandle, open_span
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._reported import ReportedError
from tachograph_schemas import names

_LISTS = {
    "list_tools": ("tools/list", "tools"),
    "list_resources": ("resources/list", "resources"),
    "list_prompts": ("prompts/list", "prompts"),
}
"""Method of a session to the protocol's method and the field with the list."""


def install() -> None:
    """Record every client session, those that are open already too. Idempotent."""
    with LOCK:
        wrap(ClientSession, "call_tool", _recorded(_open_tool, _close_tool))
        wrap(ClientSession, "read_resource", _recorded(_open_resource, _close_resource))
        wrap(ClientSession, "get_prompt", _recorded(_open_prompt, _close_prompt))
        for name, (method, field) in _LISTS.items():
            wrap(ClientSession, name, _recorded(_opens_list(method), _closes_list(field)))


def uninstall() -> None:
    """Leave the sessions alone."""
    with LOCK:
        unwrap(ClientSession, "call_tool", "read_resource", "get_prompt", *_LISTS)


Opener = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], SpanHandle]
Closer = Callable[[SpanHandle, Any], None]


def _recorded(opened: Opener, closed: Closer) -> Callable[[Any], Any]:
    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
            if opened is _open_tool:
                args, kwargs = await _agreed(args, kwargs)
            handle = opened(self, args, kwargs)
            if not handle.recording:
                return await original(self, *args, **kwargs)
            try:
                with handle.active():
                    result = await original(self, *args, **kwargs)
            except BaseException as error:
                handle.record_error(error)
                handle.end()
                raise
            with guarded("recording an answer of an MCP server"):
                closed(handle, result)
            handle.end()
            return result

        return request

    return recorded


async def _agreed(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments to call a tool with, once budgets and people have had their say."""
    given = _given(args, kwargs, 1, "arguments") or {}
    agreed = await cleared_async(_given(args, kwargs, 0, "name"), given)
    if agreed == given:
        return args, kwargs
    if len(args) > 1:
        return (args[0], agreed, *args[2:]), kwargs
    return args, kwargs | {"arguments": agreed}


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _facts(session: Any, method: str) -> dict[str, Any]:
    server = getattr(getattr(session, "server_info", None), "name", None)
    return {names.MCP_METHOD: method, names.MCP_SERVER: server}


def _open_tool(session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> SpanHandle:
    name = safe_text(_given(args, kwargs, 0, "name"), 512)
    facts = {
        **_facts(session, "tools/call"),
        names.GEN_AI_OPERATION_NAME: "execute_tool",
        names.GEN_AI_TOOL_NAME: name,
        names.GEN_AI_TOOL_TYPE: "extension",
    }
    handle = open_span("tool", f"execute_tool {name}", facts, kind=SpanKind.CLIENT)
    handle.set_input(_given(args, kwargs, 1, "arguments") or {})
    return handle


def _close_tool(handle: SpanHandle, result: Any) -> None:
    content = [_shown(block) for block in getattr(result, "content", None) or ()]
    structured = getattr(result, "structured_content", getattr(result, "structuredContent", None))
    handle.set_output(content if structured is None else structured)
    if getattr(result, "is_error", getattr(result, "isError", False)):
        texts = [each for each in content if isinstance(each, str)]
        handle.record_error(ReportedError(" ".join(texts) or "the tool reported an error"))


def _open_resource(session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> SpanHandle:
    uri = safe_text(_given(args, kwargs, 0, "uri"), 2_048)
    facts = _facts(session, "resources/read")
    facts |= {
        names.GEN_AI_OPERATION_NAME: "retrieval",
        names.MCP_RESOURCE_URI: uri,
        names.GEN_AI_DATA_SOURCE_ID: facts[names.MCP_SERVER],
    }
    handle = open_span("retrieval", f"retrieval {uri[:512]}", facts, kind=SpanKind.CLIENT)
    handle.set_input({"uri": uri})
    return handle


def _close_resource(handle: SpanHandle, result: Any) -> None:
    handle.set_output([_shown(block) for block in getattr(result, "contents", None) or ()])


def _open_prompt(session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> SpanHandle:
    name = safe_text(_given(args, kwargs, 0, "name"), 512)
    facts = _facts(session, "prompts/get")
    handle = open_span("other", f"prompts/get {name}", facts, kind=SpanKind.CLIENT)
    handle.set_input({"name": name, "arguments": _given(args, kwargs, 1, "arguments") or {}})
    return handle


def _close_prompt(handle: SpanHandle, result: Any) -> None:
    handle.set_output([_shown(each.content) for each in getattr(result, "messages", None) or ()])


def _opens_list(method: str) -> Opener:
    def opened(session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> SpanHandle:
        return open_span("other", method, _facts(session, method), kind=SpanKind.CLIENT)

    return opened


def _closes_list(field: str) -> Closer:
    def closed(handle: SpanHandle, result: Any) -> None:
        handle.set_output([each.name for each in getattr(result, field, None) or ()])

    return closed


def _shown(block: Any) -> Any:
    """A piece of content: its text, else what kind it is. A span is no place for a picture."""
    text = getattr(block, "text", None)
    if isinstance(text, str):
        return text
    data = getattr(block, "data", None) or getattr(block, "blob", None) or ""
    mime = getattr(block, "mime_type", getattr(block, "mimeType", None))
    kind = getattr(block, "type", type(block).__name__)
    return {"type": kind, "mime_type": mime, "size_chars": len(data)}
