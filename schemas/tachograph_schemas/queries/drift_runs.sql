-- Finished runs with what their rows and their spans say about drift, in the order in which they became known; those of one
-- computation in the order of their ends. Calls that two clients show count once. Both bounds of time leave out the days
-- (partitions) on which nothing of these runs came.
SELECT
    r.*, s.* EXCEPT (project, run_id, tools_called, kinds),
    mapFromArrays(arrayDistinct(s.tools_called) AS names, arrayMap(x -> countEqual(s.tools_called, x) / length(s.tools_called), names)) AS tools,
    arrayMap((a, b) -> concat(a, ' > ', b), arrayPopBack(s.tools_called), arrayPopFront(s.tools_called)) AS pairs,
    mapFromArrays(arrayDistinct(pairs) AS orders, arrayMap(x -> countEqual(pairs, x) / length(pairs), orders)) AS tool_order,
    mapFromArrays(arrayDistinct(s.kinds) AS errors_of, arrayMap(x -> countEqual(s.kinds, x) / length(s.kinds), errors_of)) AS errors
FROM
(
    SELECT ${drift_run_columns}
    FROM run_rows
    WHERE ${drift_which}
    ORDER BY computed_at_ns, ended_ns, project, run_id
    LIMIT 1 BY project, run_id
    LIMIT {limit:UInt32}
) AS r
LEFT JOIN
(
    SELECT ${drift_span_columns}
    FROM
    (
        -- The last write of each span, sorted out among those of the page: FINAL would merge all spans of the days first.
        -- Names are anybody's: of a long one its beginning tells it from others.
        SELECT
            project, run_id, start_time, layer, substringUTF8(tool, 1, 80) AS tool, status,
            substringUTF8(error_type, 1, 80) AS error_type, verdict,
            layer = 'repair' AND attributes['tacho.repair.attempt'] NOT IN ('', '0') AS is_repair,
            if(layer = 'model', substring(attributes['gen_ai.system_instructions'], 1, 200), '') AS instructions,
            if(layer = 'model', lower(hex(cityHash64(attributes['gen_ai.tool.definitions']))), '') AS definitions,
            layer = 'model' AND attributes['gen_ai.tool.definitions'] != '' AS has_definitions
        FROM span_rows
        PREWHERE (project, run_id) IN (SELECT project, run_id FROM run_rows WHERE ${drift_which})
        WHERE received_at >= fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC') AND received_at <= fromUnixTimestamp64Nano({seen_ns:Int64}, 'UTC')
            AND (project, run_id, span_id) NOT IN (
                SELECT project, run_id, arrayJoin(second_views.span_id) FROM run_rows WHERE ${drift_which}
            )
        ORDER BY version DESC
        LIMIT 1 BY project, run_id, trace_id, span_id
    )
    GROUP BY project, run_id
) AS s ON r.project = s.project AND r.run_id = s.run_id
ORDER BY computed_at_ns, ended_ns, project, run_id
-- A run without spans must give defaults, whatever a server's profile says.
SETTINGS join_use_nulls = 0
