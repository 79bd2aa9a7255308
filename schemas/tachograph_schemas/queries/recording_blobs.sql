-- The payloads of those names.
SELECT name, content
FROM blob_rows
WHERE project = {project:String} AND name IN {names:Array(String)}
LIMIT 1 BY name
