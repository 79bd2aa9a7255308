"""Who may send, and as which project."""

from __future__ import annotations

import hmac


class Keys:
    """The keys of this collector; without one, everyone who can connect may send."""

    def __init__(self, api_key: str = "", project: str = "default") -> None:
        self._api_key = api_key.encode()
        self._project = project

    def project(self, authorization: bytes) -> str | None:
        """The project that the value of an ``Authorization`` header may send for; ``None`` when it may not."""
        if not self._api_key:
            return self._project
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(key.strip(), self._api_key):
            return self._project
        return None


KEY_NEEDED = "A key is needed: Authorization: Bearer <TACHO_API_KEY>."
"""What whoever has none is told."""
