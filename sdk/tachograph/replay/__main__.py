"""The process in which a replay happens: ``python -m tachograph.replay FILE --code DIR``. Prints one JSON object.

``tacho replay`` starts it, with the recording's hash seed and without the environment's keys.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tachograph import _masks, _recorder
from tachograph.replay._divergence import Diverged, Divergence
from tachograph.replay._fence import Fence
from tachograph.replay._play import Player
from tachograph.replay._recording import Recording, RecordingError, load
from tachograph.replay._run import UNKNOWN_RULES, Replayed, replay
from tachograph.replay._warm import serve
from tachograph_schemas import names

LONGEST_PAUSE_S = 2.0
"""Of the processor, without any effect; then the agent is said to run on."""
WAITING = 15
"""So many times as long it may do nothing at all."""
_LOOK_S, _LONGEST_LOOK_S = 0.05, 0.2
"""How often it is looked. More between two looks passed while nobody got on, as on a machine that stood still."""
_TASKS = Path("/proc/self/task")


def main(words: list[str] | None = None) -> int:
    """Replay one file; or, with --serve, many (see :mod:`._warm`). Ends the process."""
    given_words = sys.argv[1:] if words is None else words
    if given_words[:1] == ["--serve"]:
        serve(given_words[1:], main)
        os._exit(0)
    parser = argparse.ArgumentParser(prog="python -m tachograph.replay")
    parser.add_argument("file", type=Path)
    parser.add_argument("--code", type=Path, default=Path())
    parser.add_argument("--entry", default="")
    parser.add_argument("--plan", default="")
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--lenient", action="store_true")
    parser.add_argument("--temporary", default="")
    parser.add_argument("--patience-s", type=float, default=LONGEST_PAUSE_S)
    given = parser.parse_args(given_words)
    out = os.dup(1)
    # What the agent prints is not the answer.
    os.dup2(2, 1)
    fence = Fence()
    # Said first: on a machine where nothing was recorded yet, a replay makes no key, which the fence would refuse.
    _recorder.replaying = not given.plan
    _masks.prepare()
    try:
        answer = _continued(given) if given.plan else _replayed(given, fence)
    except (RecordingError, OSError) as error:
        answer = {"problem": str(error)}
    except Exception as error:
        # The program's own, when it is imported; or of a recording that lies in a way of its own.
        traceback.print_exc()
        answer = {"problem": f"{type(error).__name__}: {error}"}
    finally:
        fence.down()
        shutil.rmtree(fence.sandbox, ignore_errors=True)
    with os.fdopen(out, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    sys.stdout.flush()
    # Threads that the agent left waiting are not waited for.
    os._exit(0)


def _replayed(given: argparse.Namespace, fence: Fence) -> dict[str, Any]:
    recording = load(given.file)
    recording.check_replayable()
    root = given.code.resolve()
    fence.put_up(given.temporary)
    if given.orders:
        return _explored(recording, root, given)
    try:
        result = _with_patience(recording, root, given, fence)
    except Diverged as leaving:
        # Importing the program did what a replay must not do.
        result = Replayed(recording.run_id, identical=False, effects=0, output=None)
        result.divergence = leaving.divergence
    return result.as_dict()


def _explored(recording: Recording, root: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Behind the fence like any replay."""
    from tachograph.replay._entry import find_entry
    from tachograph.replay._explore import explore

    entry = find_entry(recording, root, given.entry)
    _instrument(recording)
    return explore(recording, entry, orders=given.orders).as_dict()


def _continued(given: argparse.Namespace) -> dict[str, Any]:
    """Go on live: no fence, and recorded like any run."""
    import tachograph
    from tachograph.replay._codec import dumps
    from tachograph.replay._continue import Plan
    from tachograph.replay._edits import from_lists
    from tachograph.replay._entry import find_entry
    from tachograph.replay._run import go_on
    from tachograph.replay._session import masking

    recording = load(given.file)
    recording.check_replayable()
    said = json.loads(given.plan)
    # The program may say what is to be masked, and starts nothing by that.
    _recorder.replaying = True
    entry = find_entry(recording, given.code.resolve(), given.entry)
    _recorder.replaying = False
    if recording.run.get("rules", 0) > len(_masks.redactor().rules):
        raise RecordingError(f"what happens now would be recorded as it is, but {UNKNOWN_RULES}")
    tachograph.init(record="exact", **_masks.said())
    _instrument(recording)
    plan = Plan(
        recording,
        said["live_from_step"],
        {int(step): value for step, value in said["results"].items()},
        edits=from_lists(said.get("edits") or []),
        allow_writes=bool(said["allow_writes"]),
        model=str(said.get("model") or ""),
        tools_from_tape=bool(said.get("tools_from_tape")),
        denied=[],
        unreached=[],
    )
    made: list[str] = []
    began_s = time.monotonic()
    outcome, value = go_on(plan, entry, made)
    took_s = time.monotonic() - began_s
    mask, output = masking(_masks.redactor()), names.output_name("run")
    error = f"{type(value).__name__}: {value}"
    tachograph.flush(10)
    tachograph.shutdown(5)
    return {
        "took_s": took_s,
        "denied": plan.denied,
        "unreached": plan.unreached,
        "run_id": made[0] if made else "",
        "outcome": outcome,
        "output": json.loads(mask(dumps(value)[0], output)) if outcome == "ok" else None,
        "error": json.loads(mask(json.dumps(error), output)) if outcome == "err" else None,
    }


