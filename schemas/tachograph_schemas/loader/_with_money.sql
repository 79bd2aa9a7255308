WITH
    ${prices},
    toInt64(intDiv(start_ns, 1000000000)) AS priced_at_s,
    ${pricing}
