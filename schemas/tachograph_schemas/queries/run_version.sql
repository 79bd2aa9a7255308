-- A number that changes whenever the run does.
SELECT max(computed_at_ns) FROM run_rows WHERE project = {project:String} AND run_id = {run_id:String}
