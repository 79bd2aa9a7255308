"""This process's shares of budgets: taken from the collector before they are spent, reported, renewed, given back.

One share covers many calls: a call waits for the collector only when nothing of the share is left. A thread reports what
was used and renews shares before they run out. Without the collector a share is used up, then the rule says what happens.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from tachograph._budget_ledger import Ledger, left_behind
from tachograph._budget_state import COUNTED, SLACK, Action, Call, Shortage
from tachograph._guard import guarded
from tachograph._lease_talk import as_account, makes_sense
from tachograph._waits import Background, Bell, Mutex
from tachograph_schemas.budgets import Rule
from tachograph_schemas.control import LEASE_S, LEASES, MOST_LEASES

if TYPE_CHECKING:
    from pathlib import Path

    from tachograph_schemas.control_client import ControlClient

_ANSWER_S: Final = 3.0
_SILENCE_S: Final = 2.0
"""After a collector did not answer, how long calls do not ask it again."""
_REPORT_S: Final = 1.0
_IDLE_S: Final = 2 * LEASE_S
"""After how long without use an account is let go of."""


class SharedAccount:
    """This process's share of one budget for one agent, customer ... Guarded by a lock."""

    def __init__(self, office: Office, rule: Rule, key: str) -> None:
        self.rule = rule
        self.key = as_account(key)
        self.scope = rule.scope
        self.action = cast(Action, rule.action)
        self.hook: Callable[[Any], Any] | None = None
        self.degraded = False
        self._office = office
        self._lock = Mutex()
        self._lease = secrets.token_hex(16)
        self._granted = self._used = self._held = 0.0
        self._reported = 0.0
        self._finished: list[tuple[str, float, int]] = []
        """Leases that will not be used any more: what was used of each, and its place in the ledger."""
        self._slot = -1
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

    def reserve(self, call: Call, *, force: bool = False) -> Shortage | dict[str, float]:
        unit = self.rule.unit
        is_count = unit in COUNTED.values()
        with self._lock:
            need = self._need(call)
            if need is None:
                return {}
            is_guess = call.is_guess(unit, self._largest)
            found = None if force else self._shortage(need, is_guess=is_guess)
            if found is not None:
                return found
            if is_guess:
                # More than there is would be asked for in vain, and be told as a want.
                need = min(need, max(self._room(), 0.0))
            self._last_use_s = monotonic()
            if is_count:
                self._used += need
            else:
                self._held += need
            self._note()
            if self._room() < self._granted / 4 or self._used > self._granted:
                self._office.wake()
        return {} if is_count else {unit: need}

    def short(self, call: Call) -> Shortage | None:
        with self._lock:
            need = self._need(call)
            is_guess = call.is_guess(self.rule.unit, self._largest)
            return None if need is None else self._shortage(need, is_guess=is_guess)

    def _need(self, call: Call) -> float | None:
        """What a call may use at most; ``None``: it is of a kind that this budget does not count."""
        unit = self.rule.unit
        if unit in COUNTED.values() and COUNTED.get(call.layer) != unit:
            return None
        return call.need(unit, self._largest)

    def settle(self, held: Mapping[str, float], used: Mapping[str, float]) -> None:
        unit = self.rule.unit
        with self._lock:
            self._held = max(self._held - held.get(unit, 0.0), 0.0)
            amount = max(used.get(unit, 0.0), 0.0)
            self._used += amount
            if "tokens" in used:
                self._largest = max(self._largest, amount)
            self._last_use_s = monotonic()
            self._note()
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

    def _shortage(self, need: float, *, is_guess: bool) -> Shortage | None:
        rule, silent = self.rule, self._office.is_silent
        if is_guess and not self._held:
            # Alone, a call of which nothing is known may be made as long as anything is left.
            need = _least(rule)
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
                self._finish()
            idle = not ask_for and not self._held and now - self._last_use_s > LEASE_S / 2
            if idle and self._granted:
                self._finish()
            about = {"budget": self.rule.name, "account": self.key}
            said = self._ended()
            if not idle and (ask_for or self._granted or self._used):
                need = ask_for or self._held + _least(self.rule)
                said.append({"lease": self._lease, "used": self._used, "need": need, **about})
            return said

    def last_statement(self) -> list[dict[str, Any]]:
        """The process ends: what was used is final, and what is held was asked for and may be charged yet."""
        with self._lock:
            self._used += self._held
            self._held = 0.0
            if self._granted or self._used:
                self._finish()
            return self._ended()

    def _finish(self) -> None:
        """Nothing more is spent under the present lease."""
        # Calls under way stay noted with it, until the collector has heard of it.
        self._finished.append((self._lease, self._used, self._slot))
        self._lease = secrets.token_hex(16)
        self._granted = self._used = self._expires_s = 0.0
        self._slot = -1

    def _ended(self) -> list[dict[str, Any]]:
        about = {"budget": self.rule.name, "account": self.key}
        return [
            {"lease": old, "used": used, "done": True, **about} for old, used, _ in self._finished
        ]

    def _note(self) -> None:
        self._office.ledger.note(self._slot, self._used, self._held)

    def heard(self, given: Mapping[str, Any], asked_s: float) -> None:
        """What the collector said about one of the leases, to what was asked then (monotonic)."""
        with self._lock:
            for each in [each for each in self._finished if each[0] == given["lease"]]:
                self._finished.remove(each)
                self._office.ledger.free(each[2])
            if given["lease"] != self._lease:
                return
            self._reported = float(given["used"])
            self._granted = float(given["granted"])
            if self._slot < 0:
                self._slot = self._office.ledger.open(self._lease, self._used, self._held)
            self._others = max(float(given["spent"]) - max(self._granted, self._reported), 0.0)
            # From when we asked on: how long the answer took is ours to bear.
            self._expires_s = asked_s + float(given["expires_s"]) * 0.9
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


