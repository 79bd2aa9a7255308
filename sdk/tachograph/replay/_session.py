"""Recording in this process: where tapes are written, how a run's tape begins and ends, and where it goes then."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import json
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tachograph._frame import frame_of
from tachograph._guard import contain, guarded
from tachograph._screened import Screened
from tachograph.replay import _codec, _http
from tachograph.replay._aside import Aside
from tachograph.replay._drain import Drain
from tachograph.replay._drive import drive
from tachograph.replay._engine import Engine
from tachograph.replay._here import code_facts, environment, instruments
from tachograph.replay._loop import kind_of_tasks, why_not_here
from tachograph.replay._place import PLACE, Place
from tachograph.replay._record import Recorder
from tachograph.replay._recording import FORMAT
from tachograph.replay._tape import OF_TAPE, Redact, Room, Tape, digest_of
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._call import Spec
    from tachograph._redact import Redactor
    from tachograph.replay._continue import Plan

Mode = Literal["exact", "light", "off"]
Ship = Callable[[Path], None]
"""Takes a finished run's journal; called on the tapes' thread."""


class Session:
    """What this process needs to make tapes."""

    def __init__(
        self,
        directory: Path,
        redactor: Redactor,
        ship: Ship,
        *,
        light: bool = False,
        screened: Screened | None = None,
    ) -> None:
        self.directory = directory
        self.light = light
        self.threads = "free"
        """Of runs that do not say: ``exact`` if their threads are to take turns."""
        self.redact = digest_of if light else masking(redactor)
        self._rules = len(redactor.rules)
        self._suspects = redactor.suspects
        self._screened = screened or Screened()
        self.ship = ship
        self.wait_for_shipping: Callable[[float], bool] | None = None
        """Waits for so many seconds until what was given to ``ship`` is dealt with."""
        self.drain = Drain()
        self.room = Room()
        self.pid = os.getpid()
        self._numbers = itertools.count()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the tapes of finished runs are written and dealt with; whether that was in time."""
        if self.pid != os.getpid():
            return (
                True  # a forked child makes none, and who writes those of its parent is not in it
            )
        started_s = time.monotonic()
        is_written = self.drain.wait(timeout_s)
        left_s = max(timeout_s - (time.monotonic() - started_s), 0.0)
        return is_written and (self.wait_for_shipping is None or self.wait_for_shipping(left_s))

    def begin(self, facts: dict[str, Any], arguments: Any, plan: Plan | None = None) -> Recorder:
        """Start the tape of a run, which may go on from a recording."""
        run_id = facts["run_id"]
        # A run that is taken up by its id has a tape for each attempt.
        attempt = f"{os.getpid():x}-{next(self._numbers):x}"
        path = self.directory / f"{run_id}.{attempt}.tape"
        suspects = None if self.light else self._suspects
        tape = Tape(path, self.redact, self.drain, self.room, suspects, self._screened)
        self.drain.start(tape)
        text, _ = _codec.dumps(arguments, objects=True)
        mode = "light" if self.light else "exact"
        record = {"t": "run", "format": FORMAT, "mode": mode, **facts}
        if self._rules:
            # A replay that does not know them cannot mask as they did.
            record["rules"] = self._rules
        tape.add(record, "args", text, key=names.input_name("run"))
        recorder = self._engine(tape, plan)
        recorder.entry_file = str(facts["file"])
        recorder.exact = not self.light
        return recorder

    def _engine(self, tape: Tape, plan: Plan | None) -> Recorder:
        if plan is not None:
            from tachograph.replay._continue import Continuation

            return Continuation(tape, plan, self.redact)
        return Recorder(tape)

    def end(self, engine: Recorder, record: dict[str, Any], payload: str | None) -> None:
        """Finish the tape, and send it off in the background."""
        tape = engine.tape
        tape.add(record, "v", payload, key=names.output_name("run"))
        engine.finish()
        if not tape.is_ours:
            return

        def finished() -> None:
            if engine.refused:
                tape.path.unlink(missing_ok=True)
            else:
                self.ship(tape.path)

        self.drain.later(lambda: tape.add({"t": "code", **code_facts(engine.entry_file)}))
        self.drain.finish(tape, finished)


