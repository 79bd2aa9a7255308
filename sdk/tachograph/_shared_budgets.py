"""Budgets that are kept at the collector: which of them a call belongs to.

Rules arrive with the orders (:mod:`._orders`). What is limited per run is counted here; of all else this process
leases shares (:mod:`._budget_leases`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from tachograph._budget_leases import Office
from tachograph._budget_state import Account, Action, BudgetState
from tachograph._frame import Frame, Place
from tachograph._guard import guarded
from tachograph._waits import Gate
from tachograph_schemas import names
from tachograph_schemas.budgets import BudgetError, Rule, key_of, rule_from

if TYPE_CHECKING:
    from tachograph_schemas.control_client import ControlClient

FIRST_WORD_S: Final = 1.0
"""How long the first call of a process waits to hear which budgets there are ..."""
FIRST_WORD_EVER_S: Final = 4.0
"""... and where this machine has not heard it before: a collector that is only slow may know of some."""
_ANSWER_S = 3.0
_SILENCE_S = 2.0
"""After a collector did not answer, how long calls do not ask it again."""
_REPORT_S = 1.0
_PLACES: Final[frozenset[names.Layer]] = frozenset(("step", "tool", "repair"))

in_force: tuple[Rule, ...] = ()
"""Read before every effect; empty nearly always."""
asking = False
"""Whether one of them asks people."""
replays = False
"""Whether this process drives runs from recordings: budgets that are not in force here may have had a word then."""
on_degrade: Callable[[Any], Any] | None = None
"""The hook of ``tacho.on_degrade``."""
heard = Gate(is_open=True)
"""Open once the collector has said which budgets there are, or that it cannot be asked."""
_office: Office | None = None
_kept: Path | None = None


def connect(client: ControlClient | None, home: Path | None = None) -> None:
    """Lease from this collector from now on; None: no shared budgets. What is held is given back.

    The rules last heard are kept in ``home``: a process that starts while the collector is away must not
    spend as if there were none.
    """
    global _office, _kept, heard
    before, _office = _office, None
    put(())
    heard.open()
    if before is not None:
        before.close()
    _kept = None
    if client is not None:
        _office = Office(client, home)
        heard = Gate()
        if home is not None:
            # Which budgets there are depends on whom is asked, and as whom.
            _kept = home / f"budgets-{client.identity}.json"


def put(rules: Iterable[Mapping[str, Any]]) -> None:
    """These rules are in force now."""
    global in_force, asking
    found = []
    for given in rules:
        try:
            found.append(rule_from(given))
        except BudgetError:
            # Of a newer collector. What is not understood cannot be kept; the others can.
            continue
    in_force = tuple(found)
    asking = any(rule.action == "ask" for rule in found)


def hear(rules: Iterable[Mapping[str, Any]]) -> None:
    """The collector says that these rules are in force."""
    listed = list(rules)
    put(listed)
    heard.open()
    path = _kept
    if path is None:
        return
    text = json.dumps(listed)
    if listed:
        with guarded("keeping budgets"):
            _keep(path, text)
    else:
        # Something to go on while the collector is slow, and not worth a word where nothing can be written.
        with suppress(OSError):
            _keep(path, text)


def _keep(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


def hear_nothing() -> None:
    """The collector cannot be asked: what it said last holds, if nothing newer is known."""
    if heard.is_open:
        return
    with guarded("reading budgets"):
        if _kept is not None and _kept.exists():
            put(json.loads(_kept.read_text(encoding="utf-8")))
    heard.open()


def wait_for_word() -> None:
    """Wait until it is known which budgets there are, some seconds at most, once for each process."""
    if not heard.is_open and _office is not None and not heard.wait(_patience_s()):
        hear_nothing()


def _patience_s() -> float:
    is_known = _kept is not None and _kept.exists()
    return FIRST_WORD_S if is_known else FIRST_WORD_EVER_S


def places(outer: Frame, layer: names.Layer, name: str) -> tuple[Place, ...]:
    """Where code inside a new span is, for the rules that limit steps, tools and repair loops."""
    if layer not in _PLACES:
        return outer.places
    return (*outer.places, Place(layer, name))


def accounts(frame: Frame, tool: str = "") -> list[Account]:
    """The accounts of shared budgets that code in ``frame``, or its call of ``tool``, spends from."""
    found: list[Account] = []
    for rule in in_force:
        for key in _keys(rule, frame, tool):
            if rule.is_local:
                if frame.run is not None:
                    found.append(_local(rule, key, frame))
            elif (office := _office) is not None:
                account = office.account(rule, key)
                account.hook = on_degrade
                found.append(account)
    return found


def _keys(rule: Rule, frame: Frame, tool: str) -> list[str]:
    stamp = frame.run.stamp if frame.run is not None else {}
    about = {
        "agent": frame.agent or "",
        "customer": stamp.get(names.CUSTOMER, ""),
        "user": stamp.get(names.USER_ID, ""),
    }
    if rule.scope == "tool":
        named = {place.name for place in frame.places if place.layer == "tool"} | {tool}
        keys = {key_of(rule, {"tool": name}) for name in named if name}
        return sorted(key for key in keys if key is not None)
    key = key_of(rule, about)
    if key is None:
        return []
    if rule.scope in {"step", "repair"}:
        return [str(id(place)) for place in frame.places if place.layer == rule.scope]
    return [""] if rule.scope == "run" else [key]


def _local(rule: Rule, key: str, frame: Frame) -> Account:
    run = frame.run
    assert run is not None
    name = (rule.name, rule.version, key)
    with run.lock:
        found = run.accounts.get(name)
        if found is None:
            found = BudgetState(
                {rule.unit: rule.limit},
                rule.scope,
                cast(Action, rule.action),
                strict=True,
                hook=on_degrade,
                called=rule.name,
            )
            run.accounts[name] = found
    return found


def _after_fork() -> None:
    """The child's shares are its own: what the parent leased is the parent's."""
    global _office, heard
    heard = Gate(is_open=heard.is_open)
    if _office is not None:
        _office.ledger.leave_to_parent()
        _office = Office(_office.client, _office.home)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
