(SELECT * FROM run_rows WHERE project = {project:String} AND run_id = {run_id:String} ORDER BY computed_at_ns DESC LIMIT 1)