def _least(rule: Rule) -> float:
    """What is worth asking for at least."""
    return min(rule.limit / 1_000, 0.01) if rule.unit == "usd" else 1.0


class Office:
    """The accounts of one process, and its line to the collector."""

    def __init__(self, client: ControlClient, home: Path | None = None) -> None:
        """What is used is noted in ``home``, for whoever comes after a kill."""
        self._client = client
        self.home = home
        self.ledger = Ledger(None)
        self._accounts: dict[tuple[str, int, str], SharedAccount] = {}
        self._lock = Mutex()
        self._waking = Bell()
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
        self._waking.ring()

    def stand(self, accounts: Iterable[SharedAccount], ask_for: float = 0.0) -> None:
        """Tell the collector where leases are to stand, and take over what it says. Blocks for its answer."""
        listed = list(accounts)
        said = [(account, each) for account in listed for each in account.statement(ask_for)]
        self._send(said, _ANSWER_S)

    def close(self) -> None:
        """Give back what is not used. Waits for the collector for a moment at most."""
        self._closing = True
        self._waking.ring()
        if self._pid == os.getpid():
            said = [(a, each) for a in list(self._accounts.values()) for each in a.last_statement()]
            told = not self.is_silent and self._send(said, 0.5)
            self.ledger.close(told=told)

    def _send(self, said: list[tuple[SharedAccount, dict[str, Any]]], timeout_s: float) -> bool:
        """Whether the collector has heard it."""
        for first in range(0, len(said), MOST_LEASES):
            some = said[first : first + MOST_LEASES]
            asked_s = monotonic()
            given = self._tell([each for _, each in some], timeout_s)
            if given is None:
                return False
            for (account, _), each in zip(some, given, strict=True):
                account.heard(each, asked_s)
        return True

    def _tell(self, said: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]] | None:
        if not said:
            return []
        from tachograph._control import unrecorded

        with unrecorded():
            body = {"holder": self._holder, "leases": said}
            answer = self._client.call("POST", LEASES, body, timeout_s=timeout_s)
        given = answer.data.get("leases") if answer else None
        if not makes_sense(given, said):
            self._silent_until_s = monotonic() + _SILENCE_S
            return None
        self._silent_until_s = 0.0
        return cast(list[dict[str, Any]], given)

    def _tell_of_the_dead(self, home: Path) -> None:
        """What processes that were killed did not use is given back."""
        for left in left_behind(home, self._client.identity):
            said = [
                {"lease": lease, "used": used, "done": True, "budget": "", "account": ""}
                for lease, used in left.used.items()
            ]
            if self._tell(said, _ANSWER_S) is None:
                return
            left.remove()

    def _start(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            if self.home is not None:
                with guarded("noting shares of budgets"):
                    self.ledger = Ledger(self.home, self._client.identity)
            with guarded("starting to report on budgets"):
                Background(self._report, "tachograph-budgets").start()

    def _report(self) -> None:
        look_at_s = 0.0
        while not self._closing:
            if self.home is not None and monotonic() >= look_at_s:
                look_at_s = monotonic() + LEASE_S
                with guarded("giving back shares of budgets"):
                    self._tell_of_the_dead(self.home)
            self._waking.wait(_REPORT_S)
            with guarded("reporting on budgets"):
                listed = [a for a in list(self._accounts.values()) if a.wants_to_speak()]
                if listed and not self.is_silent and not self._closing:
                    self.stand(listed)
                self._forget_idle()
