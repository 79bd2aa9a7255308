-- Which records of a writer's log a table has, behind a sequence number.
SELECT DISTINCT log_offset, toUInt64(toUnixTimestamp64Nano(received_at))
FROM {table:Identifier}
WHERE writer_id = {writer_id:UInt64} AND log_offset > {sequence:UInt64}
