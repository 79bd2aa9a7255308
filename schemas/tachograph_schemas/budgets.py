"""What a budget that is kept at the collector says, and when its windows begin. Standard library alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tachograph_schemas.words import usd

SCOPES: Final = ("run", "step", "tool", "repair", "agent", "customer", "user", "project")
UNITS: Final = ("usd", "tokens", "model_calls", "tool_calls", "steps", "wall_s", "working_s")
WINDOWS: Final = ("run", "hour", "day", "week", "month", "rolling")
ACTIONS: Final = ("stop", "ask", "degrade", "warn")
UNREACHABLE: Final = ("share", "stop", "allow")
_INSIDE_RUNS: Final = frozenset(("run", "step", "repair"))
_CLOCKS: Final = frozenset(("wall_s", "working_s"))
_ROLLING_PIECES: Final = 60
_NS: Final = 1_000_000_000


class BudgetError(ValueError):
    """A budget that makes no sense; the message says what would."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One budget: at most ``limit`` of ``unit`` in each ``window``, for each thing that ``scope`` and ``target`` mean."""

    name: str
    limit: float
    unit: str = "usd"
    scope: str = "project"
    target: str = ""
    """Which agent, tool, customer or user; empty: each one has a budget of its own. For runs, steps and repair loops:
    of which agent."""
    window: str = "month"
    rolling_s: int = 0
    """The length of a ``rolling`` window, seconds."""
    action: str = "stop"
    unreachable: str = "share"
    """Without the collector: ``share`` uses up what was leased and then does what ``action`` says; ``stop`` stops at
    once; ``allow`` goes on."""
    version: int = 0

    @property
    def is_local(self) -> bool:
        """Whether every process can count for itself: it ends with the run."""
        return self.window == "run"

    @property
    def is_hard(self) -> bool:
        """Whether the call that finds it used up is not made, unless a person says so."""
        return self.action in {"stop", "ask"}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Window:
    """The time that counts now."""

    since_ns: int
    """What was used from here on counts."""
    bucket_ns: int
    """Under which beginning use is put down now."""
    bucket_ends_ns: int
    ends_ns: int
    """When nothing that is used now counts any more."""


def rule_from(given: Mapping[str, Any]) -> Rule:
    """A rule from JSON, YAML or options.

    Raises:
        BudgetError: something is missing, unknown or contradicts itself.
    """
    known = {column.name for column in fields(Rule)}
    unknown = sorted(set(map(str, given)) - known)
    if unknown:
        raise BudgetError(
            f"{', '.join(unknown)}: not known; a budget has {', '.join(sorted(known))}"
        )
    values = {key: value for key, value in given.items() if value is not None}
    name, limit = values.get("name"), values.get("limit")
    if not isinstance(name, str) or not name or len(name) > 200 or "/" in name:
        raise BudgetError("a budget needs a name of at most 200 characters, without a slash")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        raise BudgetError(f"{name}: `limit` is a number")
    texts = ("unit", "scope", "target", "window", "action", "unreachable")
    if not all(isinstance(values.get(key, ""), str) for key in texts):
        raise BudgetError(f"{name}: {', '.join(texts)} are texts")
    if any(type(values.get(key, 0)) is not int for key in ("rolling_s", "version")):
        raise BudgetError(f"{name}: `rolling_s` and `version` are whole numbers")
    scope = str(values.get("scope", "project"))
    window = "run" if scope in _INSIDE_RUNS else "month"
    rule = Rule(**{"window": window, **values, "limit": float(limit)})
    problem = _problem(rule)
    if problem:
        raise BudgetError(f"{name}: {problem}")
    return rule


def _problem(rule: Rule) -> str:
    closed = {
        "unit": UNITS,
        "scope": SCOPES,
        "window": WINDOWS,
        "action": ACTIONS,
        "unreachable": UNREACHABLE,
    }
    for key, known in closed.items():
        if getattr(rule, key) not in known:
            return f"`{key}` is one of {', '.join(known)}"
    if not 0 <= rule.limit <= 1e15:
        return "`limit` is between 0 and 1e15"
    if len(rule.target) > 200:
        return "`target` has at most 200 characters"
    if rule.scope == "project" and rule.target:
        return "a budget of the project has no target"
    if (rule.window == "rolling") != (rule.rolling_s > 0):
        return "`rolling_s` (seconds) belongs to the window `rolling`, and only to it"
    if rule.rolling_s and not 60 <= rule.rolling_s <= 366 * 86_400:
        return "`rolling_s` is between 60 and 31622400"
    if not rule.is_local and rule.scope in _INSIDE_RUNS:
        return f"a {rule.scope} has no {rule.window}; its window is `run`"
    if not rule.is_local and rule.unit in _CLOCKS:
        return f"{rule.unit} is counted in a run; its window is `run`"
    return ""


