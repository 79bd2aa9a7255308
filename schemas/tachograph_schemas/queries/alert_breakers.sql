-- How long the circuit breaker that is open longest has been open, seconds; 0 when all are closed. By group.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT
        agent, customer, service_version AS version, attributes['tacho.breaker.name'] AS breaker,
        argMax(verdict, start_time) AS state, max(start_time) AS since_then
    FROM span_rows
    WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} AND layer = 'breaker'
        AND verdict IN ('opened', 'half_open', 'closed')
    GROUP BY agent, customer, version, breaker
)
WHERE true
    ${filter}
GROUP BY key
ORDER BY value DESC, key
LIMIT {most_groups:UInt32}
