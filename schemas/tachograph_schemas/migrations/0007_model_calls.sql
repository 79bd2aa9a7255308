-- `run_agent` named the agent of the call: without its table's name, `agent` is the column of that name in this same list.
CREATE OR REPLACE VIEW model_calls ${on_cluster} AS
SELECT
    project, run_id, r.agent AS run_agent, customer, user_id, session_id, outcome,
    calls.span_id AS span_id, calls.started_at AS started_at, calls.agent AS agent, calls.provider AS provider, calls.model AS model,
    calls.input_tokens AS input_tokens, calls.output_tokens AS output_tokens, calls.cache_read_tokens AS cache_read_tokens,
    calls.cache_write_tokens AS cache_write_tokens, calls.reasoning_tokens AS reasoning_tokens,
    calls.cost_usd AS cost_usd, calls.cost_status AS cost_status, calls.client_cost_usd AS client_cost_usd
FROM (SELECT * FROM run_rows FINAL) AS r ARRAY JOIN calls;

-- Nothing reads it since 0006, which put model_rates in its place; the inserts fill that from the price lists again.
-- cluster only
DROP TABLE IF EXISTS model_prices ${on_cluster} SYNC;

DROP TABLE IF EXISTS ${local:model_prices} ${on_cluster} SYNC;
