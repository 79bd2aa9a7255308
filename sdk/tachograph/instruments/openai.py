"""Records every call of the official OpenAI client that asks a model, as one model span each.

Chat Completions and Responses, the Azure client included; :mod:`tachograph.instruments._client_hooks` has the
seams. Not recorded: the realtime and websocket connections, and reading a response that was made before.
"""

from __future__ import annotations

from openai import _base_client

from tachograph.instruments._client_hooks import dialects_by_path, install_on, uninstall_from
from tachograph.instruments._openai_chat import ChatCompletions
from tachograph.instruments._openai_responses import Responses

_DIALECTS = dialects_by_path({"/chat/completions": ChatCompletions(), "/responses": Responses()})


def install() -> None:
    """Wrap the client's classes. Idempotent, thread-safe; clients that exist already are covered too."""
    install_on(_base_client, _DIALECTS)


def uninstall() -> None:
    """Give the client its own methods back."""
    uninstall_from(_base_client)
