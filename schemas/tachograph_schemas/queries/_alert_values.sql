-- cost_usd
sum(ifNull(call_cost_usd, 0))
-- tokens
toFloat64(sum(call_tokens))
-- model_calls
toFloat64(count())
-- unpriced_calls
toFloat64(countIf(call_cost_status NOT IN ('priced', '')))
-- runs
toFloat64(count())
-- run_p50_s
quantileExact(0.5)(duration_ns) / 1e9
-- run_p95_s
quantileExact(0.95)(duration_ns) / 1e9
-- run_p99_s
quantileExact(0.99)(duration_ns) / 1e9
-- success_rate
countIf(outcome_then = 'success') / count()
-- failure_rate
countIf(outcome_then = 'failure') / count()
-- stopped_rate
countIf(outcome_then = 'stopped') / count()
-- failed_runs
toFloat64(countIf(outcome_then = 'failure'))
-- interrupted_runs
toFloat64(countIf(outcome_then = 'interrupted'))
-- cost_per_success_usd
if(countIf(outcome_then = 'success') = 0, NULL, sum(ifNull(cost_usd, 0)) / countIf(outcome_then = 'success'))
-- lost_spans
toFloat64(sum(if(ifNull(spans_made, 0) > span_count, ifNull(spans_made, 0) - span_count, 0)))
-- model_p50_s
if(countIf(layer = 'model') = 0, NULL, quantileExactIf(0.5)(duration_ns, layer = 'model') / 1e9)
-- model_p95_s
if(countIf(layer = 'model') = 0, NULL, quantileExactIf(0.95)(duration_ns, layer = 'model') / 1e9)
-- model_p99_s
if(countIf(layer = 'model') = 0, NULL, quantileExactIf(0.99)(duration_ns, layer = 'model') / 1e9)
-- tool_p95_s
if(countIf(layer = 'tool') = 0, NULL, quantileExactIf(0.95)(duration_ns, layer = 'tool') / 1e9)
-- tool_p99_s
if(countIf(layer = 'tool') = 0, NULL, quantileExactIf(0.99)(duration_ns, layer = 'tool') / 1e9)
-- model_error_rate
if(countIf(layer = 'model') = 0, NULL, countIf(layer = 'model' AND status = 'error') / countIf(layer = 'model'))
-- tool_error_rate
if(countIf(layer = 'tool') = 0, NULL, countIf(layer = 'tool' AND status = 'error') / countIf(layer = 'tool'))
-- validation_failure_rate
if(countIf(layer = 'validation' AND verdict IN ('pass', 'fail')) = 0, NULL,
    countIf(layer = 'validation' AND verdict = 'fail') / countIf(layer = 'validation' AND verdict IN ('pass', 'fail')))
-- repair_success_rate
if(countIf(layer = 'repair' AND verdict IN ('repaired', 'gave_up') AND attributes['tacho.repair.attempt'] NOT IN ('', '0')) = 0, NULL,
    countIf(layer = 'repair' AND verdict = 'repaired' AND attributes['tacho.repair.attempt'] NOT IN ('', '0'))
    / countIf(layer = 'repair' AND verdict IN ('repaired', 'gave_up') AND attributes['tacho.repair.attempt'] NOT IN ('', '0')))
-- breaker_trips
toFloat64(countIf(layer = 'breaker' AND verdict = 'opened'))
-- gate_denials
toFloat64(countIf(layer = 'gate' AND verdict = 'deny'))
-- budget_stops
toFloat64(countIf(layer = 'budget' AND verdict = 'stopped'))
-- stops
toFloat64(countIf(layer = 'stop'))
-- breaker_open_s
max(if(state = 'closed', 0, greatest(0, toUnixTimestamp64Nano({until:DateTime64(9, 'UTC')}) - toUnixTimestamp64Nano(since_then)) / 1e9))
-- stuck_runs
toFloat64(countIf(last_step < {since:DateTime64(9, 'UTC')} AND waits = 0))
-- silence_s
greatest(0, toUnixTimestamp64Nano({until:DateTime64(9, 'UTC')}) - toUnixTimestamp64Nano(max(last_seen_at))) / 1e9
-- looping_runs
toFloat64(countIf(same_result >= 3))