_WHOLE_CHARS = 1 << 20
_PIECE_CHARS, _SEAM_CHARS = 1 << 20, 4_096

_session: Session | None = None
_answering: contextvars.ContextVar[Engine | None] = contextvars.ContextVar(
    "tachograph-answering", default=None
)
"""The engine that the next outermost run belongs to, while replaying."""
_continuing: contextvars.ContextVar[Plan | None] = contextvars.ContextVar(
    "tachograph-continuing", default=None
)


def use(session: Session | None) -> Session | None:
    """Make tapes with this session from now on; returns the one before."""
    global _session
    before, _session = _session, session
    return before


def current() -> Session | None:
    """The session in use."""
    return _session


def continue_from(plan: Plan | None) -> None:
    """The next run that starts in this context follows a recording first."""
    _continuing.set(plan)


def answer_with(engine: Engine) -> None:
    """The next run that starts in this context is replayed by ``engine``."""
    _answering.set(engine)


def arguments_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call's arguments by name, so that those of secrets are known by theirs; else as they are."""
    try:
        return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return [list(args), dict(kwargs)]


def masking(redactor: Redactor) -> Redact:
    """Masks secrets in JSON texts; what is not JSON afterwards is left out."""

    def redact(text: str, key: str = OF_TAPE) -> str:
        is_whole = len(text) <= _WHOLE_CHARS
        masked, count = (redactor.redact if is_whole else redactor.rules.apply_paths)(key, text)
        if is_whole and not count:
            return text
        try:
            tree = json.loads(masked)
            return _plain_json(tree if is_whole else _in_pieces(redactor, tree, key))
        except (ValueError, RecursionError):
            return '{"$":"opaque","t":"withheld"}'

    return redact


def _plain_json(tree: Any) -> str:
    return json.dumps(tree, separators=(",", ":"))


def _in_pieces(redactor: Redactor, tree: Any, key: str) -> Any:
    """A large value with its secrets masked, text by text; a redactor examines only so much at once."""
    if isinstance(tree, dict):
        return {name: _in_pieces(redactor, item, name) for name, item in tree.items()}
    if isinstance(tree, list):
        return [_in_pieces(redactor, item, key) for item in tree]
    if not isinstance(tree, str):
        return tree
    pieces = [tree[at : at + _PIECE_CHARS] for at in range(0, len(tree), _PIECE_CHARS)]
    seams = range(_PIECE_CHARS, len(tree), _PIECE_CHARS)
    # What lies across two pieces is looked at too, and then the text is left out as a whole.
    if any(redactor.redact(key, tree[at - _SEAM_CHARS : at + _SEAM_CHARS])[1] for at in seams):
        return "[masked]"
    return "".join(redactor.redact(key, piece)[0] for piece in pieces)


def outermost(spec: Spec, policies: tuple[str, str]) -> Any:
    """The seam of a run that starts here; None when no tape is made of it."""
    engine = _answering.get()
    if engine is not None and not engine.over:
        return RunSeam(spec, engine, keeps_output=True)
    session = _session
    # Whoever keeps payloads out of spans does not want them on a tape.
    if session is None or session.pid != os.getpid() or policies[0] != "full":
        return None
    return RunSeam(spec, None, keeps_output=policies[1] == "full")


