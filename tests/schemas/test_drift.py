"""The detectors alone, on simulated runs; `python -m tests.benchmarks drift` has the long form."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace

import pytest

from drift_simulator import LEARNT, Change, runs
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import alarm
from tachograph_schemas.drift.baseline import Baseline
from tachograph_schemas.drift.bets import BETS, Band, kept, restarted
from tachograph_schemas.drift.guard import guard, is_version
from tachograph_schemas.drift.metrics import BY_KEY
from tachograph_schemas.drift.points import RunPoint
from tachograph_schemas.drift.standing import standing

FULL = LEARNT - 300


def fed(points, watch=None):
    """The alarms of runs, with the number of runs that it took."""
    watch = watch or AgentWatch()
    found = []
    for number, point in enumerate(points, 1):
        found += [(number, alarm("a", watch, signal)) for signal in watch.feed(point)]
    return watch, found


def test_an_agent_that_does_not_change_is_left_alone():
    watch, found = fed(runs(1, count=2_500))
    assert found == []
    assert watch.baseline.is_full
    assert watch.baseline.split == "hours"
    assert watch.baseline.strata == ("day", "evening", "night", "weekend")
    # A slow run is followed by slow ones: such values are no independent witnesses.
    assert watch.baseline.likeness["working_s"].block > 1
    assert watch.baseline.likeness["cost_usd"].block == 1


@pytest.mark.parametrize(
    ("change", "metric", "category", "size", "most_runs"),
    [
        (Change(cost=2), "cost_usd", "", 2.0, 100),
        (Change(cost=0.5), "cost_usd", "", 0.5, 100),
        (Change(tool_share=0.2), "tools", {"search", "orders.get"}, None, 120),
        (Change(failures=0.2), "failed", "yes", 0.2, 150),
    ],
    ids=["dearer", "cheaper", "tools", "failures"],
)
def test_a_change_is_found_with_its_size_and_its_beginning(
    change, metric, category, size, most_runs
):
    _, found = fed(runs(2, change, LEARNT + most_runs))
    [first, *_] = [(number, each) for number, each in found if each.metric == metric]
    number, told = first
    assert number > LEARNT
    assert told.category in category if isinstance(category, set) else told.category == category
    began = int(told.since_run.removeprefix("run-"))
    assert abs(began - LEARNT) < 50
    assert {each["run_id"] for each in told.after} <= {f"run-{n:06d}" for n in range(began, number)}
    assert told.before
    assert told.picture["slices"]
    assert told.effect["low"] < told.effect["size"] < told.effect["high"]
    if size:
        assert told.effect["low"] < size < told.effect["high"]


def test_what_is_always_the_same_is_no_drift_however_long_it_lasts():
    values = {"failed": 0.0, "repaired": 1.0, "ending": {"success": 1.0}}
    minute_ns = 60 * 10**9
    points = (RunPoint(f"{n}", n * minute_ns, "", "v1", values) for n in range(25_000))
    watch, found = fed(points)
    assert watch.baseline.is_full
    assert found == []


def test_a_restart_in_between_changes_nothing():
    points = list(runs(3, Change(cost=1.5, tool_share=0.1), LEARNT + 400))
    _, whole = fed(points)
    assert whole
    watch, pieces = AgentWatch(), []
    for at in range(0, len(points), 333):
        baseline = watch.baseline and Baseline.from_json(through(watch.baseline.as_json()))
        watch = AgentWatch.from_json(through(watch.as_json()), baseline)
        watch, found = fed(points[at : at + 333], watch)
        pieces += [(number + at, each) for number, each in found]
    assert pieces == whole


def through(data):
    return json.loads(json.dumps(data))


def test_warming_up_is_said_and_only_large_changes_count():
    points = list(runs(4, count=500))
    watch, _ = fed(points[:99])
    assert watch.baseline is None
    assert "99 of the first 100 runs" in standing("a", watch, pictures=False)["says"]
    watch, _ = fed(points[99:400], watch)
    assert not watch.baseline.is_full
    cost = next(each for each in standing("a", watch, pictures=True)["metrics"])
    assert cost["bound_runs"] > 5 * 5_000
    assert "less than a week" in standing("a", watch, pictures=False)["says"]


def test_promises_of_all_metrics_together_are_the_budget():
    watch, _ = fed(runs(5, count=FULL))
    bounds = [each["bound_runs"] for each in standing("a", watch, pictures=False)["metrics"]]
    assert sum(1 / bound for bound in bounds if bound) == pytest.approx(1 / watch.budget_runs)


def test_learning_again_begins_with_the_runs_since_the_change():
    watch, _ = fed(runs(6, count=FULL))
    version = watch.baseline.version
    watch.learn_again(watch.recent[-120:])
    assert watch.baseline.version == version + 1
    assert watch.baseline.runs == 100
    assert not watch.baseline.is_full


def test_one_metric_is_learnt_again_and_the_others_go_on():
    points = list(runs(7, Change(cost=2), LEARNT + 800))
    watch, found = fed(points[: LEARNT + 90])
    assert "cost_usd" in {each.metric for _, each in found}
    cost, latency = BY_KEY["cost_usd"], BY_KEY["output_chars"]
    held, version = watch.held(latency), watch.baseline.version_of(latency)
    watch.learn_metric_again(cost, watch.recent[-90:])
    assert not watch.baseline.has(cost)
    assert watch.held(latency) == held
    assert "90 of the first 100 runs" in standing("a", watch, pictures=False)["says"]
    # Through a restart on the way: it is known from 100 runs on, and whole after a week.
    watch, _ = fed(points[LEARNT + 90 : LEARNT + 150], watch)
    assert watch.baseline.has(cost)
    assert not watch.baseline.is_full_of(cost)
    kept = Baseline.from_json(through(watch.baseline.as_json()))
    assert kept == watch.baseline
    watch = AgentWatch.from_json(through(watch.as_json()), kept)
    watch, found = fed(points[LEARNT + 150 :], watch)
    assert [each.metric for _, each in found if each.metric == "cost_usd"] == []
    assert watch.baseline.is_full_of(cost)
    assert watch.relearning == {}
    assert watch.baseline.version_of(latency) == version
    assert watch.baseline.version_of(cost) > version
    bounds = [each["bound_runs"] for each in standing("a", watch, pictures=False)["metrics"]]
    assert sum(1 / bound for bound in bounds if bound) == pytest.approx(1 / watch.budget_runs)


def test_learning_again_from_more_runs_than_a_whole_baseline_takes_keeps_it():
    """Of an agent that runs seldom, the runs since the change may fill a week."""
    slow = [replace(each, started_ns=3 * each.started_ns) for each in runs(7, count=900)]
    watch, _ = fed(slow)
    cost, since = BY_KEY["cost_usd"], list(watch.recent)
    assert len(since) > 400
    watch.learn_metric_again(cost, since)
    assert (watch.baseline.is_full_of(cost), watch.relearning) == (True, {})
    watch.learn_again(since)
    assert (watch.baseline.is_full, watch.baseline.runs) == (True, 400)


def test_a_metric_learnt_again_before_the_baseline_is_full_stays_by_itself():
    points = list(runs(7, count=1_100))
    watch, _ = fed(points[:300])
    cost = BY_KEY["cost_usd"]
    watch.learn_metric_again(cost)
    watch, _ = fed(points[300:450], watch)
    # All others have just been learnt from 400 runs; this one from the 100 after the word.
    assert watch.baseline.runs == 400
    assert len(watch.baseline.numbers["cost_usd"].values[""]) == 100
    watch, _ = fed(points[450:], watch)
    assert watch.baseline.is_full
    assert watch.baseline.has(cost)


def test_however_runs_are_cut_into_calls_the_result_is_the_same():
    points = list(runs(9, Change(cost=1.5, tool_share=0.1), LEARNT + 700))
    single, one_by_one = fed(points)
    watch, found, at = AgentWatch(), [], 0
    for many in itertools.cycle((1, 3, 300, 7, 1_000)):
        part = points[at : at + many]
        found += [alarm("a", watch, signal) for signal in watch.feed_all(part)]
        at += len(part)
        if not part:
            break
    assert found == [each for _, each in one_by_one]
    assert watch.as_json() == single.as_json()


def test_bets_do_not_gain_inside_the_band_on_average():
    band = Band(0.45, 0.55, 0.29)
    for bets in (band.bets(), Band(0.001, 0.03, 0.02, least=-0.04).bets()):
        for stake, edge in bets:
            assert 1 + stake * (0.0 - edge) > 0
            assert 1 + stake * (1.0 - edge) > 0
    chance = random.Random(7)
    ended = []
    for _ in range(300):
        money = [1.0] * BETS
        for _ in range(50):
            money = kept(money, chance.choice((0.05, 1.0)), band.bets())
        ended.append(sum(money) / BETS)
    # The mean of these values, 0.525, lies in the band: the expectation is at most one.
    assert sum(ended) / len(ended) < 1.1
    assert restarted([0.0] * BETS, 0.5, band.bets())[0] == pytest.approx(1, abs=0.05)


def test_the_guard_finds_a_change_and_says_what_can_be_excluded():
    points = list(runs(8, Change(cost=2), LEARNT + 150))
    found = guard(points[:LEARNT], points[LEARNT:])
    assert found.verdict == "changed"
    [cost] = [each for each in found.findings if each.metric == "cost_usd"]
    assert 0 < cost.at_run <= 100
    same = guard(points[:500], points[500:LEARNT])
    assert same.verdict == "no change seen"
    assert "cost of a run over x" in same.says
    few = guard(points[:40], points[LEARNT:])
    assert few.verdict == "not enough runs"


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("2.1", True),
        ("version=2.1", True),
        ("model=haiku", True),
        ("0123456789abcdef", True),
        ("0123456", True),
        ("2", False),
        ("", False),
        ("012345", False),
    ],
)
def test_a_version_is_named_by_its_parts(version, named):
    assert is_version("version=2.1 code=0123456789ab model=haiku", version) is named
