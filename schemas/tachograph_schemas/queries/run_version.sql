-- A number that changes whenever the run does.
SELECT computed_at_ns FROM run_rows FINAL WHERE project = {project:String} AND run_id = {run_id:String}