class RunSeam:
    """An outermost run: its tape begins and ends with it."""

    def __init__(self, spec: Spec, engine: Engine | None, *, keeps_output: bool) -> None:
        self._spec = spec
        self._engine = engine
        self._keeps_output = keeps_output
        self._token: Any = None

    def _begin(self, form: str, function: Any, args: Any, kwargs: Any) -> Place | None:
        if self._engine is None:
            try:
                self._engine = self._recorder(form, function, args, kwargs)
            except BaseException as fault:
                if not contain("starting a tape", fault):
                    raise
                return None
        _http.install()
        return Place(self._engine, self._engine.root)

    def _recorder(self, form: str, function: Any, args: Any, kwargs: Any) -> Recorder:
        # The run's span is current already, the seam is asked for inside of it.
        run = frame_of().run
        options = self._spec.run
        if run is None or _session is None or options is None:
            raise RuntimeError("a run without a span has no tape")
        facts = {
            "run_id": run.id,
            "agent": options.agent_name,
            # A script that is continued goes by another name than when it is run.
            "entry": options.entrypoint.replace("__tacho_main__:", "__main__:"),
            "file": options.source_file,
            "form": form,
            "env": environment(),
            "instruments": instruments(),
            **kind_of_tasks(),
            # The one thing that random keeps between two draws beside its generator.
            "gauss": getattr(random, "_inst").gauss_next,  # noqa: B009 - no public name
        }
        plan = _continuing.get()
        if plan is not None:
            step = plan.live_from_step
            if step is not None:
                parent: dict[str, Any] = {"run_id": plan.recording.run_id, "step": step}
                places = [edit.place for edits in plan.edits.values() for edit in edits]
                parent |= {"model": plan.model} if plan.model else {}
                facts["parent"] = parent | ({"set": places} if places else {})
            if plan.run_ids is not None:
                plan.run_ids.append(run.id)
        threads = options.threads or _session.threads
        turns = (plan.recording.run.get("threads") if plan is not None else threads) == "exact"
        if turns:
            facts["threads"] = "exact"
        recorder = _session.begin(facts, arguments_of(function, args, kwargs), plan)
        recorder.takes_turns = turns
        why = why_not_here() if form == "coroutine" and recorder.exact else ""
        if why:
            recorder.fall_back(why)
        return recorder

    def _end(self, outcome: str, value: Any) -> None:
        engine = self._engine
        if engine is not None and engine.replaying and outcome == "ok":
            engine.keep_result(value)
        if not isinstance(engine, Recorder) or _session is None:
            return
        with guarded("ending a tape"), _finishing(engine):
            payload = None
            if outcome != "cancel" and self._keeps_output:
                payload, _ = _codec.dumps(value)
            run = frame_of().run
            limits = engine.why_light or engine.tape.why_cut or engine.why_no_turns
            limits = limits or engine.why_forked
            if run is not None and limits:
                run.span.set_attribute(names.RECORDING_LIMITS, limits)
            _session.end(engine, {"t": "end", "o": outcome}, payload)

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A plain function."""
        place = self._begin("function", function, args, kwargs)
        token = PLACE.set(place)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            self._end("err", error)
            raise
        finally:
            PLACE.reset(token)
        self._end("ok", result)
        return result

    async def acall(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A coroutine function."""
        place = self._begin("coroutine", function, args, kwargs)
        if place is None:
            return await function(*args, **kwargs)
        try:
            result = await _in_its_place(place, lambda: function(*args, **kwargs))
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            self._end("cancel" if cancelled else "err", error)
            raise
        self._end("ok", result)
        return result

    def gen(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        """A generator: the run goes on while its consumer asks for more."""
        place = self._begin("generator", function, args, kwargs)
        body = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            token = PLACE.set(place)
            try:
                item = body.send(sent) if thrown is None else body.throw(thrown)
            except StopIteration as stop:
                self._end("ok", stop.value)
                return stop.value
            except BaseException as error:
                self._end("err", error)
                raise
            finally:
                PLACE.reset(token)
            sent, thrown = None, None
            try:
                if self._engine is None:
                    sent = yield item
                    continue
                with Aside(self._engine, "consumer"):
                    sent = yield item
            except BaseException as error:
                thrown = error

    async def agen(
        self, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> AsyncGenerator[Any, Any]:
        """An async generator. It is not recorded for replay: its consumer is part of its schedule."""
        async for item in function(*args, **kwargs):
            yield item


@contextmanager
def _finishing(engine: Engine) -> Iterator[None]:
    """The run is over, whatever comes in the midst of its end: threads that it has left wait for no turns."""
    try:
        yield
    except BaseException:
        engine.finish()
        raise


async def _in_its_place(place: Place, make: Callable[[], Any]) -> Any:
    if place.engine.exact:
        return await drive(place, make)
    token = PLACE.set(place)
    try:
        return await make()
    finally:
        PLACE.reset(token)
