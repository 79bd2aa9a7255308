-- What the harness around each agent did in a time: one row an agent, from the layers' verdicts.
SELECT
    agent,
    countIf(layer = 'validation' AND verdict IN ('pass', 'fail')) AS validations,
    countIf(layer = 'validation' AND verdict = 'fail') AS validations_failed,
    countIf(layer = 'repair' AND verdict IN ('repaired', 'gave_up') AND attributes['tacho.repair.attempt'] NOT IN ('', '0')) AS repairs,
    countIf(layer = 'repair' AND verdict = 'repaired' AND attributes['tacho.repair.attempt'] NOT IN ('', '0')) AS repairs_succeeded,
    countIf(layer = 'gate' AND verdict != '') AS gates,
    countIf(layer = 'gate' AND verdict = 'deny') AS gates_denied,
    countIf(layer = 'gate' AND verdict = 'escalate') AS gates_escalated,
    countIf(layer = 'approval' AND verdict IN ('approved', 'refused', 'timeout')) AS approvals,
    countIf(layer = 'approval' AND verdict = 'approved') AS approvals_granted,
    sumIf(toUInt64OrZero(attributes['tacho.waiting_ns']), layer = 'approval') AS approval_waiting_ns,
    countIf(layer = 'breaker' AND verdict = 'opened') AS breaker_trips,
    countIf(layer = 'breaker' AND verdict = 'refused') AS breaker_refusals,
    countIf(layer = 'retry') AS retries,
    countIf(layer = 'fallback') AS fallbacks,
    countIf(layer = 'tool' AND verdict = 'unknown') AS unknown_tools,
    countIf(layer = 'tool' AND verdict = 'out_of_scope') AS out_of_scope_calls,
    sumIf(toUInt64OrZero(attributes['tacho.normalize.injections']), layer = 'normalize') AS injections,
    countIf(layer = 'checkpoint' AND verdict = 'restored') AS restores,
    countIf(layer = 'stop') AS stops,
    countIf(layer = 'budget' AND verdict = 'stopped') AS budget_stops,
    countIf(layer = 'handoff') AS handoffs,
    countIf(layer = 'eval' AND lower(verdict) IN ('pass', 'passed', 'fail', 'failed')) AS evals,
    countIf(layer = 'eval' AND lower(verdict) IN ('pass', 'passed')) AS evals_passed
FROM spans
WHERE project = {project:String} AND start_time >= {since:DateTime64(9, 'UTC')} AND start_time < {until:DateTime64(9, 'UTC')}
    AND layer NOT IN ('run', 'agent', 'step', 'model', 'other')
GROUP BY agent
ORDER BY count() DESC, agent
