"""Replays a recording in this process: calls the entrypoint again and compares."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tachograph import _shared_budgets
from tachograph import _threads as carried
from tachograph._run import taken_up
from tachograph.replay import _session, _sources, _threads
from tachograph.replay._code import changed_since
from tachograph.replay._codec import CodecError, dumps, loads
from tachograph.replay._continue import Plan
from tachograph.replay._divergence import Diverged, Divergence, changes_between, same
from tachograph.replay._play import Player
from tachograph.replay._recording import Recording
from tachograph.replay._types import Types
from tachograph_schemas import names

UNKNOWN_RULES = (
    "the recording was masked by rules of the program that are not known here. Call tacho.init where the module of the"
    " run is imported, or say redact_paths in tacho.toml"
)


@dataclass(slots=True)
class Replayed:
    """What came of a replay."""

    run_id: str
    identical: bool
    effects: int
    """Effects that were answered from the tape."""
    output: Any
    """The result as a tree of JSON types, as a tape would have it; None when it diverged, unless that was forgiven."""
    divergence: Divergence | None = None
    drifts: list[Divergence] = field(default_factory=list)
    """Calls with other arguments that were answered all the same, in a lenient replay."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run_id": self.run_id,
            "identical": self.identical,
            "effects": self.effects,
            "output": self.output,
            "divergence": self.divergence.as_dict() if self.divergence is not None else None,
            "drifts": [drift.as_dict() for drift in self.drifts],
        }


def replay(
    recording: Recording,
    entry: Callable[..., Any],
    *,
    root: Path | None = None,
    started: Callable[[Player], None] | None = None,
    player: Player | None = None,
    lenient: bool = False,
) -> Replayed:
    """Run ``entry``, the decorated function of the run, against the recording. Nothing live happens.

    Args:
        recording: What to answer from.
        entry: The run's function as it is now.
        root: Where the program's files are; default: the working directory.
        started: Told the engine before the agent's code begins.
        player: Another engine than the one that keeps to the recorded order.
        lenient: Answer calls with other arguments than recorded too, and list them.

    Returns:
        Whether result and effects were the same, else the first difference. Raises nothing of the agent's.

    Raises:
        RecordingError: the recording says that it does not suffice.
    """
    from tachograph import _masks, _recorder

    recording.check_replayable()
    redactor = _masks.redactor()
    player = player or Player(recording, _session.masking(redactor), lenient=lenient)
    if started is not None:
        started(player)
    before = _recorder.active()
    with _patched():
        if before is None:
            from tachograph._setup import recorder_without_export

            # Without one the decorators do nothing, and budgets count nothing.
            _recorder.activate(recorder_without_export())
        try:
            outcome, value = contextvars.copy_context().run(_perform, player, recording, entry)
        finally:
            _recorder.activate(before)
            player.let_go()
    found = _first_difference(player, recording, outcome, value)
    if found is not None:
        found.code_changes = changed_since(recording.code.get("files") or {}, root or Path.cwd())
    tree = _shown(player, outcome, value, found)
    made = Replayed(recording.run_id, found is None, player.effects, tree, found, player.drifts)
    return made if recording.run.get("rules", 0) <= len(redactor.rules) else _withheld(made)


def go_on(
    plan: Plan, entry: Callable[..., Any], run_ids: list[str] | None = None
) -> tuple[str, Any]:
    """Run ``entry`` along a recording and then live, recorded like any run of this process.

    ``run_ids`` gets the run's id: a new one for a fork, the recording's for a resumption.

    Returns:
        ``ok`` and the result, or ``err`` and the exception; a program that does not follow the recording
        ends with :class:`Diverged`.
    """
    return contextvars.copy_context().run(
        _perform, replace(plan, run_ids=run_ids), plan.recording, entry
    )


@contextmanager
def _patched() -> Iterator[None]:
    from tachograph import _call
    from tachograph.replay import _http
    from tachograph.replay._seam import hook

    before = _call.tape_hook
    _call.tape_hook = hook
    _sources.install()
    # A program that is imported has not said `tacho.init()`, and its threads belong to the run all the same.
    carries = carried.install()
    _threads.install()
    _http.install()
    try:
        yield
    finally:
        _call.tape_hook = before
        if before is None:
            _http.uninstall()
            _threads.uninstall()
            _sources.uninstall()
        if carries:
            carried.uninstall()


def _perform(by: Player | Plan, recording: Recording, entry: Callable[..., Any]) -> tuple[str, Any]:
    before, _shared_budgets.replays = _shared_budgets.replays, True
    try:
        return _driven(by, recording, entry)
    finally:
        _shared_budgets.replays = before


