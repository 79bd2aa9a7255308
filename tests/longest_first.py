"""The order of files: the longest first, so that at the end no worker waits for another's long one.

xdist hands out whole files (``--dist loadfile``) and would begin with those of many tests, which are the quick ones.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
LONGEST = (
    "schemas/test_captures.py",
    "faults/test_faults.py",
    "faults/test_recovery.py",
    "e2e/test_control.py",
    "collector/test_api_fuzz.py",
    "e2e/test_control_docs.py",
    "collector/test_rollups.py",
    "e2e/test_durability.py",
    "dashboard/test_browser.py",
    "e2e/test_drift.py",
    "e2e/test_start.py",
    "e2e/test_pauses.py",
    "e2e/test_layers_page.py",
    "e2e/test_replay_tools.py",
    "e2e/test_replay.py",
    "e2e/test_budgets.py",
    "e2e/test_budget_docs.py",
    "e2e/test_alerts.py",
    "e2e/test_alerts_page.py",
    "e2e/test_approvals_page.py",
    "e2e/test_replay_docs.py",
    "schemas/account/test_real_runs.py",
    "sdk/instruments/test_guides.py",
    "sdk/test_spool_hosts.py",
    "sdk/test_spool_programs.py",
    "sdk/demo/test_agents.py",
    "collector/test_healing.py",
    "schemas/test_alert_metrics.py",
    "schemas/test_retention.py",
    "collector/gateway/test_load.py",
    "collector/test_drift.py",
    "schemas/account/test_payload.py",
    "sdk/replay/test_pytest_plugin.py",
    "sdk/test_export.py",
)
"""Files of more than ten seconds, as measured; the others follow by their number of tests."""


def pytest_configure(config):
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    tests: dict[Path, int] = {}
    for item in items:
        tests[item.path] = tests.get(item.path, 0) + 1
    rank = {TESTS / name: place for place, name in enumerate(LONGEST)}

    def place(item):
        return rank.get(item.path, len(LONGEST)), -tests[item.path], item.path, _drives(item)

    items.sort(key=place)


def _drives(item) -> bool:
    """Tests that drive a browser come last in their file: meanwhile no other can run an event loop."""
    return "browser" in item.fixturenames
