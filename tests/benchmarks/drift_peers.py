"""What others do about drift, in plain implementations, for one number, one rate or one mix: beside our detector.

Window tests compare the last 200 runs with the baseline, every 50 runs; alarms less than 100 runs apart are one.
"""

from __future__ import annotations

import math

import numpy as np

WINDOW, EVERY, APART = 200, 50, 100
_KS_001 = 1.949  # the two-sample statistic's critical value at p = 0.001


def psi(before, window) -> bool:
    """Population stability index over ten quantile bins, or the categories, above 0.2."""
    if before.ndim == 1:
        edges = np.unique(np.quantile(before, np.linspace(0, 1, 11)[1:-1]))
        was = np.bincount(np.searchsorted(edges, before, side="right"), minlength=len(edges) + 1)
        now = np.bincount(np.searchsorted(edges, window, side="right"), minlength=len(edges) + 1)
    else:
        was, now = before.sum(axis=0), window.sum(axis=0)
    p, q = np.maximum(was / was.sum(), 1e-4), np.maximum(now / now.sum(), 1e-4)
    return float(((q - p) * np.log(q / p)).sum()) > 0.2


def ks(before, window) -> bool:
    """Kolmogorov-Smirnov at p < 0.001; of a mix, its largest category."""
    if before.ndim > 1:
        return any(ks(before[:, at], window[:, at]) for at in range(before.shape[1]))
    both = np.sort(np.concatenate([before, window]))
    one = np.searchsorted(np.sort(before), both, side="right") / len(before)
    two = np.searchsorted(np.sort(window), both, side="right") / len(window)
    scale = math.sqrt((len(before) + len(window)) / (len(before) * len(window)))
    return float(np.abs(one - two).max()) > _KS_001 * scale


def windowed(test, before, after) -> list[int]:
    """When ``test`` says changed: runs after the baseline's end, counted from 1."""
    found = [
        at for at in range(WINDOW, len(after) + 1, EVERY) if test(before, after[at - WINDOW : at])
    ]
    return events(found)


def events(found: list[int]) -> list[int]:
    """The first of alarms that are less than :data:`APART` runs apart."""
    kept: list[int] = []
    last = -APART
    for at in found:
        if at - last >= APART:
            kept.append(at)
        last = at
    return kept


def adwin(before, after, delta=0.002) -> list[int]:
    """ADWIN with the variance bound, cuts looked for every 32 values over at most 2,000 of them."""
    if before.ndim > 1:
        share = delta / before.shape[1]
        found = [adwin(before[:, at], after[:, at], share) for at in range(before.shape[1])]
        return events(sorted(at for each in found for at in each))
    values, first, found = np.concatenate([before, after]), 0, []
    for end in range(32, len(values) + 1, 32):
        cut = _cut(values[max(first, end - 2_000) : end], delta)
        if cut:
            first = max(first, end - 2_000) + cut
            if end > len(before):
                found.append(end - len(before))
    return events(found)


def _cut(window, delta) -> int:
    count = len(window)
    if count < 20:
        return 0
    sums = np.cumsum(window)
    left = np.arange(5, count - 5)
    difference = np.abs(sums[left - 1] / left - (sums[-1] - sums[left - 1]) / (count - left))
    harmonic = 1 / (1 / left + 1 / (count - left))
    log = math.log(2 * math.log(count) / delta)
    bound = np.sqrt(2 / harmonic * window.var() * log) + 2 / (3 * harmonic) * log
    return int(left[-1]) if bool((difference > bound).any()) else 0


def page_hinkley(before, after, delta=0.005, threshold=50.0, forget=0.9999) -> list[int]:
    """Page-Hinkley with the usual defaults, both directions, restarted after an alarm."""
    if before.ndim > 1:
        found = [page_hinkley(before[:, at], after[:, at]) for at in range(before.shape[1])]
        return events(sorted(at for each in found for at in each))
    found, mean, up, down, count = [], float(before.mean()), 0.0, 0.0, 0
    for at, value in enumerate(after, 1):
        count += 1
        up = max(0.0, forget * up + value - mean - delta)
        down = max(0.0, forget * down - value + mean - delta)
        if count >= 30 and max(up, down) > threshold:
            found.append(at)
            up = down = 0.0
            count = 0
    return events(found)


def logged(values):
    """The logarithm in standard deviations of the baseline is what the last two get of a cost."""
    return np.log(np.maximum(values, 1e-12))


PEERS = {
    "PSI > 0.2, window 200": lambda before, after: windowed(psi, before, after),
    "KS p < 0.001, window 200": lambda before, after: windowed(ks, before, after),
    "ADWIN 0.002": adwin,
    "Page-Hinkley": page_hinkley,
}
