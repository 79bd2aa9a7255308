-- The versions of an agent that ran in a time, the newest first.
SELECT
    if(version != '', version, code_version) AS label,
    count() AS runs,
    countIf(outcome_now = 'success') AS succeeded,
    countIf(outcome_now IN ('failure', 'interrupted')) AS failed,
    countIf(outcome_now = 'stopped') AS stopped,
    countIf(outcome_now = 'running') AS running,
    avgOrNull(cost_usd) AS mean_cost_usd,
    toUInt64(quantileExact(0.5)(took_ns - least(waiting_ns, took_ns))) AS median_work_ns,
    min(started_at) AS first_at,
    max(started_at) AS last_at,
    arraySort(arrayDistinct(groupArrayIf(5)(code_version, code_version != ''))) AS commits
FROM ${runs_of_window}
GROUP BY label
ORDER BY last_at DESC, label
LIMIT 20
