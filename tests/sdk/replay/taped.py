"""Records runs onto real tapes in a directory and replays them, in this process."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import contextmanager
from pathlib import Path

from tachograph import _call, _recorder
from tachograph import _threads as carried
from tachograph._redact import Redactor
from tachograph._setup import recorder_without_export
from tachograph.replay import _http, _session, _sources, _threads
from tachograph.replay._recording import Recording, load
from tachograph.replay._run import Replayed
from tachograph.replay._seam import hook


class Taping:
    """A session whose finished tapes are kept in a list."""

    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self.paths: list[Path] = []
        self.session = _session.Session(directory, redactor, self._ship)

    def _ship(self, path: Path) -> None:
        self.paths.append(path)

    def newest(self) -> Recording:
        assert self.session.drain.wait(60)
        return load(self.paths[-1])

    def record(self, entry, *args, new_loop=asyncio.new_event_loop, **kwargs):
        """Run ``entry``; returns how it came out and the recording."""
        return call(entry, *args, new_loop=new_loop, **kwargs), self.newest()


def call(entry, *args, new_loop=asyncio.new_event_loop, **kwargs):
    """The outcome of a call: the result or the exception, as a pair."""
    try:
        if inspect.iscoroutinefunction(entry):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                return "ok", runner.run(entry(*args, **kwargs))
        return "ok", entry(*args, **kwargs)
    except Exception as error:
        return "err", error


@contextmanager
def taping(directory: Path, redactor: Redactor | None = None):
    """Runs in this block are recorded for replay."""
    made = Taping(directory, redactor or Redactor())
    before = _session.use(made.session)
    was = _recorder.activate(recorder_without_export())
    _call.tape_hook = hook
    _sources.install()
    carried.install()
    _threads.install()
    _http.install()
    try:
        yield made
    finally:
        made.session.drain.wait(10)
        _call.tape_hook = None
        _http.uninstall()
        _threads.uninstall()
        carried.uninstall()
        _sources.uninstall()
        _session.use(before)
        _recorder.activate(was)


def assert_identical(result: Replayed) -> None:
    assert result.identical, result.divergence and result.divergence.text()
