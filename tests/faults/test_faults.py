"""The short forms of the durability harnesses; ``FAULT_ROUNDS=200`` or ``python -m tests.faults`` for the long ones."""

from __future__ import annotations

import os

import pytest

from faults import diskfull, engine, inject, kill, mounts, powercut

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "0"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(300, ROUNDS * 60))]


def needs(reason: str) -> None:
    if reason:
        pytest.skip(reason)


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    verdict = kill.run(tmp_path / "home", ROUNDS or 4)
    assert verdict.is_clean, verdict
    assert verdict.acknowledged_spans >= 40 * 20


def test_kills_at_system_calls_of_an_ingest_lose_and_double_nothing(tmp_path):
    needs(inject.why_not())
    positions = inject.every(ROUNDS) if ROUNDS else inject.FEW
    verdict = inject.run(tmp_path / "home", positions)
    assert verdict.is_clean, verdict
    assert verdict.facts["kills"] >= len(positions) // 2


def test_power_cuts_lose_and_double_nothing(tmp_path):
    needs(mounts.why_not())
    verdict = powercut.run(tmp_path / "disk", ROUNDS or 2)
    assert verdict.is_clean, verdict
    assert verdict.acknowledged_spans >= 40 * 20


def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_kept(tmp_path):
    needs(mounts.why_not())
    verdict = diskfull.run(tmp_path / "disk", ROUNDS or 2)
    assert verdict.is_clean, verdict


def test_without_the_engine_the_log_absorbs_and_then_clients_wait(tmp_path):
    verdict = engine.run(tmp_path, ROUNDS or 2)
    assert verdict.is_clean, verdict
