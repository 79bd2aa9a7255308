-- The totals over all runs that match the filter.
SELECT
    count() AS runs,
    countIf(outcome = 'running') AS running,
    countIf(outcome = 'success') AS succeeded,
    countIf(outcome = 'failure') AS failed,
    countIf(outcome = 'stopped') AS stopped,
    countIf(outcome = 'interrupted') AS interrupted,
    sumOrNull(cost_usd) AS total_cost_usd,
    sum(unpriced_calls) AS unpriced,
    toUInt64(sum(ifNull(input_tokens, 0) + ifNull(output_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0))) AS tokens,
    if(runs = 0, NULL, toUInt64(quantileExact(0.5)(duration_ns))) AS median_ns,
    if(runs = 0, NULL, toUInt64(quantileExact(0.95)(duration_ns))) AS p95_ns
FROM runs
WHERE ${run_filter}
