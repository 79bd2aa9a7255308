computed_at_ns >= {after_ns:UInt64} AND computed_at_ns <= {until_ns:UInt64}
    AND (computed_at_ns, ifNull(ended_at, last_seen_at), project, run_id)
        > ({after_ns:UInt64}, fromUnixTimestamp64Nano({after_end_ns:Int64}, 'UTC'), {after_project:String}, {after_run:String})
    AND (computed_at_ns, ifNull(ended_at, last_seen_at), project, run_id)
        <= ({until_ns:UInt64}, fromUnixTimestamp64Nano({until_end_ns:Int64}, 'UTC'), {until_project:String}, {until_run:String})
    AND outcome != 'running' AND agent != ''
