"""What both APIs of OpenAI share: who answers, errors, and the parts that messages are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tachograph_schemas import names

_PROVIDERS = {
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x-ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "openrouter.ai": "openrouter",
}
"""Hosts that speak this protocol, by who runs them, as prices differ. The names are the convention's where the
price list knows them; ``x-ai`` is the price list's."""


class OpenAIDialect:
    """What does not depend on the way of asking."""

    request_id_header = "x-request-id"
    request_id_name = names.OPENAI_REQUEST_ID

    def provider_of(self, client: Any) -> str:
        """``openai`` for every host that is not known to be another's."""
        if "Azure" in type(client).__name__:
            return "azure.ai.openai"
        host = getattr(getattr(client, "base_url", None), "host", "")
        return _PROVIDERS.get(host, "openai")

    def sent(self, client: Any, options: Any) -> Any:
        """As it is: this client makes no spans."""
        return options

    def error_facts(self, error: BaseException) -> dict[str, Any]:
        """The API's words for the error; the code is the more exact one."""
        word = getattr(error, "code", None) or getattr(error, "type", None)
        return {names.OPENAI_ERROR_TYPE: word if isinstance(word, str) else None}


def parts_of(content: Any) -> list[dict[str, Any]]:
    """The content of a message, of either API, as parts."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if not isinstance(content, list | tuple):
        return []
    return [_part(block) for block in content if isinstance(block, Mapping)]


def arguments_of(text: Any) -> Any:
    """The arguments of a tool call, which travel as JSON in a string; as sent when they are no JSON."""
    try:
        return json.loads(text) if isinstance(text, str) and text else text
    except ValueError:
        return text


def tool_call_part(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A call that the model proposes."""
    part = {"type": "tool_call", "id": call_id, "name": name}
    return {**part, "arguments": arguments_of(arguments)}


def tool_definitions(tools: Any) -> list[dict[str, Any]]:
    """The tools on offer, functions flat; tools that the provider runs keep their own type."""
    if not isinstance(tools, list | tuple):
        return []
    return [_definition(tool) for tool in tools if isinstance(tool, Mapping)]


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return dict(tool)
    nested = tool.get("function")
    function = nested if isinstance(nested, Mapping) else tool
    kept = ("name", "description", "parameters", "strict")
    return {"type": "function"} | {key: function[key] for key in kept if function.get(key)}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(block.get("type"))
    if kind in {"text", "input_text", "output_text", "summary_text", "reasoning_text"}:
        return {"type": "text", "content": block.get("text")}
    if kind == "refusal":
        return {"type": "refusal", "content": block.get("refusal")}
    if kind in {"image_url", "input_image"}:
        given = block.get("image_url")
        url = given.get("url") if isinstance(given, Mapping) else given
        return media("image", url, block.get("file_id"))
    if kind in {"file", "input_file"}:
        given = block.get("file")
        file: Mapping[str, Any] = given if isinstance(given, Mapping) else block
        return media("document", file.get("file_data") or file.get("file_url"), file.get("file_id"))
    if kind == "input_audio":
        given = block.get("input_audio")
        audio: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        return _blob("audio", str(audio.get("data") or ""), f"audio/{audio.get('format')}")
    return dict(block)


def media(modality: str, url: Any, file_id: Any = None) -> dict[str, Any]:
    """Where media came from. Bytes are named by their digest: a span is no place for a picture."""
    if file_id is not None:
        return {"type": "file", "modality": modality, "file_id": file_id}
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        return _blob(modality, data, head.removeprefix("data:").partition(";")[0])
    return {"type": "uri", "modality": modality, "uri": url}


def _blob(modality: str, data: str, mime_type: str) -> dict[str, Any]:
    return {
        "type": "blob",
        "modality": modality,
        "mime_type": mime_type,
        "size_chars": len(data),
        "sha256": hashlib.sha256(data.encode()).hexdigest(),
    }
