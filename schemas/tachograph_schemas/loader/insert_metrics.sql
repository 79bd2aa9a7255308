-- One batch of envelopes (otlp_metrics.proto) becomes one insert: one row a data point.
-- Parameters: writer_id, batch. Read from the bottom: each section is a SELECT around the one below it.
INSERT INTO metric_rows (
    writer_id, batch, log_offset, received_at, project, name, kind, unit, description, temporality, is_monotonic, start_time, time, point_key,
    value, int_value, count, sum, min, max, bucket_counts, explicit_bounds, scale, zero_count, zero_threshold,
    positive_offset, positive_counts, negative_offset, negative_counts, quantiles, exemplars, flags,
    service, service_version, scope, scope_version, attributes, resource
)
WITH
    least(point.2, 9223372036854775807) AS start_ns,
    least(point.3, 9223372036854775807) AS said_ns,
    ${map:point.1} AS attributes
SELECT
    {writer_id:UInt64}, {batch:UInt64}, log_offset, fromUnixTimestamp64Nano(toInt64(received_ns), 'UTC'), project,
    name, kind, unit, description, ['delta', 'cumulative'][temporality_code], is_monotonic,
    if(start_ns > 0, fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC'), NULL),
    fromUnixTimestamp64Nano(toInt64(if(said_ns > 0, said_ns, received_ns)), 'UTC'),
    -- points without a time are kept apart by their place in the collector's log
    cityHash64(
        place, point_at, mapKeys(resource), mapValues(resource), scope, scope_version, name, kind, unit, start_ns, mapKeys(attributes), mapValues(attributes),
        ifNull(point.6, 0), ifNull(point.8, 0), ifNull(point.9, 0), if(said_ns = 0, received_ns, 0)
    ),
    point.6, point.7, point.8, point.9, point.10, point.11, point.12, point.13, point.14.1, point.14.2, point.14.3,
    point.15.1, point.15.2, point.16.1, point.16.2, point.17, point.5, point.4,
    resource['service.name'], resource['service.version'], scope, scope_version, attributes, resource
FROM
(
    -- 3. one row a point
    SELECT
        log_offset, received_ns, project, resource, scope, scope_version, place, metric.name AS name, metric.unit AS unit, metric.description AS description,
        multiIf(
            notEmpty(metric.gauge.data_points), 'gauge', notEmpty(metric.sum.data_points), 'sum', notEmpty(metric.histogram.data_points), 'histogram',
            notEmpty(metric.exponential_histogram.data_points), 'exponential_histogram', 'summary'
        ) AS kind,
        -- they are members of one oneof: at most one is not zero
        metric.sum.aggregation_temporality + metric.histogram.aggregation_temporality + metric.exponential_histogram.aggregation_temporality AS said_temporality,
        if(said_temporality IN (1, 2), toUInt8(said_temporality), 0) AS temporality_code,
        metric.sum.is_monotonic AS is_monotonic, numbered.1 AS point_at, numbered.2 AS point
    FROM
    (
        SELECT *, arrayJoin(arrayZip(arrayEnumerate(points), points)) AS numbered
        FROM
        (
            SELECT
                *,
                ${metric_points} AS points
            FROM
            (
                -- 2. one row a metric
                SELECT
                    log_offset, received_ns, project, resource, scope.name AS scope, scope.version AS scope_version,
                    (resource_at, scope_at, numbered_metric.1) AS place, numbered_metric.2 AS metric
                FROM
                (
                    SELECT
                        log_offset, received_ns, project, resource, resource_at, scope_metrics.1 AS scope_at, scope_metrics.2.scope AS scope,
                        arrayJoin(arrayZip(arrayEnumerate(scope_metrics.2.metrics), scope_metrics.2.metrics)) AS numbered_metric
                    FROM
                    (
                        -- 1. one row a resource and scope
                        SELECT
                            log_offset, received_ns, project, resource_metrics.1 AS resource_at, ${map:resource_metrics.2.resource.attributes} AS resource,
                            arrayJoin(arrayZip(arrayEnumerate(resource_metrics.2.scope_metrics), resource_metrics.2.scope_metrics)) AS scope_metrics
                        FROM
                        (
                            SELECT log_offset, received_ns, project, arrayJoin(arrayZip(arrayEnumerate(request.resource_metrics), request.resource_metrics)) AS resource_metrics
                            FROM ${source}
                        )
                    )
                )
            )
        )
    )
)
