-- What drift reads of a run, in the order in which finished runs became known: pages of history lie beside each other there,
-- where the table, ordered by run, would be looked through whole for each (docs/decisions/0029-drift-at-scale.md). The
-- expressions are those of queries/_drift_run_columns.sql, so that the engine finds them again.
ALTER TABLE ${local:run_rows} ${on_cluster} ADD PROJECTION IF NOT EXISTS by_computed (
    SELECT
        project, run_id, agent, computed_at_ns,
        toUnixTimestamp64Nano(ifNull(ended_at, last_seen_at)), toUnixTimestamp64Nano(started_at), toUnixTimestamp64Nano(last_seen_at),
        if(arrayFirst(t -> startsWith(t, 'task:'), tags) != '', substring(arrayFirst(t -> startsWith(t, 'task:'), tags), 6), entrypoint),
        version, code_version, calls.model[1],
        if(unpriced_calls = 0, cost_usd, NULL),
        (toInt64(duration_ns) - toInt64(waiting_ns)) / 1e9,
        input_tokens + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0), output_tokens,
        model_calls + tool_calls, lengthUTF8(output), outcome,
        multiIf(
            output IN ('', 'null'), 'empty',
            startsWith(output, '{'), substring(concat('object ', arrayStringConcat(arraySort(JSONExtractKeys(output)), ',')), 1, 80),
            startsWith(output, '['), 'list',
            output IN ('true', 'false'), 'yes or no',
            match(output, '^-?[0-9.eE+-]+$'), 'number',
            'text'
        ),
        second_views.span_id
    ORDER BY computed_at_ns
);

-- Of runs that were stored before; in the background.
ALTER TABLE ${local:run_rows} ${on_cluster} MATERIALIZE PROJECTION by_computed
