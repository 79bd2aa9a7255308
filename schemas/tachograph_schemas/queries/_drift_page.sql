(
    -- Finished runs in the order in which they became known; those of one computation in the order of their ends.
    SELECT project, run_id, computed_at_ns FROM run_rows
    WHERE computed_at_ns >= {after_ns:UInt64} AND computed_at_ns <= {until_ns:UInt64}
        AND (computed_at_ns, ifNull(ended_at, last_seen_at), project, run_id)
            > ({after_ns:UInt64}, fromUnixTimestamp64Nano({after_end_ns:Int64}, 'UTC'), {after_project:String}, {after_run:String})
        AND outcome != 'running' AND agent != ''
    ORDER BY computed_at_ns, ifNull(ended_at, last_seen_at), project, run_id
    LIMIT {limit:UInt32}
)
