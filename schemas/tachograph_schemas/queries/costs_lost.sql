-- What was paid for nothing, or twice, in a time. A repair loop's calls are those that began while it lasted, but for the
-- first answer, which was asked for anyway. Context is paid again when a call repeats what the call before it in the run
-- sent to the same model, and does not read it from the cache: counted at the input's price less the cache's. A retry costs
-- what the attempt before it did: the calls that were made while it lasted, and what it says that it cost itself.
WITH
    wanted AS (
        SELECT run_id FROM run_rows FINAL WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
    ),
    loops AS (
        SELECT run_id, span_id, verdict, start_time AS began, start_time + toIntervalNanosecond(duration_ns) AS ended
        FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'repair' AND verdict IN ('repaired', 'gave_up') AND run_id IN (SELECT run_id FROM wanted)
    ),
    asked AS (
        SELECT * FROM model_calls WHERE project = {project:String} AND run_id IN (SELECT run_id FROM wanted)
    ),
    in_loops AS (
        SELECT verdict, cost_usd, row_number() OVER (PARTITION BY loops.run_id, loops.span_id ORDER BY asked.started_at) AS turn
        FROM asked INNER JOIN loops ON asked.run_id = loops.run_id
        WHERE asked.started_at >= loops.began AND asked.started_at <= loops.ended
    ),
    turns AS (
        SELECT
            run_id, provider, model, ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) AS whole,
            ifNull(cache_read_tokens, 0) AS read,
            lagInFrame(whole, 1, 0) OVER (PARTITION BY run_id, provider, model ORDER BY started_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS whole_before
        FROM asked
    ),
    retries AS (
        SELECT run_id, span_id, parent_span_id, start_time AS began FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'retry' AND run_id IN (SELECT run_id FROM wanted)
    ),
    attempts AS (
        -- what was tried again: the latest failed sibling that had ended when the retry began, once however many retries follow it
        SELECT DISTINCT
            retries.run_id AS run_id, argMax(failed.span_id, failed.start_time) AS span_id, argMax(failed.start_time, failed.start_time) AS began,
            argMax(failed.ended, failed.start_time) AS ended, argMax(ifNull(failed.tool_cost_usd, 0), failed.start_time) AS paid
        FROM retries
        INNER JOIN
        (
            SELECT run_id, span_id, parent_span_id, start_time, start_time + toIntervalNanosecond(duration_ns) AS ended, tool_cost_usd
            FROM span_rows FINAL
            WHERE project = {project:String} AND status = 'error' AND layer != 'retry' AND run_id IN (SELECT run_id FROM retries)
        ) AS failed ON retries.run_id = failed.run_id AND retries.parent_span_id = failed.parent_span_id
        WHERE failed.ended <= retries.began
        GROUP BY retries.run_id, retries.span_id
    ),
    rates AS (SELECT provider, model, rates[1].input_usd - rates[1].cache_read_usd AS saved_usd FROM model_rates FINAL WHERE price_id != '')
SELECT
    (SELECT sumIf(ifNull(cost_usd, 0), turn > 1 AND verdict = 'gave_up') FROM in_loops) AS failed_repairs_usd,
    (SELECT sumIf(ifNull(cost_usd, 0), turn > 1 AND verdict = 'repaired') FROM in_loops) AS repairs_usd,
    (SELECT count() FROM loops WHERE verdict = 'gave_up') AS failed_repairs,
    (SELECT count() FROM loops) AS repairs,
    (
        SELECT sum(ifNull(cost_usd, 0)) FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'model' AND status = 'error' AND run_id IN (SELECT run_id FROM wanted)
            AND (run_id, span_id) NOT IN (SELECT run_id, arrayJoin(second_views.span_id) FROM run_rows FINAL WHERE project = {project:String})
    ) AS failed_calls_usd,
    (
        SELECT count() FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'retry' AND run_id IN (SELECT run_id FROM wanted)
    ) AS retries,
    (
        SELECT sum(saved_usd * greatest(toInt64(least(whole, whole_before)) - toInt64(read), 0))
        FROM turns INNER JOIN rates ON turns.provider = rates.provider AND turns.model = rates.model
        WHERE saved_usd > 0
    ) AS cache_missed_usd,
    (SELECT sum(odd_calls) FROM run_rows FINAL WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}) AS odd_calls,
    (
        SELECT sum(cost) FROM
        (
            -- a call lies in several attempts where retries are nested
            SELECT any(ifNull(asked.cost_usd, 0)) AS cost FROM asked INNER JOIN attempts ON asked.run_id = attempts.run_id
            WHERE asked.started_at >= attempts.began AND asked.started_at <= attempts.ended
            GROUP BY asked.run_id, asked.span_id
        )
    ) + (SELECT sum(paid) FROM attempts) AS retried_usd,
    (SELECT sum(ifNull(tool_cost_usd, 0)) FROM run_rows FINAL WHERE project = {project:String} AND run_id IN (SELECT run_id FROM wanted)) AS tools_usd,
    (SELECT sum(ifNull(human_cost_usd, 0)) FROM run_rows FINAL WHERE project = {project:String} AND run_id IN (SELECT run_id FROM wanted)) AS people_usd,
    (SELECT sum(ifNull(saved_usd, 0)) FROM run_rows FINAL WHERE project = {project:String} AND run_id IN (SELECT run_id FROM wanted)) AS saved_usd
SETTINGS join_use_nulls = 0
