-- Every agent that ran in a time: how its runs went and what they cost, the busiest first.
SELECT
    run_agent AS agent,
    count() AS runs,
    countIf(outcome_now = 'running') AS running,
    countIf(outcome_now = 'success') AS succeeded,
    countIf(outcome_now = 'failure') AS failed,
    countIf(outcome_now = 'stopped') AS stopped,
    countIf(outcome_now = 'interrupted') AS interrupted,
    sumOrNull(cost_usd) AS total_cost_usd,
    sum(unpriced_calls) AS unpriced,
    toUInt64(quantileExact(0.5)(took_ns - least(waiting_ns, took_ns))) AS median_work_ns,
    toUInt64(quantileExact(0.95)(took_ns - least(waiting_ns, took_ns))) AS p95_work_ns,
    max(started_at) AS last_started_at,
    uniqExact(if(version != '', version, code_version)) AS versions
FROM ${runs_of_window}
GROUP BY agent
ORDER BY runs DESC, agent
LIMIT 500