def rules_from(document: Any) -> list[Rule]:
    """The rules of a file: ``{"budgets": [...]}``, or the list itself.

    Raises:
        BudgetError: it is something else, or names one twice.
    """
    listed = document.get("budgets") if isinstance(document, Mapping) else document
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise BudgetError(
            "the file holds `budgets`: a list of budgets, each with a name and a limit"
        )
    rules = [rule_from(each) for each in listed]
    twice = sorted({rule.name for rule in rules if [r.name for r in rules].count(rule.name) > 1})
    if twice:
        raise BudgetError(f"named twice: {', '.join(twice)}")
    return rules


def window_at(rule: Rule, now_ns: int) -> Window:
    """The window of a shared rule at a time; days, weeks (from Monday) and months are those of UTC."""
    if rule.window == "rolling":
        piece_ns = max(rule.rolling_s // _ROLLING_PIECES, 1) * _NS
        bucket_ns = now_ns // piece_ns * piece_ns
        # The oldest piece still counts whole: the window is never shorter than it says.
        since_ns = bucket_ns - rule.rolling_s * _NS
        return Window(since_ns, bucket_ns, bucket_ns + piece_ns, now_ns + rule.rolling_s * _NS)
    now = datetime.fromtimestamp(now_ns // _NS, UTC)
    day = now.replace(hour=0, minute=0, second=0)
    if rule.window == "hour":
        start = now.replace(minute=0, second=0)
        end = start + timedelta(hours=1)
    elif rule.window == "day":
        start, end = day, day + timedelta(days=1)
    elif rule.window == "week":
        start = day - timedelta(days=now.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    start_ns, end_ns = int(start.timestamp()) * _NS, int(end.timestamp()) * _NS
    return Window(start_ns, start_ns, end_ns, end_ns)


def key_of(rule: Rule, about: Mapping[str, str]) -> str | None:
    """Whose account a call belongs to: ``about`` holds ``agent tool customer user run``. None: not this rule's."""
    if rule.scope == "project":
        return ""
    mine = about.get("agent" if rule.scope in _INSIDE_RUNS else rule.scope, "")
    if rule.target:
        return mine if mine == rule.target else None
    return mine if mine or rule.scope in _INSIDE_RUNS else None


def forecast(spent: float, since_ns: int, now_ns: int, ends_ns: int) -> float:
    """What will be spent when a window ends, if it goes on like this; in the unit of ``spent``."""
    passed, whole = max(now_ns - since_ns, 1), max(ends_ns - since_ns, 1)
    return spent * max(whole / passed, 1.0)


_NOUNS = {"wall_s": "s by the clock", "working_s": "s of work"}


def amount(number: float, unit: str) -> str:
    """``$5``, ``$0.50``, ``100 tool calls``: so much of a unit, in words."""
    if unit == "usd":
        return usd(number).removesuffix(".00")
    if unit in _NOUNS:
        return f"{number:,.1f}".removesuffix(".0") + f" {_NOUNS[unit]}"
    noun = unit.replace("_", " ")
    return f"{number:,.0f} {noun.removesuffix('s') if number == 1 else noun}"


def _length(seconds: int) -> str:
    """``1 h``, ``90 min``, ``45 s``: exactly, in the largest unit that goes into it."""
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % unit_s == 0:
            return f"{seconds // unit_s:,} {unit}"
    return f"{seconds:,} s"


def limits_sentence(rule: Rule) -> str:
    """``at most $5 a day for each customer``."""
    each = {
        "project": "for the project",
        "run": "for each run",
        "step": "for each step",
        "repair": "for each repair loop",
    }.get(rule.scope, f"for each {rule.scope}")
    if rule.target:
        named = f"{rule.scope} " if rule.scope not in _INSIDE_RUNS else f"{rule.scope} of "
        each = f"for {'each ' if rule.scope in _INSIDE_RUNS else ''}{named}{rule.target}"
    article = "an" if rule.window == "hour" else "a"
    span = (
        f"in {_length(rule.rolling_s)}" if rule.window == "rolling" else f"{article} {rule.window}"
    )
    most = amount(rule.limit, rule.unit)
    return f"at most {most}{'' if rule.is_local else f' {span}'} {each}"