def _instrument(recording: Recording) -> None:
    import tachograph

    for name in recording.run.get("instruments") or []:
        # Unknown ones are another version's, or no hooks at all.
        with contextlib.suppress(ImportError, ValueError):
            tachograph.instrument(str(name).replace("_", "-"))


def _with_patience(
    recording: Recording, root: Path, given: argparse.Namespace, fence: Fence
) -> Replayed:
    from tachograph.replay._entry import find_entry

    entry = find_entry(recording, root, given.entry)
    _instrument(recording)

    def started(player: Player) -> None:
        fence.leaked, player.guard = player.note, fence.guard
        player.stand_ins = fence.stand_ins
        _watch(player, given.patience_s)

    player = None
    if recording.overtakings:
        from tachograph.replay._reordered import Steered
        from tachograph.replay._session import masking

        player = Steered(recording, masking(_masks.redactor()), recording.overtakings)
    return replay(
        recording, entry, root=root, started=started, player=player, lenient=given.lenient
    )


class Patience:
    """How long an agent may go on without any effect, by the processor's time or, where it does nothing, by the clock's."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._progress: object = None
        self._looked_s = self._began_s = self._waited_s = self._kept_s = 0.0

    def look(self, progress: object, now_s: float, worked_s: float, kept_s: float = 0.0) -> str:
        """Called again and again. Why it is to be ended; empty: it is not.

        Args:
            progress: Another one than before when the agent has got on.
            now_s: By the clock.
            worked_s: What the process has computed so far.
            kept_s: What it could have computed besides, if others had left it a processor.
        """
        if progress != self._progress:
            self._progress, self._began_s, self._waited_s = progress, worked_s, 0.0
        else:
            passed_s = min(now_s - self._looked_s, _LONGEST_LOOK_S)
            self._waited_s += max(passed_s - max(kept_s - self._kept_s, 0.0), 0.0)
        self._looked_s, self._kept_s = now_s, kept_s
        if worked_s - self._began_s >= self._patience_s:
            return f"the agent ran for {self._patience_s:g} seconds without any effect."
        if self._waited_s >= WAITING * self._patience_s:
            waited_s = WAITING * self._patience_s
            return f"the agent waited for {waited_s:g} seconds without any effect."
        return ""


def _kept_from_computing_s() -> float:
    """How long the other threads of this process were ready and had no processor; 0 where the system does not say."""
    me, kept_ns = str(threading.get_native_id()), 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in _TASKS.iterdir():
            if task.name != me:
                # A thread may end meanwhile.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    kept_ns += int((task / "schedstat").read_text().split()[1])
    return kept_ns / 1e9


def _watch(player: Player, patience_s: float) -> None:
    """Interrupt an agent that goes on and on, or waits and waits, without any effect."""
    said = ""

    def interrupt(_: int, __: FrameType | None) -> None:
        if not player.over:
            player.note(Divergence("BUDGET", said))
            raise Diverged(player.divergence or Divergence("BUDGET", said))

    signal.signal(signal.SIGALRM, interrupt)

    def look() -> None:
        nonlocal said
        patience = Patience(patience_s)
        while not player.over:
            # A module more is progress too: a large library takes seconds to import, where its client is used first.
            progress = player.progress_s, len(sys.modules)
            # What looking takes is not the agent's.
            worked_s = time.process_time() - time.thread_time()
            said = patience.look(progress, time.monotonic(), worked_s, _kept_from_computing_s())
            if said:
                # A signal of the system's, as it ends a wait for a lock too; the fence lets no other out.
                signal.setitimer(signal.ITIMER_REAL, _LOOK_S)
                return
            threading.Event().wait(_LOOK_S)

    threading.Thread(target=look, name="tachograph-patience", daemon=True).start()


if __name__ == "__main__":
    main()
