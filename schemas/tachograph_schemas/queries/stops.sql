-- Which stop rules ended an agent's runs in a time, and what a person needed the last time.
SELECT
    agent,
    attributes['tacho.stop.rule'] AS rule,
    attributes['tacho.stop.kind'] AS kind,
    count() AS stops,
    uniqExact(run_id) AS runs,
    max(start_time) AS last_at,
    argMax(run_id, start_time) AS last_run_id,
    argMax(attributes['tacho.reason'], start_time) AS last_reason,
    argMax(attributes['tacho.stop.needs'], start_time) AS last_needs
FROM spans
WHERE project = {project:String} AND start_time >= {since:DateTime64(9, 'UTC')} AND start_time < {until:DateTime64(9, 'UTC')}
    AND layer = 'stop'
GROUP BY agent, rule, kind
ORDER BY stops DESC, agent, rule, kind
