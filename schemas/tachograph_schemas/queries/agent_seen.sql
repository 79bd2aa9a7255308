-- Whether anything was ever recorded of an agent, as that of a run or of a sub-agent within one; whatever the project.
SELECT count() FROM (SELECT 1 FROM spans WHERE agent = {agent:String} LIMIT 1)
