"""Names each failed test when it fails: a run that is ended from outside never gets to its summary."""

from __future__ import annotations

import os


def pytest_runtest_logreport(report):
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED at {report.when}: {report.nodeid}", flush=True)
