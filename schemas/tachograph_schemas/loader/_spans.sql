-- 3. plain columns of one span
SELECT
    log_offset, received_ns, project, resource, resource['service.name'] AS service, resource['service.version'] AS service_version,
    scope.name AS scope, scope.version AS scope_version,
    lower(hex(span.trace_id)) AS trace_id, lower(hex(span.span_id)) AS said_span_id, lower(hex(span.parent_span_id)) AS said_parent_id,
    span.trace_state AS trace_state, span.name AS name,
    -- anything outside the enumerations would fail the whole batch
    if(span.kind BETWEEN 0 AND 5, span.kind, 0) AS kind, if(span.status.code BETWEEN 0 AND 2, span.status.code, 0) AS status_code,
    span.status.message AS said_message,
    least(span.start_time_unix_nano, 9223372036854775807) AS start_ns, least(span.end_time_unix_nano, 9223372036854775807) AS end_ns,
    ${map:span.attributes} AS attributes, span.dropped_attributes_count AS dropped_attributes,
    arrayMap(e -> fromUnixTimestamp64Nano(toInt64(least(e.time_unix_nano, 9223372036854775807)), 'UTC'), span.events) AS event_times,
    span.events.name AS event_names, arrayMap(e -> ${map:e.attributes}, span.events) AS event_attributes,
    arrayMap(l -> lower(hex(l.trace_id)), span.links) AS link_trace_ids, arrayMap(l -> lower(hex(l.span_id)), span.links) AS link_span_ids,
    arrayMap(l -> ${map:l.attributes}, span.links) AS link_attributes
FROM
(
    -- 2. one row a span
    SELECT log_offset, received_ns, project, resource, scope, arrayJoin(spans) AS span
    FROM
    (
        SELECT log_offset, received_ns, project, resource, scope_spans.scope AS scope, scope_spans.spans AS spans
        FROM
        (
            -- 1. one row a resource and scope
            SELECT log_offset, received_ns, project, ${map:rs.resource.attributes} AS resource, arrayJoin(rs.scope_spans) AS scope_spans
            FROM (SELECT log_offset, received_ns, project, arrayJoin(request.resource_spans) AS rs FROM ${source})
        )
    )
)
