-- What the spans of an agent show of its harness, in a sample of its latest runs of a time: 500 at most, so that the answer
-- does not take longer as the store grows.
WITH sampled AS
(
    SELECT run_id FROM run_rows
    WHERE project = {project:String} AND agent = {agent:String}
        AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
    ORDER BY started_at DESC
    LIMIT 1 BY run_id
    LIMIT 500
)
SELECT
    count(DISTINCT run_id) AS runs,
    countIf(layer = 'tool' AND verdict = '') AS tool_calls,
    countIf(layer = 'tool' AND verdict = '' AND attributes['tacho.tool.effect'] != '') AS tools_with_effect,
    countIf(layer = 'tool' AND verdict = '' AND (attributes['tacho.tool.scope'] != '' OR attributes['tacho.tool.risk'] != '')) AS tools_with_limits,
    countIf(layer = 'tool' AND verdict != '') AS tools_refused,
    countIf(layer = 'model') AS model_calls,
    countIf(layer IN ('model', 'tool') AND verdict = '' AND isNotNull(end_time) AND status != 'error') AS calls_ended,
    countIf(layer IN ('model', 'tool') AND verdict = '' AND isNotNull(end_time) AND status != 'error' AND if(layer = 'tool', has_input OR has_output, has_input AND has_output)) AS calls_with_contents,
    uniqExactIf(run_id, layer = 'run' AND attributes['tacho.run.goal'] != '') AS runs_with_goal,
    uniqExactIf(run_id, layer = 'run' AND (attributes['gen_ai.agent.version'] != '' OR attributes['tacho.run.code_version'] != '')) AS runs_with_version,
    countIf(layer = 'validation') AS validations,
    countIf(layer = 'validation' AND (attributes['tacho.validation.kind'] = 'verification' OR attributes['tacho.validation.by'] != '')) AS verifications,
    countIf(layer = 'repair') AS repairs,
    countIf(layer = 'retry') AS retries,
    countIf(layer = 'fallback') AS fallbacks,
    countIf(layer = 'breaker') AS breaker_events,
    countIf(layer = 'checkpoint') AS checkpoints,
    countIf(layer = 'stop') AS stops,
    countIf(layer = 'handoff') AS handoffs,
    countIf(layer = 'gate') AS gates,
    countIf(layer = 'gate' AND attributes['tacho.gate.action'] IN ('blocked', 'escalated', 'proceeded')) AS gates_enforced,
    countIf(layer = 'approval') AS approvals,
    countIf(layer = 'approval' AND verdict IN ('approved', 'refused')) AS approvals_decided,
    countIf(layer = 'approval' AND verdict IN ('approved', 'refused') AND attributes['tacho.approval.approver'] != '') AS approvals_named,
    countIf(layer = 'budget') AS budgets,
    countIf(layer = 'memory') AS memories,
    countIf(layer = 'memory' AND attributes['tacho.memory.tier'] != '') AS memories_with_tier,
    countIf(layer = 'eval') AS evals,
    uniqExactIf(run_id, layer = 'eval') AS runs_with_evals,
    uniqExactIf(toDate(start_time, 'UTC'), layer = 'eval') AS days_with_evals,
    countIf(layer = 'normalize') AS normalizations,
    countIf(layer = 'context') AS contexts,
    countIf(layer = 'retrieval') AS retrievals,
    (SELECT count(DISTINCT run_id) FROM recording_rows WHERE project = {project:String} AND run_id IN (SELECT run_id FROM sampled)) AS recordings
FROM
(
    SELECT run_id, layer, verdict, status, end_time, start_time, attributes, notEmpty(input) AS has_input, notEmpty(output) AS has_output
    FROM span_rows
    WHERE project = {project:String} AND run_id IN (SELECT run_id FROM sampled) AND layer != 'other'
    ORDER BY version DESC
    LIMIT 1 BY run_id, trace_id, span_id
)
