-- Money: the first rate of (provider, model) that fits the call: when it began, its service tier, the size of its input
if(layer = 'model', lower(arrayFirst(x -> x != '', [
    attributes['gen_ai.openai.response.service_tier'], attributes['openai.response.service_tier'],
    attributes['anthropic.usage.service_tier'], attributes['tacho.service_tier']
])), '') AS service_tier_said,
ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) AS whole_input,
arrayFirst(
    r -> r.from_s <= priced_at_s
        AND (r.day_from_s < 0 OR if(
            r.day_until_s < r.day_from_s,
            priced_at_s % 86400 >= r.day_from_s OR priced_at_s % 86400 < r.day_until_s,
            priced_at_s % 86400 >= r.day_from_s AND priced_at_s % 86400 < r.day_until_s
        ))
        AND (r.service_tier = '' OR r.service_tier = service_tier_said)
        AND (r.above_tokens = 0 OR whole_input > r.above_tokens),
    rates
) AS rate,
least(ifNull(reasoning_tokens, 0), ifNull(output_tokens, 0)) AS thought,
rate.call_usd
    + ifNull(input_tokens, 0) * rate.input_usd
    + (ifNull(output_tokens, 0) - thought) * rate.output_usd
    + thought * rate.reasoning_usd
    + ifNull(cache_read_tokens, 0) * rate.cache_read_usd
    + ifNull(cache_write_5m_tokens, 0) * rate.cache_write_usd
    + ifNull(cache_write_1h_tokens, 0) * rate.cache_write_1h_usd AS priced_usd,
multiIf(
    layer != 'model', '',
    is_cached AND (price_at != 0 OR model = '' OR (isNull(input_tokens) AND isNull(output_tokens))), 'priced',
    isNull(input_tokens) AND isNull(output_tokens), 'no_usage',
    price_at = 0, if(model = '', 'unknown_price', 'pending'),
    rate.price_id = '', 'unknown_price',
    'priced'
) AS cost_state,
-- An answer from a cache cost nothing; what it would have cost is known if its model's price is.
rate.price_id != '' AND (isNotNull(input_tokens) OR isNotNull(output_tokens)) AS has_price,
multiIf(cost_state != 'priced', NULL, is_cached, 0, priced_usd) AS called_usd,
if(is_cached AND has_price, priced_usd, NULL) AS called_saved_usd
