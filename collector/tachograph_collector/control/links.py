"""Links with which somebody without a key decides on one request, once.

A link is 256 random bits, of which the database keeps the SHA-256: nobody can make one up, nor take one from a stolen
database. Its row says the rest: which request, which of the two answers, whose name, until when. The two links of a
pair are spent together. The secret travels behind the ``#`` of the address, which browsers send to nobody, so it is in
no log of a proxy and no preview of a chat program opens it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from tachograph_collector.control.approvals import Approvals, Said
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.keys import KeyStore
from tachograph_collector.control.tables import LINKS

PAGE = "/decide"
_SECRET_BYTES = 32
_PAIR_BYTES = 8
Decision = Literal["allow", "deny"]
_DECISIONS: tuple[Decision, ...] = ("allow", "deny")


class LinkError(Exception):
    """This link opens nothing, or nothing any more. The message is for whoever holds it."""


class NoAddressError(Exception):
    """Nobody elsewhere could open a link: the collector does not know its own address."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two links of one person for one request."""

    approve: str
    refuse: str
    approver: str
    expires_ns: int


class Links:
    """Makes and spends links. Methods block on the database."""

    def __init__(
        self,
        database: Database,
        audit: Audit,
        approvals: Approvals,
        store: KeyStore,
        base_url: str,
    ) -> None:
        """``base_url``: where people reach this collector; empty when that is not known."""
        self._database = database
        self._audit = audit
        self._approvals = approvals
        self._store = store
        self.base_url = base_url.rstrip("/")

    def make(
        self,
        approval_id: str,
        project: str,
        approver: str,
        *,
        maker_key: str,
        maker: str,
        lifetime_s: float,
    ) -> Pair | None:
        """A pair of links for ``approver``; ``None`` when there is no such request.

        They hold for ``lifetime_s``, and no longer than the request and the key that made them. ``maker`` is for
        the audit log.

        Raises:
            ConflictError: it is decided already, or by this person.
            NotAllowedError: this person, or this key, may not decide.
            NoAddressError: there is no address to put into a link.
        """
        if not self.base_url:
            raise NoAddressError(
                "Set TACHO_PUBLIC_URL to the address under which people reach this."
            )
        pair = secrets.token_hex(_PAIR_BYTES)
        tokens = {word: secrets.token_urlsafe(_SECRET_BYTES) for word in _DECISIONS}
        with self._audit.change() as connection:
            row = self._approvals.open_to(
                connection, approval_id, project, approver, _voucher(pair, maker_key)
            )
            if row is None:
                return None
            at = now_ns()
            values = {
                "pair": pair,
                "project": project,
                "approval_id": row.id,
                "approver": approver,
                "maker_key": maker_key,
                "maker": maker[:200],
                "created_ns": at,
                "expires_ns": min(row.expires_ns, at + int(lifetime_s * 1e9)),
            }
            self._keep(connection, values, tokens)
        return Pair(
            approve=f"{self.base_url}{PAGE}#{tokens['allow']}",
            refuse=f"{self.base_url}{PAGE}#{tokens['deny']}",
            approver=approver,
            expires_ns=values["expires_ns"],
        )

    def _keep(
        self, connection: Connection, values: dict[str, Any], tokens: Mapping[Decision, str]
    ) -> None:
        rows = [values | {"hash": _hash(tokens[word]), "decision": word} for word in _DECISIONS]
        connection.execute(insert(LINKS), rows)
        self._audit.record(
            connection,
            project=values["project"],
            actor=values["maker"],
            action="approval.link",
            subject=values["approval_id"],
            detail={name: values[name] for name in ("approver", "pair", "expires_ns")},
        )

    def look(self, token: str) -> dict[str, Any]:
        """What a link decides on: its ``decision`` and ``approver``, and the request under ``request``.

        Raises:
            LinkError: see there.
        """
        with self._database.read() as connection:
            link = self._sound(connection, token)
        found = self._approvals.get(link.approval_id, link.project)
        if found is None:
            raise LinkError(_UNKNOWN)
        if found["status"] != "pending":
            raise LinkError(f"It is {found['status']} already.")
        return {"decision": link.decision, "approver": link.approver, "request": found}

    def spend(self, token: str, params_hash: str, reason: str) -> dict[str, Any]:
        """Decide as the link says, on the arguments with that hash; the request as it stands then.

        Raises:
            LinkError: see there; nothing was decided.
            ConflictError: the request was decided meanwhile, or is about other arguments.
            NotAllowedError: the person may not decide any more.
        """
        with self._database.read() as connection:
            link = self._sound(connection, token)
        said = Said(
            link.decision,
            link.approver,
            _voucher(link.pair, link.maker_key),
            params_hash,
            reason,
        )

        def once(connection: Connection) -> None:
            self._sound(connection, token)
            spent = (
                update(LINKS)
                .where(LINKS.c.pair == link.pair, LINKS.c.used_ns.is_(None))
                .values(used_ns=now_ns())
            )
            if connection.execute(spent).rowcount != len(_DECISIONS):
                raise LinkError(_USED)

        actor = f"{link.approver} (link {link.pair} of {link.maker})"
        found = self._approvals.decide(link.approval_id, link.project, said, actor, once)
        if found is None:
            raise LinkError(_UNKNOWN)
        return found

    def _sound(self, connection: Connection, token: str) -> Row[Any]:
        link = connection.execute(select(LINKS).where(LINKS.c.hash == _hash(token))).first()
        # Of a link that is not known nothing is said, not even that it once was.
        if link is None or (link.maker_key and not self._store.is_live(link.maker_key)):
            raise LinkError(_UNKNOWN)
        if link.used_ns is not None:
            raise LinkError(_USED)
        if link.expires_ns <= now_ns():
            raise LinkError("This link has expired.")
        return link


_UNKNOWN = "This link is not valid."
_USED = "This link was used already; it works once."


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _voucher(pair: str, maker_key: str) -> str:
    return f"link:{pair}:{maker_key}"
