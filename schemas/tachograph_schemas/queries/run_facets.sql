-- What the filters of the list can be set to, most used first.
SELECT
    arrayMap(x -> x.1, topKIf(200, 3, 'counts')(agent, agent != '')) AS agents,
    arrayMap(x -> x.1, topKIf(200, 3, 'counts')(customer, customer != '')) AS customers,
    groupUniqArray(200)(outcome) AS outcomes
FROM runs
WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
