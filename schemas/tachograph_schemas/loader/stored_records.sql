-- Which records of a writer's log the engine has, behind a sequence number.
SELECT DISTINCT log_offset, toUInt64(toUnixTimestamp64Nano(received_at))
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND log_offset > {sequence:UInt64}
