-- Money: the price row of (provider, model), its tier chosen by the size of the whole input
price.tier_above_tokens > 0 AND ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) > price.tier_above_tokens AS in_tier,
ifNull(input_tokens, 0) * if(in_tier, price.tier_input_usd, price.input_usd)
    + ifNull(cache_read_tokens, 0) * if(in_tier, price.tier_cache_read_usd, price.cache_read_usd)
    + ifNull(cache_write_5m_tokens, 0) * if(in_tier, price.tier_cache_write_usd, price.cache_write_usd)
    + ifNull(cache_write_1h_tokens, 0) * if(in_tier, price.tier_cache_write_1h_usd, price.cache_write_1h_usd)
    + ifNull(output_tokens, 0) * if(in_tier, price.tier_output_usd, price.output_usd) AS priced_usd,
multiIf(
    layer != 'model', '',
    isNull(input_tokens) AND isNull(output_tokens), 'no_usage',
    price.model = '', if(span.model = '', 'unknown_price', 'pending'),
    price.price_id = '', 'unknown_price',
    'priced'
) AS cost_state
