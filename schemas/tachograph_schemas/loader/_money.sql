provider, model, request_model, response_id, finish_reason, ttft_ns, client_cost_usd,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens,
    called_usd, cost_state, if(cost_state = 'priced', rate.price_id, ''), odd_usage,
    if(layer = 'model', called_saved_usd, if(is_cached, beside_usd, NULL))
