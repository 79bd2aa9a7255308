project, run_id,
    arrayMap(x -> x.2, arraySort(groupArrayIf((start_time, tool), layer = 'tool' AND tool != ''))) AS tools_called,
    groupArrayIf(if(error_type = '', 'error', error_type), status = 'error' AND layer NOT IN ('run', 'agent', 'step')) AS kinds,
    countIf(layer = 'validation' AND verdict IN ('pass', 'fail')) AS validations, countIf(layer = 'validation' AND verdict = 'fail') AS validations_failed,
    countIf(is_repair AND verdict IN ('repaired', 'gave_up')) AS repairs,
    countIf(layer = 'repair' AND verdict = 'gave_up') AS repairs_failed,
    countIf(layer = 'gate' AND verdict != '') AS gates, countIf(layer = 'gate' AND verdict = 'deny') AS gates_denied,
    countIf(layer = 'approval' AND verdict IN ('approved', 'refused', 'timeout')) AS approvals,
    countIf(layer = 'approval' AND verdict = 'refused') AS approvals_refused,
    -- Names, dates and numbers of one run are no change of the prompt, so its beginning counts, without digits.
    argMinIf(lower(hex(cityHash64(replaceRegexpAll(instructions, '[0-9]', '')))), start_time, instructions != '') AS prompt,
    argMinIf(definitions, start_time, has_definitions) AS tool_schema
