project = {project:String}
    AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
    AND (empty({agents:Array(String)}) OR agent IN {agents:Array(String)})
    AND (empty({outcomes:Array(String)}) OR outcome IN {outcomes:Array(String)})
    AND (empty({customers:Array(String)}) OR customer IN {customers:Array(String)})
    AND ({min_cost_usd:Float64} < 0 OR cost_usd >= {min_cost_usd:Float64})
    AND ({tag:String} = '' OR has(tags, {tag:String}))
    AND ({session_id:String} = '' OR session_id = {session_id:String})
    AND ({text:String} = '' OR startsWith(run_id, {text:String})
        OR positionCaseInsensitiveUTF8(concatWithSeparator('\n', goal, name, stop_reason, input, output, session_id, user_id, arrayStringConcat(tags, ' ')), {text:String}) > 0)
