"""This process's shares of budgets: taken from the collector before they are spent, reported, renewed, given back.

One share covers many calls: a call waits for the collector only when nothing of the share is left. A thread reports what
was used and renews shares before they run out. Without the collector a share is used up, then the rule says what happens.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from tachograph._budget_state import COUNTED, SLACK, Action, Shortage
from tachograph._guard import guarded
from tachograph._threads import not_carried
from tachograph_schemas import names
from tachograph_schemas.budgets import Rule
from tachograph_schemas.control import LEASE_S, LEASES

if TYPE_CHECKING:
    from tachograph_schemas.control_client import ControlClient

_ANSWER_S: Final = 3.0
_SILENCE_S: Final = 2.0
"""After a collector did not answer, how long calls do not ask it again."""
_REPORT_S: Final = 1.0
_IDLE_S: Final = 2 * LEASE_S
"""After how long without use an account is let go of."""
_MOST: Final = 1e24
"""More than any account can have been charged; no number beyond it is one."""


class SharedAccount:
    """This process's share of one budget for one agent, customer ... Guarded by a lock."""

    def __init__(self, office: Office, rule: Rule, key: str) -> None:
        self.rule = rule
        self.key = key
        self.scope = rule.scope
        self.action = cast(Action, rule.action)
        self.hook: Callable[[Any], Any] | None = None
        self.degraded = False
        self._office = office
        self._lock = threading.RLock()
        self._lease = secrets.token_hex(16)
        self._granted = self._used = self._held = 0.0
        self._reported = 0.0
        self._finished: list[tuple[str, float]] = []
        self._expires_s = 0.0
        self._last_use_s = monotonic()
        self._others = 0.0
        self._largest = 0.0
        self._allowed_over = 0.0
        self._warned: set[str] = set()
        self._empty_until_s = 0.0

    @property
    def called(self) -> str:
        return self.rule.name

    def counts(self, unit: str) -> bool:
        return unit == self.rule.unit

    def spent(self, unit: str) -> tuple[float, float]:
        with self._lock:
            used = self._others + self._used if unit == self.rule.unit else 0.0
            return self.rule.limit + self._allowed_over, used

    def first_warning(self, about: str) -> bool:
        with self._lock:
            if about in self._warned:
                return False
            self._warned.add(about)
            return True

    def extend(self) -> None:
        with self._lock:
            self._allowed_over += self.rule.limit

    def reserve(
        self, layer: names.Layer, needs: Mapping[str, float], *, force: bool = False
    ) -> Shortage | dict[str, float]:
        unit = self.rule.unit
        is_count = unit in COUNTED.values()
        if is_count and COUNTED.get(layer) != unit:
            return {}
        need = max(needs.get(unit, 0.0), 0.0)
        with self._lock:
            if layer == "model" and not is_count:
                need = need or self._largest
            found = None if force else self._shortage(need)
            if found is not None:
                return found
            self._last_use_s = monotonic()
            if is_count:
                self._used += need
            else:
                self._held += need
            if self._room() < self._granted / 4 or self._used > self._granted:
                self._office.wake()
        return {} if is_count else {unit: need}

    def settle(self, held: Mapping[str, float], used: Mapping[str, float]) -> None:
        unit = self.rule.unit
        with self._lock:
            self._held = max(self._held - held.get(unit, 0.0), 0.0)
            amount = max(used.get(unit, 0.0), 0.0)
            self._used += amount
            self._largest = max(self._largest, amount)
            self._last_use_s = monotonic()
            if self._room() <= 0:
                self._office.wake()

    def _room(self) -> float:
        """What may still be spent without asking; none when the share's time is over."""
        if monotonic() >= self._expires_s:
            return 0.0
        return self._granted - self._used - self._held

    def _fits(self, need: float) -> bool:
        room = self._room()
        return need <= room + SLACK and room > SLACK

    def _shortage(self, need: float) -> Shortage | None:
        rule, silent = self.rule, self._office.is_silent
        if rule.unreachable == "stop" and silent:
            return self._short(need, "the collector does not answer")
        if self._fits(need):
            return None
        if monotonic() >= self._empty_until_s and not silent:
            self._office.stand([self], ask_for=self._held + max(need, _least(rule)))
            silent = self._office.is_silent
            if self._fits(need):
                return None
            self._empty_until_s = monotonic() + _REPORT_S
        over = self._used + self._held + need - self._granted
        if self._allowed_over and over <= self._allowed_over:
            return None
        if not silent:
            return self._short(need)
        if rule.unreachable == "allow" or not rule.is_hard:
            return None
        return self._short(
            need, "the collector does not answer, and this process's share is used up"
        )

    def _short(self, need: float, why: str = "") -> Shortage:
        rule = self.rule
        used = self._others + self._used
        return Shortage(rule.unit, rule.limit + self._allowed_over, used, self._held, need, why)

    # --- what the office says and hears ---

    def statement(self, ask_for: float) -> list[dict[str, Any]]:
        """Where the leases of this account are to stand."""
        with self._lock:
            now = monotonic()
            if self._granted and now >= self._expires_s:
                # What was used under the old lease is final; calls under way are settled under the new one.
                self._finished.append((self._lease, self._used))
                self._lease = secrets.token_hex(16)
                self._granted = self._used = 0.0
            idle = not ask_for and not self._held and now - self._last_use_s > LEASE_S / 2
            if idle and self._granted:
                self._finished.append((self._lease, self._used))
                self._lease = secrets.token_hex(16)
                self._granted = self._used = self._expires_s = 0.0
            about = {"budget": self.rule.name, "account": self.key}
            said = [
                {"lease": old, "used": used, "done": True, **about} for old, used in self._finished
            ]
            if not idle and (ask_for or self._granted or self._used):
                need = ask_for or self._held + _least(self.rule)
                said.append({"lease": self._lease, "used": self._used, "need": need, **about})
            return said

    def last_statement(self) -> list[dict[str, Any]]:
        """The process ends: what was used is final."""
        with self._lock:
            self._finished.append((self._lease, self._used))
            self._granted = self._used = self._expires_s = 0.0
            about = {"budget": self.rule.name, "account": self.key}
            return [
                {"lease": old, "used": used, "done": True, **about} for old, used in self._finished
            ]

    def heard(self, given: Mapping[str, Any]) -> None:
        """What the collector said about one of the leases."""
        with self._lock:
            self._finished = [each for each in self._finished if each[0] != given["lease"]]
            if given["lease"] != self._lease:
                return
            self._reported = float(given["used"])
            self._granted = float(given["granted"])
            self._others = max(float(given["spent"]) - max(self._granted, self._reported), 0.0)
            self._expires_s = monotonic() + float(given["expires_s"]) * 0.9
            if self._room() > 0:
                self._empty_until_s = 0.0

    def touch(self) -> None:
        """It is about to be used."""
        self._last_use_s = monotonic()

    def is_over(self) -> bool:
        """Whether nothing is held, owed or remembered under it, and has not been for long."""
        with self._lock:
            owes = self._finished or self._granted or self._used or self._held
            told = self._allowed_over or self._warned or self.degraded
            return not owes and not told and monotonic() - self._last_use_s > _IDLE_S

    def wants_to_speak(self) -> bool:
        """Whether there is news for the collector, or a share to renew."""
        with self._lock:
            renew = self._granted > 0 and self._expires_s - monotonic() < LEASE_S / 2
            low = self._granted > 0 and self._room() < self._granted / 4
            return bool(self._finished) or self._used > self._reported or renew or low


