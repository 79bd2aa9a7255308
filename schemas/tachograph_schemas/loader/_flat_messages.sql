-- 5a. messages that a client spreads over attributes (...messages.0.message.role) become the convention's message JSON
WITH
    arrayMap(
        (x, before, message, message_before, message_after, part, part_before, part_after) -> (
            x.1 >= 1152921504606846976,
            concat(
                multiIf(message != message_before, if(bitShiftRight(message, 24) = bitShiftRight(message_before, 24), ',{', '{'), part != part_before OR x.4 = 1, ',', ''),
                if(x.4 > 1 AND (message != message_before OR before.4 = 1), '"parts":[', ''),
                multiIf(x.4 = 1 OR part = part_before, '', x.4 = 4, '{"type":"tool_call",', x.2 = 'tool_call_id', '{"type":"tool_call_response",', x.2 = 'url', '{"type":"uri",', '{"type":"text",'),
                if(x.4 > 1 AND part = part_before, ',', ''),
                multiIf(
                    x.4 = 1, concat('"', x.2, '":'),
                    x.2 = 'content' AND part = part_before, '"response":',
                    x.2 = 'tool_call_id', '"id":',
                    x.2 = 'text', '"content":',
                    x.2 = 'url', '"uri":',
                    concat('"', x.2, '":')
                ),
                if(x.2 = 'arguments' AND isValidJSON(x.3), x.3, toJSONString(x.3)),
                if(x.4 > 1 AND part != part_after, '}', ''),
                multiIf(message = message_after, '', x.4 = 1, ',"parts":[]}', ']}')
            )
        ),
        pieces, arrayShiftRight(pieces, 1),
        messages, arrayShiftRight(messages, 1, 18446744073709551615), arrayShiftLeft(messages, 1, 18446744073709551615),
        parts, arrayShiftRight(parts, 1, 18446744073709551615), arrayShiftLeft(parts, 1, 18446744073709551615)
    ) AS texts,
    arrayMap(x -> x.2, arrayFilter(x -> NOT x.1, texts)) AS texts_in,
    arrayMap(x -> x.2, arrayFilter(x -> x.1, texts)) AS texts_out
SELECT
    * EXCEPT (pieces, messages, parts),
    if(empty(texts_in), '', concat('[', arrayStringConcat(texts_in), ']')) AS flat_in,
    if(empty(texts_out), '', concat('[', arrayStringConcat(texts_out), ']')) AS flat_out
FROM
(
${pieces}
)
