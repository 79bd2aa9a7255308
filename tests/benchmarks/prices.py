"""Prices: our sums beside the price list's own for every model it knows, and pricing stored calls anew.

python -m tests.benchmarks prices [--usages 1000] [--reprice 100000]
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import price_cases
from tachograph_schemas import ingest, pricing, store
from tachograph_schemas.rates import UserPrice, usd_of

_MODELS_AT_ONCE = 40
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_CALLS = """
INSERT INTO span_rows (writer_id, batch, received_at, version, project, run_id, trace_id, span_id, start_time, end_time, duration_ns,
    name, layer, status, provider, model, input_tokens, output_tokens, cost_usd, cost_status, price_id)
SELECT 1, 1, now64(9), 1, 'default', concat('run-', toString(intDiv(number, 10))) AS run, run, toString(number), begun, begun + 1, 1000000000,
    'chat', 'model', 'ok', 'openai', ['gpt-4o', 'gpt-4o-mini', 'our-model'][number % 3 + 1] AS called, 1000 + number % 977, 100,
    if(called = 'our-model', NULL, 0.001), if(called = 'our-model', 'unknown_price', 'priced'), if(called = 'our-model', '', 'an older list')
FROM (SELECT number, now64(9) - toIntervalSecond(number % 80000) AS begun FROM numbers({calls:UInt64}))
"""


def main(words: list[str]) -> None:
    """Print what was compared and the largest difference; then what pricing anew takes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks prices")
    parser.add_argument("--usages", type=int, default=1_000, help="random calls of each model")
    parser.add_argument("--reprice", type=int, default=100_000, help="stored calls")
    given = parser.parse_args(words)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="tachograph-prices-") as folder:
        client = store.connect(f"chdb://{folder}/data")
        try:
            store.migrate(client)
            compare(client, given.usages)
            reprice(client, given.reprice)
        finally:
            client.close()
    print(f"load afterwards: {os.getloadavg()[0]:.1f}")


def compare(client: Any, usages: int) -> None:
    """Every model's calls in Python and in the engine, beside the list's own price."""
    models = price_cases.listed()
    price_cases.know(client, models)
    seed = random.SystemRandom().randint(0, 1 << 32)
    compared, worst = 0, {"in Python": 0.0, "in the engine": 0.0}
    for first in range(0, len(models), _MODELS_AT_ONCE):
        given = [
            (model, case)
            for model in models[first : first + _MODELS_AT_ONCE]
            for case in price_cases.cases(model, usages, seed)
        ]
        in_engine = price_cases.priced_by_engine(client, given)
        for engine_usd, (model, case) in zip(in_engine, given, strict=True):
            usd = usd_of(model.rates, case.used, case.at_s, case.service_tier)
            assert usd is not None, model.key
            off = {"in Python": usd, "in the engine": engine_usd}
            worst = {k: max(v, abs(off[k] - case.expected_usd)) for k, v in worst.items()}
        compared += len(given)
    print(f"{compared:,} calls of {len(models):,} models, seed {seed}; largest difference, USD:")
    for place, off_usd in worst.items():
        fits = "within" if off_usd <= price_cases.EXACT_USD else "BEYOND"
        print(f"  {place}: {off_usd:.1e} ({fits} {price_cases.EXACT_USD:g})")


def reprice(client: Any, calls: int) -> None:
    """Stored calls, a third of them without a price, are priced anew by the lists of today and one of one's own."""
    client.command(_CALLS, parameters={"calls": calls})
    runs = [("default", f"run-{number}") for number in range(-(-calls // 10))]
    for first in range(0, len(runs), 500):
        ingest.roll_up(client, 0, (), rested=runs[first : first + 500])
    own = UserPrice("our-model", "", 0, 1e-6, 2e-6, 1e-6, 1e-6, 1e-6)
    pricing.set_user_prices(client, [own], "benchmark")
    started_s = time.monotonic()
    changed = pricing.reprice(client, _SINCE)
    took_s = time.monotonic() - started_s
    print(f"{calls:,} calls of {len(runs):,} runs priced anew in {took_s:.1f} s; what changed:")
    for each in changed:
        print(
            f"  {each.model}: {each.calls:,} calls, ${each.before_usd:.4f} -> ${each.after_usd:.4f}, "
            f"unpriced {each.unpriced_before:,} -> {each.unpriced_after:,}"
        )
    unpriced, cost_usd = client.query(
        "SELECT sum(unpriced_calls), sum(cost_usd) FROM runs"
    ).result_rows[0]
    print(f"  the runs then: ${cost_usd:.4f}, {unpriced:,} unpriced calls")
