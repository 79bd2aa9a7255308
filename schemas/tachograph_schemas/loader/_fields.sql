-- 7. the columns. What kind of step it is decides which attributes are its input, output, tool and model.
WITH
    coalesce(${or_null:tool entity}, replaceRegexpOne(name, '^(execute_tool|tools/call|running tool:?) |(\\.tool|\\.run|\\.__call__)$|^claude_code\\..*', '')) AS tool_found,
    coalesce(${or_null:arguments input @tool_message}, if(position(${first:tool_parameters}, '"properties"') > 0, '', ${first:tool_parameters})) AS arguments_found,
    if(position(arguments_found, '"kwargs"') > 0, JSONExtractRaw(arguments_found, 'kwargs'), '') AS named_arguments
SELECT
    log_offset, received_ns, project, trace_id, family, scope, scope_version, name, kind, kind_said, service, service_version, resource, attributes, dropped_attributes,
    start_ns, end_ns, event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes, trace_state, tags, said,
    -- Logfire announces an open span by a span of its own: it becomes that span's in-progress copy
    if(is_announcement, said_parent_id, said_span_id) AS span_id,
    if(is_announcement, if(match(${first:pending_parent}, '^0*$'), '', ${first:pending_parent}), said_parent_id) AS parent_span_id,
    is_announcement OR ${first:open} = 'true' AS is_open,
    layer, ${first:cached} = 'true' AS is_cached, if((toFloat64OrNull(${first:tool_cost}) AS beside_said) BETWEEN 0 AND 1e9, beside_said, NULL) AS beside_usd,
    ${first:transport} != '' AS is_transport,
    coalesce(${or_null:run_id}, trace_id) AS run_id,
    multiIf(failed, 'error', status_code = 1, 'ok', 'unset') AS status,
    coalesce(nullIf(said_message, ''), nullIf(${exception:message}, ''), if(failed, ${first:error_message}, '')) AS status_message,
    if(failed, coalesce(${or_null:error_type}, nullIf(${exception:type}, ''), '_OTHER'), '') AS error_type,
    coalesce(${or_null:verdict},
        transform(concat(kind_said, layer, ${first:decision}), ['approvalgateaccept', 'approvalgatereject', 'approvalapprovalaccept', 'approvalapprovalreject'], ['allow', 'deny', 'approved', 'refused'], '')) AS verdict,
    coalesce(${or_null:agent}, if(kind_said = 'agent' AND ${first:layer} = '',
        coalesce(${or_null:entity agent_of_agent}, replaceRegexpOne(name, '^(invoke_agent|create_agent) |\\.(agent|run)$', '')), '')) AS agent,
    if(startsWith(${first:session_id}, '[Scrubbed'), '', ${first:session_id}) AS session_id,
    ${first:user_id} AS user_id, ${first:customer} AS customer,
${calls?model_fields:}
    if(layer = 'tool', tool_found, '') AS tool,
    if(layer = 'tool', ${first:tool_call_id}, '') AS tool_call_id,
    multiIf(
        layer = 'model', ${first:messages_in @flat_in @turns_in input},
        layer = 'tool', if(length(named_arguments) > 2, named_arguments, arguments_found),
        ${first:input messages_in @flat_in @turns_in}
    ) AS input,
    multiIf(
        -- LiteLLM leaves the tool call out of the messages
        layer = 'model', if(${first:@flat_out} != '' AND position(${first:messages_out}, '"parts": []') > 0, ${first:@flat_out},
            ${first:messages_out @flat_out @turns_out output}),
        layer = 'tool', ${first:result output @tool_output @choice},
        ${first:output messages_out @flat_out @turns_out}
    ) AS output,
    -- long payloads are stored once: the attribute that is the input or output word by word is left out (migrations/0003)
    if(length(input) > 100, indexOf(given, input), 0) AS input_at,
    if(length(output) > 100, indexOf(given, output), 0) AS output_at
FROM
(
${step}
)
${guard:layer}
