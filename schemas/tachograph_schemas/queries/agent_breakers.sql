-- The circuit breakers of an agent in a time: how often they opened, and how long they stayed open. One that never closed
-- again is open until the end of the time, or until its last run ended.
SELECT
    breaker,
    arrayCount(x -> x.2 = 'opened', moves) AS trips,
    toUInt64(arraySum(
        (move, next_at) -> if(move.2 = 'opened', greatest(0, next_at - move.1), 0),
        moves, arrayPushBack(arrayPopFront(moves.1), least(last_ns, toUnixTimestamp64Nano({until:DateTime64(9, 'UTC')})))
    )) AS open_ns,
    refused
FROM
(
    SELECT
        attributes['tacho.breaker.name'] AS breaker,
        arraySort(groupArrayIf(1000)((toUnixTimestamp64Nano(start_time), verdict), verdict IN ('opened', 'half_open', 'closed'))) AS moves,
        countIf(verdict = 'refused') AS refused,
        max(toUnixTimestamp64Nano(start_time)) AS last_ns
    FROM ${harness_spans}
    WHERE layer = 'breaker'
    GROUP BY breaker
)
ORDER BY trips DESC, breaker
LIMIT 50
