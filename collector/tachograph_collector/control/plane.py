"""The control plane of one collector, put together."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tachograph_collector.alerts.api import add_history, add_rule_changes, add_rules
from tachograph_collector.alerts.api_targets import add_targets
from tachograph_collector.alerts.api_times import add_times
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.access import Access, BoundedBodies, explained
from tachograph_collector.control.api_approvals import add_approvals, add_decisions
from tachograph_collector.control.api_budgets import add_budgets, add_leases
from tachograph_collector.control.api_keys import add_keys
from tachograph_collector.control.api_links import add_links
from tachograph_collector.control.api_orders import add_orders, topic
from tachograph_collector.control.api_replays import add_replays, waiting
from tachograph_collector.control.api_waiting import add_waiting
from tachograph_collector.control.approvals import Approvals
from tachograph_collector.control.audit import HEAD_FILE, Audit
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import Database, DatabaseError, is_full
from tachograph_collector.control.keys import KeyStore
from tachograph_collector.control.leases import Leases
from tachograph_collector.control.limits import TooManyError
from tachograph_collector.control.links import Links
from tachograph_collector.control.meanwhile import ChangedError
from tachograph_collector.control.news import News
from tachograph_collector.control.orders import Orders
from tachograph_collector.control.replays import Replays
from tachograph_collector.keys import Keys
from tachograph_collector.settings import Settings
from tachograph_schemas.instance import read_instance


class ControlPlane:
    """Opens the control database; create it before anything listens."""

    def __init__(self, settings: Settings) -> None:
        """Open the database and read the keys.

        Raises:
            StartError: it cannot be opened.
        """
        self.database = Database(settings.control_db)
        self.audit = Audit(self.database, settings.home / HEAD_FILE)
        self.store = KeyStore(self.database, self.audit)
        self.keys = Keys(settings.api_key, store=self.store, required=not settings.is_loopback)
        self.access = Access(self.keys)
        self.alerts = Alerts(
            self.database,
            self.audit,
            dsn=settings.clickhouse,
            interval_s=settings.alert_interval_s,
            allowed=settings.alert_networks,
            dashboard_url=self._dashboard_url,
        )
        self._home = settings.home
        self._dashboard_public_url = settings.dashboard_public_url
        self._news: News | None = None
        self._public_url = settings.public_url
        self._is_loopback = settings.is_loopback

    def _dashboard_url(self) -> str:
        """Where people open the dashboard; beyond this machine only when it is said."""
        if self._dashboard_public_url or not self._is_loopback:
            return self._dashboard_public_url
        running = read_instance(self._home)
        return (running.dashboard or "") if running is not None else ""

    def serve(self, api: FastAPI, address: str) -> None:
        """Add the routes, on the running event loop; ``address`` is where this collector listens."""
        news = self._news = News(asyncio.get_running_loop())
        access = self.access
        approvals = Approvals(self.database, self.audit, news.tell)
        orders = Orders(self.database, self.audit, lambda project: news.tell(topic(project)))
        add_approvals(api, approvals, news, access)
        add_decisions(api, approvals, access)
        add_waiting(api, self.database, approvals, access)
        # Beyond this machine the address that is listened on may be no address that a person can open.
        base_url = self._public_url or (address if self._is_loopback else "")
        links = Links(self.database, self.audit, approvals, self.store, base_url)
        add_links(api, links, access)
        budgets = Budgets(self.database, self.audit, lambda project: news.tell(topic(project)))
        add_orders(api, orders, budgets, news, access)
        leases = Leases(self.database)
        add_budgets(api, budgets, leases, access)
        add_leases(api, leases, access)
        replays = Replays(self.database, self.audit, lambda project: news.tell(waiting(project)))
        add_replays(api, replays, news, access)
        add_keys(api, self.store, self.audit, access)
        add_rules(api, self.alerts, access)
        add_rule_changes(api, self.alerts, access)
        add_history(api, self.alerts, access)
        add_targets(api, self.alerts, access)
        add_times(api, self.alerts, access)
        api.add_middleware(BoundedBodies)
        api.add_exception_handler(DatabaseError, _not_now)
        api.add_exception_handler(TooManyError, _too_many)
        api.add_exception_handler(ChangedError, _changed)
        api.add_exception_handler(RequestValidationError, explained)
        self.store.start()

    def release(self) -> None:
        """Let waiting calls answer, so that the listener can close."""
        if self._news is not None:
            self._news.close()

    def close(self) -> None:
        """Blocks until nothing uses the database any more."""
        self.store.stop()
        self.database.close()


def _too_many(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)


def _changed(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=412)


def _not_now(_request: Request, error: Exception) -> JSONResponse:
    what = "The control database does not answer"
    if is_full(error):
        what = "The disk of the control database is full"
    sentence = f"{what}; nothing was changed."
    return JSONResponse({"detail": sentence}, 503, headers={"Retry-After": "2"})
