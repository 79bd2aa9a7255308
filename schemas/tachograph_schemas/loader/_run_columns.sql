SELECT
    {writer_id:UInt64}, arrayMax({batches:Array(UInt64)}), toUInt64(toUnixTimestamp64Nano(now64(9))), run.* EXCEPT (beside, beside_people, saved, odd_spans, plain_calls, plain_totals, plain_tool_calls, plain_tool_errors, plain_tools),
    length(calls), arraySort(arrayDistinct(arrayFilter(m -> m != '', calls.5))),
    totals.1, totals.2, totals.3, totals.4, totals.5, totals.6, totals.7, totals.8,
    tool_calls, tool_errors, tools,
    calls.1, calls.2, calls.3, calls.4, calls.5, calls.6, calls.7, calls.8, calls.9, calls.10, calls.11, calls.12, calls.13,
    second_views.1, second_views.2, second_views.3,
    -- a call that several spans show is one
    arrayUniq(arrayMap(span -> if(has(second_views.1, span), second_views.3[indexOf(second_views.1, span)], span), odd_spans)),
    beside, beside_people, saved
