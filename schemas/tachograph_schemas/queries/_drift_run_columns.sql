project, run_id, agent, computed_at_ns,
    toUnixTimestamp64Nano(ifNull(ended_at, last_seen_at)) AS ended_ns, toUnixTimestamp64Nano(started_at) AS started_ns,
    toUnixTimestamp64Nano(last_seen_at) AS seen_ns,
    -- the task in the user's words
    substringUTF8(if(arrayFirst(t -> startsWith(t, 'task:'), tags) AS task != '', substring(task, 6), entrypoint), 1, 200) AS label,
    substringUTF8(version, 1, 80) AS version_told, code_version, substringUTF8(calls.model[1], 1, 80) AS first_model,
    -- an unpriced call would look like a cheap one
    if(unpriced_calls = 0, cost_usd, NULL) AS known_cost_usd,
    (toInt64(duration_ns) - toInt64(waiting_ns)) / 1e9 AS working_s,
    input_tokens + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) AS all_input_tokens, output_tokens,
    model_calls + tool_calls AS steps, lengthUTF8(output) AS output_chars, outcome,
    multiIf(
        output IN ('', 'null'), 'empty',
        startsWith(output, '{'), substringUTF8(concat('object ', arrayStringConcat(arraySort(JSONExtractKeys(output)), ',')), 1, 80),
        startsWith(output, '['), 'list',
        output IN ('true', 'false'), 'yes or no',
        match(output, '^-?[0-9.eE+-]+$'), 'number',
        'text'
    ) AS output_shape
