LEFT ANY JOIN
(
    -- which spans of the run only show what another span shows already
    SELECT second_views.span_id AS view_id, second_views.of_span_id AS second_view_of
    FROM ${run_versions}
    ARRAY JOIN second_views
) AS views ON span_id = view_id
