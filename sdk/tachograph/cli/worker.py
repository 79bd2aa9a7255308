"""``tacho worker``: replays what is asked for in the dashboard, where the code is."""

from __future__ import annotations

import argparse
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tachograph.cli.control_api import call, client
from tachograph.cli.problem import ANSWER_IS_NO, UNREACHABLE, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay_many import TIMEOUT_S
from tachograph.cli.replay_records import replay_result
from tachograph.cli.terminal import note
from tachograph_schemas.control import REPLAY_LEASE_S, REPLAYS
from tachograph_schemas.words import plain

if TYPE_CHECKING:
    from tachograph.replay._process import Processes
    from tachograph_schemas.control_client import ControlClient

_WAIT_S = 8.0
"""How long the collector holds a question: less than the client waits for an answer."""
_AGAIN_S = 1.0
"""How long a collector that does not answer is left alone."""
_STORE_S = 60.0
"""How long a store that cannot be read is waited for: what is set wrongly looks the same."""
_FAREWELL_S = 2.0
"""How long a worker that is ended takes to say so."""
_Found = TypeVar("_Found")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "worker",
        help="replay what is asked for in the dashboard",
        description="Wait for replays that are asked for on the pages of runs, and do them with the code of this "
        "folder, offline, until Ctrl-C. Neither the dashboard nor the collector runs any code; without a worker "
        "nothing happens. It does replays alone: forks ask models and change the world, and are yours to start.",
    )
    parser.add_argument(
        "--code", type=Path, default=Path(), help="the program's folder; default: this one"
    )
    parser.add_argument(
        "--once", action="store_true", help="end when nothing is asked for, instead of waiting"
    )
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Work until it is interrupted; with --once 0 when nothing is left.

    Raises:
        Problem: the collector cannot be reached.
    """
    from tachograph.replay._process import Processes

    to = client()
    name = f"{socket.gethostname()}:{os.getpid()}"
    processes = Processes(TIMEOUT_S)
    wait_s, patience_s = (0.0, 0.0) if arguments.once else (_WAIT_S, math.inf)
    done = 0
    try:
        # Not before somebody has answered: a worker that says that it waits does.
        taken = _take(to, name, 0.0)
        if not arguments.once:
            print(f"Waiting for replays, with the code of {arguments.code.resolve()}.", flush=True)
        while taken is not None or not arguments.once:
            if taken is not None:
                replay = partial(_result, taken, arguments.code, processes)
                _work(to, name, taken, replay, once=arguments.once)
                done += 1
            taken = _lasting(partial(_take, to, name, wait_s), patience_s)
    finally:
        processes.end()
    if not done:
        print("No replay is asked for.")
    return 0


def _lasting(ask: Callable[[], _Found], patience_s: float) -> _Found:
    """What ``ask`` finds once the collector answers: it may be started anew, and a worker outlives that.

    Raises:
        Problem: it did not answer for ``patience_s``, or said no.
    """
    away = False
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            found = ask()
        except Problem as problem:
            if problem.code != UNREACHABLE or time.monotonic() >= deadline_s:
                raise
            if not away:
                note(f"{problem} This worker goes on once it answers.")
            away = True
            time.sleep(_AGAIN_S)
        else:
            if away:
                note("the collector answers again.")
            return found


def _take(to: ControlClient, name: str, wait_s: float) -> Mapping[str, Any] | None:
    path = f"{REPLAYS}/take"
    found = call(to, "POST", path, {"worker": name}, wait_s=wait_s)["replay"]
    return found if isinstance(found, dict) else None


def _work(
    to: ControlClient,
    name: str,
    taken: Mapping[str, Any],
    replay: Callable[[], dict[str, Any]],
    *,
    once: bool,
) -> None:
    result = {"problem": "The worker was ended before the replay was."}
    try:
        result = _found(replay, once=once)
        verdict = result.get("problem") or ("identical" if result["identical"] else "it differs")
        print(plain(f"{taken['run_id']}  {verdict}"), flush=True)
        _tell(partial(_put_down, to, name, taken, result), once=once)
    except KeyboardInterrupt:
        # Else its page says for a quarter of an hour that this worker is at it.
        path = f"{REPLAYS}/{taken['id']}/result"
        to.call("POST", path, {"worker": name, "result": result}, timeout_s=_FAREWELL_S)
        raise


def _found(replay: Callable[[], dict[str, Any]], *, once: bool) -> dict[str, Any]:
    if once:
        return replay()
    try:
        return _lasting(replay, _STORE_S)
    except Problem as problem:
        if problem.code != UNREACHABLE:
            raise
        # Whoever has asked reads what is missing here; others may be asked for meanwhile.
        return {"problem": str(problem)}


def _tell(put_down: Callable[[], None], *, once: bool) -> None:
    try:
        # Longer is of no use: another worker may have it then.
        _lasting(put_down, 0.0 if once else REPLAY_LEASE_S)
    except Problem as problem:
        print(plain(str(problem)), flush=True)


def _put_down(
    to: ControlClient, name: str, taken: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    path = f"{REPLAYS}/{taken['id']}/result"
    answer = to.call("POST", path, {"worker": name, "result": result})
    if not answer:
        code = UNREACHABLE if answer.may_change else ANSWER_IS_NO
        raise Problem(f"{taken['run_id']}  was not put down: {answer.why}.", code=code)


def _result(taken: Mapping[str, Any], code: Path, processes: Processes) -> dict[str, Any]:
    from tachograph.replay._process import replayed
    from tachograph.replay._recording import RecordingError

    if taken["kind"] != "replay":
        return {"problem": "A worker only replays."}
    # An id, and never a path: what is asked for comes over the network.
    if not str(taken["run_id"]).isalnum():
        return {"problem": "This is no id of a run."}
    lenient = bool(taken["options"].get("lenient"))
    try:
        package = package_of(str(taken["run_id"]))
        return replay_result(replayed(package, code, lenient=lenient, among=processes))
    except RecordingError as error:
        return {"problem": f"It cannot be replayed: {error}."}
    except Problem as problem:
        if problem.code != ANSWER_IS_NO:
            raise
        return {"problem": str(problem)}
