-- When a run was computed last, ns since 1970; 0 without any. Whatever arrives computes a run anew, so this tells whether something did.
SELECT max(computed_at_ns) FROM run_rows
