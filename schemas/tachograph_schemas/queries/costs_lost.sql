-- What was paid for nothing, or twice, in a time. A repair loop's calls are those that began while it lasted, but for the
-- first answer, which was asked for anyway. Context is paid again when a call repeats what the call before it in the run
-- sent to the same model, and does not read it from the cache: counted at the input's price less the cache's.
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
    rates AS (SELECT provider, model, rates[1].input_usd - rates[1].cache_read_usd AS saved_usd FROM model_rates FINAL WHERE price_id != '')
SELECT
    (SELECT sumIf(ifNull(cost_usd, 0), turn > 1 AND verdict = 'gave_up') FROM in_loops) AS failed_repairs_usd,
    (SELECT sumIf(ifNull(cost_usd, 0), turn > 1 AND verdict = 'repaired') FROM in_loops) AS repairs_usd,
    (SELECT count() FROM loops WHERE verdict = 'gave_up') AS failed_repairs,
    (SELECT count() FROM loops) AS repairs,
    (
        SELECT sum(ifNull(cost_usd, 0)) FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'model' AND status = 'error' AND run_id IN (SELECT run_id FROM wanted)
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
    (
        -- The provider's own numbers contradict each other: more from the cache than there was, more thought than said.
        SELECT count() FROM span_rows FINAL
        WHERE project = {project:String} AND layer = 'model' AND run_id IN (SELECT run_id FROM wanted) AND (
            ifNull(reasoning_tokens, 0) > ifNull(output_tokens, 0)
            OR (
                toUInt64OrZero(attributes['gen_ai.usage.input_tokens']) > 0
                AND toUInt64OrZero(attributes['gen_ai.usage.input_tokens']) < ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0)
            )
            OR (
                toUInt64OrZero(attributes['gen_ai.usage.total_tokens']) > 0
                AND toUInt64OrZero(attributes['gen_ai.usage.total_tokens'])
                    != toUInt64OrZero(attributes['gen_ai.usage.input_tokens']) + toUInt64OrZero(attributes['gen_ai.usage.output_tokens'])
            )
        )
    ) AS doubtful_calls
SETTINGS join_use_nulls = 0
