-- How long the payloads of those names are, bytes.
SELECT name, length(content) AS size_bytes
FROM blob_rows
WHERE project = {project:String} AND name IN {names:Array(String)}
LIMIT 1 BY name
