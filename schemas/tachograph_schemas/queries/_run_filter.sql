project = {project:String}
-- since
AND started_at >= {since:DateTime64(9, 'UTC')}
-- until
AND started_at < {until:DateTime64(9, 'UTC')}
-- agents
AND agent IN {agents:Array(String)}
-- outcomes
AND ${outcome} IN {outcomes:Array(String)}
-- customers
AND customer IN {customers:Array(String)}
-- tools
AND hasAny(tools, {tools:Array(String)})
-- models
AND hasAny(models, {models:Array(String)})
-- min_cost_usd
AND cost_usd >= {min_cost_usd:Float64}
-- max_cost_usd
AND cost_usd <= {max_cost_usd:Float64}
-- min_duration_ns
AND ${duration_ns} >= {min_duration_ns:UInt64}
-- max_duration_ns
AND ${duration_ns} <= {max_duration_ns:UInt64}
-- tag
AND has(tags, {tag:String})
-- session_id
AND session_id = {session_id:String}
-- user_id
AND user_id = {user_id:String}
-- text
AND (startsWith(run_id, {text:String})
    OR positionCaseInsensitiveUTF8(concatWithSeparator('\n', goal, name, stop_reason, input, output, session_id, user_id, arrayStringConcat(tags, ' ')), {text:String}) > 0)
-- search
AND run_id IN (
    SELECT run_id FROM span_rows
    WHERE project = {project:String} AND start_time >= {spans_since:DateTime64(9, 'UTC')} AND hasAllTokens(words, lowerUTF8({search:String}))
)
-- attributes
AND run_id IN (
    SELECT run_id FROM span_rows
    WHERE project = {project:String} AND start_time >= {spans_since:DateTime64(9, 'UTC')} AND has(attribute_pairs, {attribute_0:String})
)
