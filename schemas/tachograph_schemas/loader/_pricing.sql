-- Money: the price of (provider, model), its tier chosen by the size of the whole input
price.7 > 0 AND ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) > price.7 AS in_tier,
ifNull(input_tokens, 0) * if(in_tier, price.8, price.2)
    + ifNull(output_tokens, 0) * if(in_tier, price.9, price.3)
    + ifNull(cache_read_tokens, 0) * if(in_tier, price.10, price.4)
    + ifNull(cache_write_5m_tokens, 0) * if(in_tier, price.11, price.5)
    + ifNull(cache_write_1h_tokens, 0) * if(in_tier, price.12, price.6) AS priced_usd,
multiIf(
    layer != 'model', '',
    isNull(input_tokens) AND isNull(output_tokens), 'no_usage',
    price_at = 0, if(model = '', 'unknown_price', 'pending'),
    price.1 = '', 'unknown_price',
    'priced'
) AS cost_state
