-- The user's own price list.
SELECT model, provider, from_s, input_usd, output_usd, cache_read_usd, cache_write_usd, cache_write_1h_usd, set_by
FROM user_prices FINAL
WHERE NOT removed
ORDER BY model, provider, from_s
