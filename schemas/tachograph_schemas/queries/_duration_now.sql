multiIf(
    isNotNull(ended_at) OR NOT heartbeat, duration_ns,
    last_seen_at < now64(9) - toIntervalSecond(60), greatest(duration_ns, toUInt64(greatest(0, toUnixTimestamp64Nano(last_seen_at) - toUnixTimestamp64Nano(started_at)))),
    greatest(duration_ns, toUInt64(greatest(0, toUnixTimestamp64Nano(now64(9)) - toUnixTimestamp64Nano(started_at))))
)
