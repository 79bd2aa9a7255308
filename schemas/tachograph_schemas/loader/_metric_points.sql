-- The points of one metric, whatever its kind, as one array of one type
arrayConcat(
    arrayMap(p -> (
        p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, ${exemplars:p}, ifNull(p.as_double, toFloat64(p.as_int)), p.as_int,
        CAST(NULL, 'Nullable(UInt64)'), CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Float64)'),
        CAST([], 'Array(UInt64)'), CAST([], 'Array(Float64)'), CAST((NULL, NULL, NULL), 'Tuple(Nullable(Int32), Nullable(UInt64), Nullable(Float64))'),
        CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST([], 'Array(Tuple(Float64, Float64))')
    ), if(empty(metric.gauge.data_points), metric.sum.data_points, metric.gauge.data_points)),
    arrayMap(p -> (
        p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, ${exemplars:p}, CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Int64)'),
        CAST(p.count, 'Nullable(UInt64)'), p.sum, p.min, p.max, p.bucket_counts, p.explicit_bounds, CAST((NULL, NULL, NULL), 'Tuple(Nullable(Int32), Nullable(UInt64), Nullable(Float64))'),
        CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST([], 'Array(Tuple(Float64, Float64))')
    ), metric.histogram.data_points),
    arrayMap(p -> (
        p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, ${exemplars:p}, CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Int64)'),
        CAST(p.count, 'Nullable(UInt64)'), p.sum, p.min, p.max, CAST([], 'Array(UInt64)'), CAST([], 'Array(Float64)'),
        CAST((p.scale, p.zero_count, p.zero_threshold), 'Tuple(Nullable(Int32), Nullable(UInt64), Nullable(Float64))'),
        CAST((p.positive.offset, p.positive.bucket_counts), 'Tuple(Nullable(Int32), Array(UInt64))'),
        CAST((p.negative.offset, p.negative.bucket_counts), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST([], 'Array(Tuple(Float64, Float64))')
    ), metric.exponential_histogram.data_points),
    arrayMap(p -> (
        p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, '', CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Int64)'),
        CAST(p.count, 'Nullable(UInt64)'), CAST(p.sum, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Float64)'), CAST(NULL, 'Nullable(Float64)'),
        CAST([], 'Array(UInt64)'), CAST([], 'Array(Float64)'), CAST((NULL, NULL, NULL), 'Tuple(Nullable(Int32), Nullable(UInt64), Nullable(Float64))'),
        CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'), CAST((NULL, []), 'Tuple(Nullable(Int32), Array(UInt64))'),
        arrayMap(q -> (q.quantile, q.value), p.quantile_values)
    ), metric.summary.data_points)
)
