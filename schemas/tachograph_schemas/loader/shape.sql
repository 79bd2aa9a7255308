-- What a batch holds, for the insert that is made for it: numbers of fields, then which peculiarities (shapes.py)
SELECT
    groupUniqArrayArray(arrayMap(x -> intDiv(x.1, 64), found)),
    [
        countIf(layer = 'model') > 0,
        countIf(is_flat) > 0,
        countIf(arrayExists(e -> ${is_spoken:e}, event_names)) > 0,
        countIf(has(event_names, 'exception')) > 0,
        countIf(has(event_names, 'tool.output')) > 0,
        countIf(family != '') > 0
    ]
FROM
(
${step}
)
