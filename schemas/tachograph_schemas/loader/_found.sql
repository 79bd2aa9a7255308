-- 4. what the attributes say: of each name its place in the table (sources.py), then sorted by it, so that
-- a look-up finds the value of the highest precedence. Empty values say nothing, whatever a client means by them.
WITH
    ${family?keys_of_family:keys},
    mapValues(attributes) AS given,
    arraySort(x -> x.1, arrayFilter(
        x -> x.1 != 0 AND x.2 NOT IN ('', '[]', '{}', 'null', '""', 'None'),
        arrayZip(arrayMap(k -> ${field_code:k}, keys), given)
    )) AS found,
    arraySort(x -> x.1, arrayFilter(x -> x.1 != 0, arrayZip(arrayMap(k -> ${kind_rank:k}, keys), keys, given))) AS kinds
SELECT
    *, family, keys, given, found,
    CAST(arrayMap(x -> (toUInt8(intDiv(x.1, 64)), x.2), ${family?plain_values:values}), 'Map(UInt8, String)') AS said,
    arrayFirst(k -> k != '', arrayMap(x -> ${kind:concat(x.2, '=', replaceAll(x.3, '"', ''))}, kinds)) AS kind_said,
    ${tags?tags:no_tags} AS tags
FROM
(
${spans}
)
${guard:names}
