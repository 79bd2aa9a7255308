"""Alerts of one collector, put together."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Literal

from tachograph_collector.alerts.book import Book, Kept
from tachograph_collector.alerts.courier import Courier
from tachograph_collector.alerts.digests import Digests
from tachograph_collector.alerts.evaluator import Evaluator
from tachograph_collector.alerts.history import History
from tachograph_collector.alerts.lease import Lease
from tachograph_collector.alerts.mutes import Windows
from tachograph_collector.alerts.network import Network
from tachograph_collector.alerts.outbox import LEASE_S, Outbox
from tachograph_collector.alerts.targets import Targets
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, DatabaseError
from tachograph_schemas.alerts import Measured
from tachograph_schemas.store import StoreError

TERM_S = 5.0
"""How long alerts rest when the collector that looks is killed and another one is there."""


class Alerts:
    """Rules, targets, history, and the threads that look and send."""

    def __init__(
        self,
        database: Database,
        audit: Audit,
        *,
        dsn: str,
        interval_s: float,
        allowed: Sequence[Network],
        term_s: float = TERM_S,
        lease_s: float = LEASE_S,
        dashboard_url: Callable[[], str] = str,
    ) -> None:
        """Nothing is looked at before :meth:`start`.

        Args:
            database: The control database.
            audit: Its log.
            dsn: Of the engine with the figures.
            interval_s: Between two looks at the rules.
            allowed: Networks that notifications may go to although they are not public.
            term_s: How long the collector that looks is waited for when it is silent.
            lease_s: The same for one that sends a notification; longer than that takes.
            dashboard_url: Where people open the dashboard, for links; empty when that is not known.
        """
        self.database = database
        holder = f"{socket.gethostname()[:30]} {os.getpid()} {secrets.token_hex(6)}"
        self.outbox = Outbox(database, holder, lease_s, dashboard_url)
        self.targets = Targets(database, audit)
        self.book = Book(database, audit, self.outbox)
        self.history = History(database, audit)
        self.windows = Windows(database, audit)
        self.digests = Digests(database, audit)
        self.courier = Courier(self.outbox, self.targets, allowed)
        self._is_started = False
        self._lease = Lease(database, "evaluator", holder, max(term_s, 2 * interval_s))
        self.evaluator = Evaluator(
            database, self.outbox, self._lease, dsn, interval_s, self.courier.wake
        )

    def start(self) -> None:
        """Begin to look and to send; the engine's tables must be there."""
        self._is_started = True
        self.courier.start()
        self.evaluator.start()

    def preview(self, kept: Kept) -> list[Measured]:
        """The figures of a rule as they are now, whatever its state.

        Raises:
            StoreError: the engine refuses, or is not open yet.
        """
        if not self._is_started:
            raise StoreError("the engine is not open yet")
        return self.evaluator.preview(kept)

    def preview_digest(self, project: str, every: Literal["day", "week"]) -> list[str]:
        """What a digest of the day or the week until now would say, line by line.

        Raises:
            StoreError: the engine refuses, or is not open yet.
        """
        if not self._is_started:
            raise StoreError("the engine is not open yet")
        return self.evaluator.preview_digest(project, every)

    def stop(self) -> None:
        """End; blocks for a while when something is being sent."""
        self.evaluator.stop()
        self.courier.stop()
        try:
            self._lease.let_go()
        except DatabaseError:
            return  # it runs out by itself
