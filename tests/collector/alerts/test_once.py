"""Every change is told, once: over both kinds of control database, with collectors that are killed."""

from __future__ import annotations

import pytest

import alert_workers
from postgres_server import postgres
from receivers import webhook


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'control.db'}"
    else:
        with postgres() as url:
            yield url


def test_no_change_is_lost_or_doubled_by_two_collectors_that_are_killed(database_url, tmp_path):
    with webhook() as hook:
        stage = alert_workers.run(database_url, tmp_path, hook, agents=10, rounds=2, kills=1)
        try:
            stage.check()
        finally:
            stage.close()
    assert stage.changes == 20
    assert stage.kills == 1
