"""Records every call of the official Anthropic client as one model span.

The beta messages and the Bedrock and Vertex clients are included; :mod:`tachograph.instruments._client_hooks`
has the seams.

The client (since 1.17) makes an OpenTelemetry span of its own for each call. A call recorded here does
without: the request is sent on with no span name, which is the client's own mark of a request that gets no
span. Its other calls (files, batches, ...) keep theirs, and an application that records nothing keeps all.
"""

from __future__ import annotations

from tachograph.instruments._anthropic_dialect import Messages
from tachograph.instruments._client_hooks import dialects_by_path, install_on, uninstall_from

try:
    from anthropic import _base_client
except ImportError as error:
    raise ImportError(
        'The Anthropic client is not installed. Install it with: pip install "tachograph[anthropic]"'
    ) from error


def install() -> None:
    """Wrap the client's classes. Idempotent, thread-safe; clients that exist already are covered too."""
    install_on(_base_client, dialects_by_path({"/v1/messages": Messages()}))


def uninstall() -> None:
    """Give the client its own methods back."""
    uninstall_from(_base_client)
