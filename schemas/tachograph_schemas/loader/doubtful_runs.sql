-- How many of the runs have spans that may show the same call, and which of them are large, with their spans (counted
-- before replacing). Parameters: writer_id, batches, resting, rested, large_spans.
WITH
${touched}
SELECT
    (SELECT count() FROM doubtful),
    (
        SELECT groupArray((project, run_id, spans)) FROM
        (
            SELECT project, run_id, count() AS spans FROM span_rows
            WHERE (project, run_id) IN (SELECT project, run_id FROM touched)
            GROUP BY project, run_id HAVING spans >= {large_spans:UInt64}
        )
    )
SETTINGS optimize_and_compare_chain = 0
