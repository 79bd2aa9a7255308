-- The price list as constants: names, and beside them (price id; USD per token: input, output, cache read, cache write,
-- cache write 1 h; tier threshold; the same five above it). The first is what has no price.
(
    SELECT groupArray((
        concat(provider, '\n', model),
        (price_id, input_usd, output_usd, cache_read_usd, cache_write_usd, cache_write_1h_usd, tier_above_tokens,
            tier_input_usd, tier_output_usd, tier_cache_read_usd, tier_cache_write_usd, tier_cache_write_1h_usd)
    ))
    FROM model_prices FINAL
) AS listed,
arrayConcat(['\n'], listed.1) AS listed_models,
arrayConcat([('', 0., 0., 0., 0., 0., 0, 0., 0., 0., 0., 0.)], listed.2) AS listed_prices
