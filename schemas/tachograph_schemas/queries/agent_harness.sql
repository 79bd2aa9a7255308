-- What the harness around one agent did in the runs that started in a time, whichever sub-agent did it.
SELECT
    {agent:String} AS agent,
    ${harness_counters}
FROM ${harness_spans}
