project = {project:String} AND agent = {agent:String} AND outcome != 'running'
    AND (project, run_id, computed_at_ns) IN
    (
        -- The newest finished runs of one agent.
        SELECT project, run_id, computed_at_ns FROM
        (
            SELECT project, run_id, agent, outcome, computed_at_ns, started_at FROM run_rows
            WHERE project = {project:String} AND agent = {agent:String}
            ORDER BY computed_at_ns DESC
            LIMIT 1 BY run_id
        )
        WHERE outcome != 'running'
        ORDER BY started_at DESC
        LIMIT {limit:UInt32}
    )
