-- How long nothing has been received, seconds, by group; of whoever was heard of in the last week.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT agent, customer, version, last_seen_at
    FROM run_rows
    WHERE project = {project:String} AND last_seen_at >= now64(9) - INTERVAL 7 DAY
)
WHERE true
    ${filter}
GROUP BY key
ORDER BY value DESC, key
LIMIT {most_groups:UInt32}
