-- What the model calls of a run used, class by class, each times its rate; every call once. What a list does not price per
-- token, or has priced differently since, shows as a difference to the stored cost. Parameters: project, run_id.
SELECT
    c.model, c.price_id, c.rate.input_usd, c.rate.output_usd, c.rate.cache_read_usd, c.rate.cache_write_usd, c.rate.cache_write_1h_usd, count(),
    sum(ifNull(c.input_tokens, 0)), sum(ifNull(c.output_tokens, 0)), sum(ifNull(c.cache_read_tokens, 0)),
    sum(ifNull(c.cache_write_5m_tokens, 0)), sum(ifNull(c.cache_write_1h_tokens, 0)), sum(c.cost_usd) AS cost, sum(c.client_cost_usd)
FROM
(
    WITH
        ${prices},
        toInt64(toUnixTimestamp(start_time)) AS priced_at_s,
        ${pricing}
    SELECT *, rate
    FROM
    (
        SELECT
            * EXCEPT (price_id), if(cost_status = 'priced', price_id, '') AS price_id,
            transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
            if(cost_status = 'priced', listed_rates[greatest(price_at, 1)], []) AS rates
        FROM span_rows FINAL
        WHERE project = {project:String} AND run_id = {run_id:String} AND layer = 'model' AND NOT is_cached AND span_id IN (
            SELECT arrayJoin(calls.span_id) FROM run_rows FINAL WHERE project = {project:String} AND run_id = {run_id:String}
        )
    )
) AS c
GROUP BY c.model, c.price_id, c.rate.input_usd, c.rate.output_usd, c.rate.cache_read_usd, c.rate.cache_write_usd, c.rate.cache_write_1h_usd
ORDER BY cost DESC, c.model
