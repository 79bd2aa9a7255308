-- 8. usage: classes made disjoint. The convention's input includes the cache.
SELECT
    *,
    transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
    listed_rates[greatest(price_at, 1)] AS rates,
    if(counts, if(cached > input_said OR is_exclusive, input_said, input_said - cached), NULL) AS input_tokens,
    if(counts, output_said, NULL) AS output_tokens,
    if(counts, read_said, NULL) AS cache_read_tokens,
    if(counts, write_said, NULL) AS cache_write_tokens,
    if(counts, least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_1h_tokens,
    if(counts, write_said - least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_5m_tokens,
    if(counts, reasoning_said, NULL) AS reasoning_tokens,
    -- The provider's own numbers contradict each other; the costs are those of the classes as they are stored.
    multiIf(
        NOT counts, '',
        arrayExists(x -> startsWith(x, '-'), [
            ${first:input_tokens}, ${first:output_tokens}, ${first:cache_read_tokens}, ${first:cache_write_tokens}, ${first:reasoning_tokens}, ${first:total_tokens}
        ]), 'negative',
        -- Nothing was asked with four billion tokens; sums of larger numbers would run over
        arrayExists(x -> x != '' AND isNull(toUInt32OrNull(x)), [
            ${first:input_tokens}, ${first:output_tokens}, ${first:cache_read_tokens}, ${first:cache_write_tokens}, ${first:reasoning_tokens}, ${first:total_tokens}
        ]), 'unreadable',
        NOT is_exclusive AND input_said > 0 AND cached > input_said, 'cache_over_input',
        reasoning_said > output_said, 'reasoning_over_output',
        -- Of a total that includes a cache which the input is without, both are right
        total_said > 0 AND isNotNull(input_said) AND isNotNull(output_said) AND total_said != input_said + output_said AND total_said != input_said + cached + output_said, 'total_differs',
        ''
    ) AS odd_usage
FROM
(
    WITH
        layer = 'model' AS counts_here,
        -- counts inside a usage object, nested or not, JSON or the text of a Python dict: name and number
        if(
            counts_here,
            concat(${first:usage}, if(
                -- MLflow's own totals are the measure; its outputs only know more about them
                family = 'logfire/' OR startsWith(scope, 'haystack') OR (family = 'mlflow/' AND ${first:usage} != ''),
                concat(JSONExtractRaw(${first:output}, 'usage'), JSONExtractRaw(${first:output}, 'replies', 1, 'meta', 'usage')),
                ''
            )),
            ''
        ) AS usage,
        CAST(arrayMap(x -> (toUInt8(intDiv(x.1, 64)), x.2), arraySort(x -> x.1, arrayFilter(x -> x.1 != 0, arrayMap(
            g -> (${usage_code:g[1]}, g[2]),
            extractAllGroupsVertical(usage, '[\'"](\\w+)[\'"]\\s*:\\s*(\\d+)')
        )))), 'Map(UInt8, String)') AS counted
    SELECT
        *,
        counts_here AS counts,
        toUInt32OrNull(coalesce(nullIf(${first:input_tokens}, ''), nullIf(counted[1], ''), if(kind_said = 'embedding', ${first:total_tokens}, ''))) AS input_said,
        toUInt32OrNull(coalesce(nullIf(${first:output_tokens}, ''), counted[2])) AS output_said,
        toUInt32OrNull(coalesce(nullIf(${first:cache_read_tokens}, ''), counted[3])) AS read_said,
        toUInt32OrNull(coalesce(nullIf(${first:cache_write_tokens}, ''), counted[4])) AS write_said,
        toUInt32OrNull(coalesce(nullIf(${first:reasoning_tokens}, ''), counted[5])) AS reasoning_said,
        toUInt32OrNull(${first:cache_write_1h_tokens}) AS write_1h_said,
        toUInt32OrNull(${first:total_tokens}) AS total_said,
        ifNull(read_said, 0) + ifNull(write_said, 0) AS cached,
        -- Claims of the convention that some clients do not keep: their input is without the cache.
        startsWith(scope, 'com.anthropic.claude_code') OR startsWith(scope, 'openlit.instrumentation.anthropic')
            OR (${first:input_tokens} = '' AND JSONHas(${first:usage}, 'input')) AS is_exclusive
    FROM
    (
${fields}
    )
)
