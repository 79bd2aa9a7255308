"""Who may do what, and in which project: the one gate that intake and control API ask.

On this machine alone nobody needs a key: whoever can connect may read the files too. With ``TACHO_API_KEY``, or when
other machines can connect, every request needs one. ``TACHO_API_KEY`` itself is an admin's key of the project default.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tachograph_schemas.queries import DEFAULT_PROJECT

if TYPE_CHECKING:
    from tachograph_collector.control.keys import KeyStore

Right = Literal["send", "ask", "look", "operate", "administer"]
"""``send``: telemetry. ``ask``: for approvals and for orders, as agents do. ``look``: at everything of the project.
``operate``: decide, pause, stop. ``administer``: keys."""

_RIGHTS: dict[str, frozenset[Right]] = {
    "ingest": frozenset({"send", "ask"}),
    "read": frozenset({"look"}),
    "operate": frozenset({"look", "operate"}),
    "admin": frozenset({"send", "ask", "look", "operate", "administer"}),
}
KEY_NEEDED = "A key is needed: Authorization: Bearer <TACHO_API_KEY>."
"""What whoever has none is told."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request."""

    project: str
    rights: frozenset[Right]
    key: str = ""
    """The id of a key that was made; empty for ``TACHO_API_KEY`` and where no key is needed."""
    name: str = ""
    is_keyless: bool = False
    """Whether it is trusted only for coming from this machine."""

    @property
    def is_owner(self) -> bool:
        """Whether it runs the collector, all projects of it: this machine's user, or TACHO_API_KEY's holder."""
        return not self.key


class Keys:
    """The keys of this collector; without one, everyone who can connect may do everything."""

    def __init__(
        self,
        api_key: str = "",
        project: str = DEFAULT_PROJECT,
        store: KeyStore | None = None,
        *,
        required: bool = False,
    ) -> None:
        self._api_key = api_key.encode()
        self._store = store
        self._required = required or bool(api_key)
        self._bootstrap = Caller(project, _RIGHTS["admin"], name="TACHO_API_KEY")
        self._keyless = Caller(project, _RIGHTS["admin"], name="local", is_keyless=True)

    def caller(self, authorization: bytes) -> Caller | None:
        """Who sends this value of an ``Authorization`` header; ``None`` when it opens nothing."""
        scheme, _, given = authorization.partition(b" ")
        given = given.strip()
        if scheme.lower() == b"bearer" and given:
            if self._api_key and hmac.compare_digest(given, self._api_key):
                return self._bootstrap
            key = self._store.find(given) if self._store is not None else None
            if key is not None:
                return Caller(key.project, _RIGHTS[key.role], key.id, key.name)
            # One that was revoked must not be worth more than it was before.
            if given.startswith(b"tacho_"):
                return None
        return None if self._required else self._keyless

    def project(self, authorization: bytes) -> str | None:
        """The project that telemetry under this header goes to; ``None`` when it is refused."""
        caller = self.caller(authorization)
        return caller.project if caller is not None and "send" in caller.rights else None
