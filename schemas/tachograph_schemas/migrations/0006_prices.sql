-- Prices by the names that spans carry, resolved once per name: small, and the same on every node. Takes the place of
-- model_prices, which knew one price a model and one tier.
CREATE TABLE IF NOT EXISTS ${local:model_rates} ${on_cluster}
(
    provider LowCardinality(String),
    model LowCardinality(String),
    price_id String COMMENT 'empty: no price list knows this model',
    rates Array(Tuple(
        price_id String,
        from_s Int64,
        day_from_s Int32,
        day_until_s Int32,
        service_tier String,
        above_tokens UInt64,
        call_usd Float64,
        input_usd Float64,
        output_usd Float64,
        reasoning_usd Float64,
        cache_read_usd Float64,
        cache_write_usd Float64,
        cache_write_1h_usd Float64
    )) COMMENT 'USD per token; the first that fits a call holds: begun, at that time of day (UTC, -1: any), in that service tier (empty: any), for more input tokens than that',
    resolved_at DateTime64(3, 'UTC')
)
ENGINE = ${replacing:model_rates:resolved_at}
ORDER BY (provider, model);

-- cluster only
CREATE TABLE IF NOT EXISTS model_rates ${on_cluster} AS model_rates_local
ENGINE = Distributed('${cluster}', currentDatabase(), model_rates_local, cityHash64(model));

-- The user's own price list.
CREATE TABLE IF NOT EXISTS ${local:user_prices} ${on_cluster}
(
    model String,
    provider String COMMENT 'empty: of any provider',
    from_s Int64 COMMENT 'from this start of a call on, seconds since 1970',
    input_usd Float64 COMMENT 'per token, like all of these',
    output_usd Float64,
    cache_read_usd Float64,
    cache_write_usd Float64,
    cache_write_1h_usd Float64,
    removed Bool,
    set_by String,
    set_at DateTime64(6, 'UTC')
)
ENGINE = ${replacing:user_prices:set_at}
ORDER BY (model, provider, from_s);

-- cluster only
CREATE TABLE IF NOT EXISTS user_prices ${on_cluster} AS user_prices_local
ENGINE = Distributed('${cluster}', currentDatabase(), user_prices_local, cityHash64(model));