def _driven(by: Player | Plan, recording: Recording, entry: Callable[..., Any]) -> tuple[str, Any]:
    if isinstance(by, Player):
        _session.answer_with(by)
    else:
        _session.continue_from(by)
        if by.live_from_step is None:
            taken_up.set(recording.run_id)
    types = by.types if isinstance(by, Player) else Types()
    types.meet(entry)
    if isinstance(by, Player):
        by.meet(entry)
    try:
        given = loads(recording.run["args"], types.find)
    except CodecError as error:
        said = f"the arguments of the run cannot be read back: {error}"
        diverged = Diverged(Divergence("DECODE", said))
        if isinstance(by, Player):
            by.note(diverged.divergence)
        return "err", diverged
    function = entry.__func__ if inspect.ismethod(entry) else entry
    args, kwargs = _arguments(function, given)
    shared: Any = getattr(random, "_inst")  # noqa: B009 - no public name
    shared.gauss_next = recording.run.get("gauss")
    try:
        if inspect.iscoroutinefunction(function):
            eager = recording.run.get("tasks") == "eager"
            return "ok", asyncio.run(_quietly(function(*args, **kwargs), eager=eager))
        result = function(*args, **kwargs)
        if inspect.isgenerator(result):
            for _ in result:
                pass
    except Diverged as diverged:
        return "err", diverged
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return ("cancel" if isinstance(error, asyncio.CancelledError) else "err"), error
    return "ok", result


def _arguments(function: Any, given: Any) -> tuple[Any, Any]:
    """How to call the function, from arguments by name; names that it has no more are passed all the same."""
    if isinstance(given, list):
        return given[0], given[1]
    signature = inspect.signature(function)
    if not given.keys() <= signature.parameters.keys():
        return (), given
    bound = signature.bind_partial()
    bound.arguments.update(given)
    return bound.args, bound.kwargs


async def _quietly(coroutine: Any, *, eager: bool) -> Any:
    loop = asyncio.get_running_loop()
    # What a given-up agent leaves behind is no news.
    loop.set_exception_handler(lambda *_: None)
    if eager:
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
    return await coroutine


def _first_difference(
    player: Player, recording: Recording, outcome: str, value: Any
) -> Divergence | None:
    """The cause; what was forgiven after it may be its consequence, and stays among the drifts."""
    found = player.divergence or _difference(player, recording, outcome, value)
    if player.drifts:
        found, *player.drifts = [*player.drifts, *([found] if found is not None else [])]
    if found is not None and player.why_no_turns:
        why = f"The turns of its threads are recorded in part only: {player.why_no_turns}."
        found.message += f" {why}"
    return found


def _difference(
    player: Player, recording: Recording, outcome: str, value: Any
) -> Divergence | None:
    """What differs although every call was answered."""
    left = player.left_over()
    if left is not None:
        return left
    end = recording.end
    if not end:
        return Divergence("STALLED", "the recording has no end: the run was not finished then.")
    expected = end.get("v")
    if outcome != end["o"]:
        said = f"the run ended with {_said(outcome, value)}; recorded is {end['o']}."
        kind = "EXCEPTION_CHANGED" if "err" in {outcome, end["o"]} else "RESULT_CHANGED"
        now = _as_kept(player, value)
        return Divergence(kind, said, expected=expected, actual=now)  # type: ignore[arg-type]  # of the two
    now = _result(player) if outcome == "ok" else _as_kept(player, value)
    if expected is None or same(expected, now) or player.same_masked(expected, now):
        return None
    changes = changes_between(expected, now)
    if outcome == "err":
        said = "the run ended with another exception."
        return Divergence("EXCEPTION_CHANGED", said, expected=expected, actual=now, changes=changes)
    return Divergence(
        "RESULT_CHANGED",
        "the result is another one.",
        expected=expected,
        actual=now,
        changes=changes,
    )


def _shown(player: Player, outcome: str, value: Any, found: Divergence | None) -> Any:
    """The result for people: masked as it was then; only what is another one now is masked by the rules of today."""
    if outcome != "ok":
        return None
    if found is None:
        return player.recording.end.get("v")
    return _result(player) if player.lenient and player.divergence is None else None


def _result(player: Player) -> Any:
    """As it was when the agent gave it: what is left of its tasks may change it since."""
    return player.redacted(json.loads(player.result or "null"), names.output_name("run"))


def _as_kept(player: Player, value: Any) -> Any:
    return player.redacted(json.loads(dumps(value)[0]), names.output_name("run"))


def _withheld(made: Replayed) -> Replayed:
    """The same, showing nothing that was not recorded: the program had rules on secrets then that this replay does not know."""
    found = [*made.drifts, *([made.divergence] if made.divergence is not None else [])]
    for each in found:
        each.actual, each.changes = None, []
        each.message += f" Values of now are not shown: {UNKNOWN_RULES}."
    if found:
        made.output = None
    return made


def _said(outcome: str, value: Any) -> str:
    return f"{type(value).__name__}: {value}" if outcome == "err" else outcome
