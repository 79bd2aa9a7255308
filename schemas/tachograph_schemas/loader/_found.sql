-- 4. what the attributes say: of each name its place in the table (sources.py), then sorted by it, so that
-- a look-up finds the value of the highest precedence. Empty values say nothing, whatever a client means by them.
WITH
    multiIf(
        startsWith(scope, 'com.anthropic.claude_code'), 'claude_code/',
        startsWith(scope, 'logfire') OR startsWith(scope, 'pydantic-ai'), 'logfire/',
        startsWith(scope, 'mlflow'), 'mlflow/',
        ''
    ) AS family,
    -- a name without a dot means something only in the scopes that use it
    if(family = '', mapKeys(attributes), CAST(arrayMap(k -> if(position(k, '.') = 0, concat(family, k), k), mapKeys(attributes)), 'Array(LowCardinality(String))')) AS keys,
    mapValues(attributes) AS given,
    arraySort(x -> x.1, arrayFilter(
        x -> x.1 != 0 AND x.2 NOT IN ('', '[]', '{}', 'null', '""', 'None'),
        arrayZip(arrayMap(k -> ${field_code:k}, keys), given)
    )) AS found,
    arraySort(x -> x.1, arrayFilter(x -> x.1 != 0, arrayZip(arrayMap(k -> ${kind_rank:k}, keys), keys, given))) AS kinds
SELECT
    *, family,
    -- MLflow writes every value as JSON
    CAST(arrayMap(x -> (toUInt8(intDiv(x.1, 64)), x.2), if(
        family = 'mlflow/',
        arrayMap(x -> (x.1, if(x.1 < ${first_payload_code} AND startsWith(x.2, '"'), JSONExtractString(x.2), x.2)), found),
        found
    )), 'Map(UInt8, String)') AS said,
    arrayFirst(k -> k != '', arrayMap(x -> ${kind:concat(x.2, '=', replaceAll(x.3, '"', ''))}, kinds)) AS kind_said,
    arrayFirst(p -> p NOT IN ('strands-agents', 'langchain', 'microsoft.agent_framework'), arrayMap(x -> lower(x.2), arrayFilter(x -> intDiv(x.1, 64) = ${number:provider}, found))) AS provider_said,
    arrayDistinct(arrayFlatten(arrayMap(
        v -> if(startsWith(v, '['), JSONExtract(v, 'Array(String)'), splitByString(', ', v)),
        arrayFilter((v, k) -> k IN (${tag_lists}) AND v != '', given, keys)
    ))) AS tags,
    -- OpenInference and older OpenLLMetry spread messages over attributes: ...messages.0.message.role
    arrayFilter(x -> match(x.1, '^(llm\\.(in|out)put_messages|gen_ai\\.(prompt|completion))\\.[0-9]'), arrayZip(keys, given)) AS flat,
    indexOf(event_names, 'exception') AS exception_at
FROM
(
${spans}
)
