layer IN ('tool', 'normalize', 'gate', 'validation', 'repair', 'breaker', 'retry', 'fallback', 'approval', 'checkpoint', 'budget', 'stop', 'handoff', 'eval') AND (layer != 'tool' OR verdict != '')
