-- What model calls cost in equal slices of time, by one property of their runs; all but the dearest are one.
WITH
    spent AS
    (
        SELECT ${call_group} AS key, call.1 AS at, call.3 AS usd
        FROM
        (
            SELECT agent, customer, user_id, session_id, version, arrayJoin(arrayZip(calls.started_at, calls.model, calls.cost_usd)) AS call
            FROM run_rows FINAL
            WHERE project = {project:String}
        )
        WHERE at >= {since:DateTime64(9, 'UTC')} AND usd > 0
    ),
    dearest AS (SELECT key FROM spent GROUP BY key ORDER BY sum(usd) DESC LIMIT {groups:UInt32})
SELECT
    toStartOfInterval(at, toIntervalSecond({slice_s:UInt32}), 'UTC') AS slice,
    if(key IN (SELECT key FROM dearest), key, {others:String}) AS name,
    sum(assumeNotNull(usd)) AS spent_usd
FROM spent
GROUP BY slice, name
ORDER BY slice, name
