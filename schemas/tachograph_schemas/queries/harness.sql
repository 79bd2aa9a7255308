-- What the harness around each agent did in a time: one row an agent, from the layers' verdicts.
SELECT
    agent,
    ${harness_counters}
FROM spans
WHERE project = {project:String} AND start_time >= {since:DateTime64(9, 'UTC')} AND start_time < {until:DateTime64(9, 'UTC')}
    AND layer NOT IN ('run', 'agent', 'step', 'model', 'other')
GROUP BY agent
ORDER BY count() DESC, agent