def _makes_sense(given: Any, said: list[dict[str, Any]]) -> bool:
    """Whether an answer is one about these leases; whatever else answers is no collector of ours."""
    if not isinstance(given, list) or len(given) != len(said):
        return False
    return all(
        isinstance(each, dict)
        and each.get("lease") == asked["lease"]
        and all(_is_amount(each.get(name)) for name in ("granted", "used", "spent", "expires_s"))
        for each, asked in zip(given, said, strict=True)
    )


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST


def _least(rule: Rule) -> float:
    """What is worth asking for at least."""
    return min(rule.limit / 1_000, 0.01) if rule.unit == "usd" else 1.0


class Office:
    """The accounts of one process, and its line to the collector."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._accounts: dict[tuple[str, int, str], SharedAccount] = {}
        self._lock = threading.Lock()
        self._waking = threading.Event()
        self._closing = False
        self._pid = 0
        self._silent_until_s = 0.0
        self._holder = f"{socket.gethostname()[:150]}/{os.getpid()}"

    @property
    def client(self) -> ControlClient:
        """Whom it asks."""
        return self._client

    @property
    def is_silent(self) -> bool:
        """Whether the collector did not answer just now."""
        return monotonic() < self._silent_until_s

    def account(self, rule: Rule, key: str) -> SharedAccount:
        """The account of a rule for ``key``; opened when there is none."""
        name = (rule.name, rule.version, key)
        found = self._accounts.get(name)
        if found is not None:
            found.touch()
        if found is None or self._accounts.get(name) is not found:
            with self._lock:
                found = self._accounts.setdefault(name, SharedAccount(self, rule, key))
                self._start()
        return found

    def _forget_idle(self) -> None:
        """Let go of accounts that nobody uses: a process that serves many customers would keep all of them."""
        with self._lock:
            for name, account in list(self._accounts.items()):
                if account.is_over():
                    del self._accounts[name]

    def wake(self) -> None:
        """There is something to report soon."""
        self._waking.set()

    def stand(self, accounts: Iterable[SharedAccount], ask_for: float = 0.0) -> None:
        """Tell the collector where leases are to stand, and take over what it says. Blocks for its answer."""
        listed = list(accounts)
        said = [(account, each) for account in listed for each in account.statement(ask_for)]
        self._send(said, _ANSWER_S)

    def close(self) -> None:
        """Give back what is not used. Waits for the collector for a moment at most."""
        self._closing = True
        self._waking.set()
        if self._pid == os.getpid() and not self.is_silent:
            held = list(self._accounts.values())
            self._send([(a, each) for a in held for each in a.last_statement()], 0.5)

    def _send(self, said: list[tuple[SharedAccount, dict[str, Any]]], timeout_s: float) -> None:
        if not said:
            return
        from tachograph._control import unrecorded

        body = {"holder": self._holder, "leases": [each for _, each in said]}
        with unrecorded():
            answer = self._client.call("POST", LEASES, body, timeout_s=timeout_s)
        given = answer.data.get("leases") if answer else None
        if not _makes_sense(given, [each for _, each in said]):
            self._silent_until_s = monotonic() + _SILENCE_S
            return
        self._silent_until_s = 0.0
        for (account, _), each in zip(said, cast(list[dict[str, Any]], given), strict=True):
            account.heard(each)

    def _start(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            with not_carried():
                threading.Thread(
                    target=self._report, name="tachograph-budgets", daemon=True
                ).start()

    def _report(self) -> None:
        while not self._closing:
            self._waking.wait(_REPORT_S)
            self._waking.clear()
            with guarded("reporting on budgets"):
                listed = [a for a in list(self._accounts.values()) if a.wants_to_speak()]
                if listed and not self.is_silent and not self._closing:
                    self.stand(listed)
                self._forget_idle()
