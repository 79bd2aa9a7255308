-- One batch of envelopes (otlp_logs.proto) becomes one insert.
-- Parameters: writer_id, batch. Read from the bottom: each section is a SELECT around the one below it.
INSERT INTO log_rows (
    writer_id, batch, log_offset, received_at, project, time, observed_time, record_key, trace_id, span_id, run_id,
    severity_number, severity, event_name, body, service, service_version, scope, scope_version, attributes, resource, dropped_attributes, flags
)
SELECT
    {writer_id:UInt64}, {batch:UInt64}, log_offset, fromUnixTimestamp64Nano(toInt64(received_ns), 'UTC'), project,
    fromUnixTimestamp64Nano(toInt64(multiIf(said_ns > 0, said_ns, observed_ns > 0, observed_ns, received_ns)), 'UTC'),
    if(observed_ns > 0, fromUnixTimestamp64Nano(toInt64(observed_ns), 'UTC'), NULL),
    -- records without any time are kept apart by their place in the collector's log
    cityHash64(
        place, mapKeys(resource), mapValues(resource), scope, scope_version, said_ns, observed_ns, trace_id, span_id, severity_number, severity,
        event_name, body, mapKeys(attributes), mapValues(attributes), if(said_ns + observed_ns = 0, received_ns, 0)
    ),
    trace_id, span_id, if(attributes['tacho.run.id'] != '', attributes['tacho.run.id'], trace_id),
    severity_number, severity, event_name, body, resource['service.name'], resource['service.version'], scope, scope_version,
    attributes, resource, dropped_attributes, flags
FROM
(
    -- 3. plain columns of one record
    SELECT
        log_offset, received_ns, project, resource, scope.name AS scope, scope.version AS scope_version, (resource_at, scope_at, record_at) AS place,
        least(record.time_unix_nano, 9223372036854775807) AS said_ns, least(record.observed_time_unix_nano, 9223372036854775807) AS observed_ns,
        -- what is no id identifies nothing
        if(length(record.trace_id) = 16 AND record.trace_id != unhex('00000000000000000000000000000000'), lower(hex(record.trace_id)), '') AS trace_id,
        if(trace_id != '' AND length(record.span_id) = 8 AND record.span_id != unhex('0000000000000000'), lower(hex(record.span_id)), '') AS span_id,
        if(record.severity_number BETWEEN 0 AND 24, toUInt8(record.severity_number), 0) AS severity_number,
        if(record.severity_text != '' OR severity_number = 0, record.severity_text, ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'][intDiv(severity_number - 1, 4) + 1]) AS severity,
        ${map:record.attributes} AS attributes,
        if(record.event_name != '', record.event_name, attributes['event.name']) AS event_name,
        ${text:record.body} AS body, record.dropped_attributes_count AS dropped_attributes, record.flags AS flags
    FROM
    (
        -- 2. one row a record
        SELECT log_offset, received_ns, project, resource, resource_at, scope, scope_at, numbered.1 AS record_at, numbered.2 AS record
        FROM
        (
            SELECT
                log_offset, received_ns, project, resource, resource_at, scope_logs.1 AS scope_at, scope_logs.2.scope AS scope,
                arrayJoin(arrayZip(arrayEnumerate(scope_logs.2.log_records), scope_logs.2.log_records)) AS numbered
            FROM
            (
                -- 1. one row a resource and scope
                SELECT
                    log_offset, received_ns, project, resource_logs.1 AS resource_at, ${map:resource_logs.2.resource.attributes} AS resource,
                    arrayJoin(arrayZip(arrayEnumerate(resource_logs.2.scope_logs), resource_logs.2.scope_logs)) AS scope_logs
                FROM
                (
                    SELECT log_offset, received_ns, project, arrayJoin(arrayZip(arrayEnumerate(request.resource_logs), request.resource_logs)) AS resource_logs
                    FROM ${source}
                )
            )
        )
    )
)
