"""Looks at the figures of all rules, every few seconds, in one collector at a time.

Which one is settled by a lease in the control database; the transaction that writes what was found looks at the lease
again, so that a collector which slept through its time changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Literal

from clickhouse_connect.driver.client import Client

from tachograph_collector.alerts import book, digests, mutes, states
from tachograph_collector.alerts.book import Kept
from tachograph_collector.alerts.control_figures import figures
from tachograph_collector.alerts.lease import Lease
from tachograph_collector.alerts.outbox import Outbox
from tachograph_collector.alerts.states import Round
from tachograph_collector.chores import Chore
from tachograph_collector.control.database import Database, DatabaseError, now_ns
from tachograph_collector.control.tables_alerts import EVENTS
from tachograph_schemas import alerts, store
from tachograph_schemas.alerts import CONTROL_SOURCES, Measured
from tachograph_schemas.store import StoreError

logger = logging.getLogger(__name__)

_STOP_S = 10.0
_COMPLAIN_EVERY_S = 60.0
_PROMPTLY_S, _SELDOM_S = 3.0, 60.0
"""How long a rule with a long window waits at most: when something has arrived, and when nothing has."""
_PROMPT_SHARE, _SELDOM_SHARE = 1 / 300, 1 / 60
"""The same as shares of the window: the figure of a short one moves faster, and costs less."""
_SETTLED_EVERY_S = 1.0
"""What was found is written so often, at least; within the term of a lease, which that renews."""
_FIGURES_TOGETHER = 2_000
"""In one transaction, and a rule more."""
_KEPT_NS = 90 * 86_400 * 10**9
_PRUNE_EVERY_S = 3_600.0


class Evaluator(Chore):
    """A thread with an engine session of its own. A fault is logged, and the next look tries again."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        lease: Lease,
        dsn: str,
        interval_s: float,
        noticed: Callable[[], None],
    ) -> None:
        """``noticed`` is called when there may be new notifications, on the evaluator's thread."""
        super().__init__("alerts", _STOP_S)
        self._database = database
        self._outbox = outbox
        self._lease = lease
        self._dsn = dsn
        self._interval_s = interval_s
        self._noticed = noticed
        # When a rule was looked at last, and what was the newest thing then.
        self._looked: dict[tuple[str, int], tuple[float, int]] = {}
        self._complained_s = -_COMPLAIN_EVERY_S
        self._pruned_s = 0.0

    def look(self) -> int:
        """One look at the rules that are due; how many changes there were.

        Raises:
            DatabaseError: the control database.
            StoreError: the engine.
        """
        with self._database.read() as connection:
            rules = book.every(connection)
            due = digests.due(connection, now_ns())
        # Without anything to do the lease is nobody's: keeping it is a write to the disk every few seconds.
        if not (rules or due) or not self._lease.take():
            return 0
        known = {_key(kept) for kept in rules}
        self._looked = {key: seen for key, seen in self._looked.items() if key in known}
        changes = 0
        of_engine = [kept for kept in rules if kept.rule.what.source not in CONTROL_SOURCES]
        own = (
            Round(kept, figures(self._database, kept)) for kept in rules if kept not in of_engine
        )
        with contextlib.closing(self._engine_rounds(of_engine)) as others:
            # What needs no engine is settled first, also while there is none.
            for some in chain(_pieces(own), _pieces(others)):
                settled = self._settle(some)
                if settled is None:
                    # Else collectors that are as slow as each other would take turns and none would settle anything.
                    self._lease.lengthen()
                    self._looked.clear()
                    return changes
                changes += settled
        return changes + (self._digest(due) if due else 0)

    def _engine_rounds(self, rules: list[Kept]) -> Generator[Round]:
        """What the rules that are due find; one that the engine refuses is left out."""
        if not any(self._is_due(kept, _PROMPTLY_S, _PROMPT_SHARE) for kept in rules):
            return
        with self._client() as client:
            newest = alerts.newest(client)
            for kept in rules:
                has_news = self._looked.get(_key(kept), (0.0, -1))[1] != newest
                pace = (_PROMPTLY_S, _PROMPT_SHARE) if has_news else (_SELDOM_S, _SELDOM_SHARE)
                if not self._is_due(kept, *pace):
                    continue
                self._looked[_key(kept)] = time.monotonic(), newest
                try:
                    measured = self._measured(client, kept)
                except StoreError as error:
                    self._complain(error)
                else:
                    yield Round(kept, measured)

    def preview(self, kept: Kept) -> list[Measured]:
        """The figures of a rule as they are now, whatever its state.

        Raises:
            StoreError: the engine.
        """
        if kept.rule.what.source in CONTROL_SOURCES:
            return figures(self._database, kept)
        with self._client() as client:
            return self._measured(client, kept)

    def preview_digest(self, project: str, every: Literal["day", "week"]) -> list[str]:
        """What a digest would say at this moment.

        Raises:
            StoreError: the engine.
        """
        with self._client() as client, self._database.read() as connection:
            return digests.told(connection, client, digests.now_of(project, every))

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.look()
                self._prune()
            except (DatabaseError, StoreError, OSError) as error:
                self._complain(error)
            except Exception as error:
                # A rule of a later version, a bug: alerts are wanted even more then.
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s >= _COMPLAIN_EVERY_S:
            self._complained_s = now_s
            logger.warning("Alert rules could not be looked at, and are again soon: %s", error)

    def _is_due(self, kept: Kept, most_s: float, share: float) -> bool:
        """Whether a rule has waited long enough: so much of its window, ``most_s`` at most."""
        seen = self._looked.get(_key(kept))
        pause_s = min(most_s, kept.rule.window_s * share)
        return seen is None or time.monotonic() - seen[0] >= pause_s

    def _measured(self, client: Client, kept: Kept) -> list[Measured]:
        rule = kept.rule
        return alerts.measure(
            client,
            rule.what,
            project=kept.project,
            group_by=rule.group_by,
            window_s=rule.window_s,
            only={str(column): names for column, names in rule.only.items()},
            until=datetime.now(UTC),
        )

    def _settle(self, rounds: list[Round]) -> int | None:
        """How many changes there were; None when another collector looks now."""
        with self._database.write() as connection:
            if not self._lease.keep(connection):
                return None
            at = now_ns()
            windows = mutes.open_windows(connection, at)
            changes = sum(
                states.apply(
                    connection, self._outbox, found, windows.get(found.kept.project, ()), at
                )
                for found in rounds
            )
        if changes:
            self._noticed()
        return changes

    def _digest(self, due: list[digests.Due]) -> int:
        with self._client() as client, self._database.read() as connection:
            told = [digests.told(connection, client, each) for each in due]
        with self._database.write() as connection:
            pairs = zip(due, told, strict=True)
            sent = sum(digests.send(connection, self._outbox, each, lines) for each, lines in pairs)
        if sent:
            self._noticed()
        return sent

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        client = store.connect(self._dsn)
        try:
            yield client
        finally:
            client.close()

    def _prune(self) -> None:
        """Drop what is older than anybody looks back."""
        now_s = time.monotonic()
        if now_s - self._pruned_s < _PRUNE_EVERY_S:
            return
        self._pruned_s = now_s
        before_ns = now_ns() - _KEPT_NS
        with self._database.write() as connection:
            connection.execute(EVENTS.delete().where(EVENTS.c.at_ns < before_ns))
            self._outbox.forget(connection, before_ns)


def _pieces(rounds: Iterable[Round]) -> Iterator[list[Round]]:
    """Rounds that are settled together.

    What was found first does not wait for the last of thousands of rules, nor do others who write for all of it.
    """
    some: list[Round] = []
    figures, since_s = 0, time.monotonic()
    for each in rounds:
        some.append(each)
        figures += len(each.measured)
        if figures >= _FIGURES_TOGETHER or time.monotonic() - since_s >= _SETTLED_EVERY_S:
            yield some
            some, figures, since_s = [], 0, time.monotonic()
    if some:
        yield some


def _key(kept: Kept) -> tuple[str, int]:
    return kept.id, kept.version
