-- 5. in one pass: each attribute is a piece of text, `places` puts the pieces in order (side, message, kind of part: 0 unknown,
-- 1 about the message, 2 content, 3 contents, 4 tool calls; number of the part; leaf). What follows a
-- tool_call_id is the answer of that tool.
WITH
    arrayFilter(x -> ${is_flat:x.1}, arrayZip(keys, given)) AS flat,
    arrayMap(x -> splitByChar('.', x.1), flat) AS words,
    arrayMap(w -> arrayFilter(word -> word NOT IN ('message', 'message_content', 'tool_call', 'function', 'image', 'image_url'), arraySlice(w, 4)), words) AS paths,
    arrayMap(p -> transform(p[1], ['role', 'finish_reason', 'tool_call_id', 'content', 'contents', 'tool_calls', 'function_call'], [1, 1, 2, 2, 3, 4, 4], 0), paths) AS part_kinds,
    arrayMap(
        (w, p, k) -> bitShiftLeft(toUInt64(w[2] IN ('output_messages', 'completion')), 60)
            + bitShiftLeft(toUInt64(least(toUInt32OrZero(w[3]), 1048575)), 36)
            + bitShiftLeft(toUInt64(k), 32)
            + bitShiftLeft(toUInt64(if(k > 2, least(toUInt32OrZero(p[2]), 1048575), 0)), 4)
            + transform(p[-1], ['finish_reason', 'content', 'name', 'arguments'], [1, 1, 1, 2], 0),
        words, paths, part_kinds
    ) AS places
SELECT
    *, notEmpty(flat) AS is_flat,
    arraySort(x -> x.1, arrayFilter(
        x -> x.4 != 0 AND x.3 != '' AND x.2 IN ('role', 'finish_reason', 'tool_call_id', 'content', 'text', 'url', 'id', 'name', 'arguments'),
        arrayZip(places, arrayMap(p -> p[-1], paths), flat.2, part_kinds)
    )) AS pieces,
    arrayMap(x -> bitShiftRight(x.1, 36), pieces) AS messages,
    arrayMap(x -> bitShiftRight(x.1, 4), pieces) AS parts
FROM
(
${found}
)
