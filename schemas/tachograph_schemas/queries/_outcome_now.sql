if(outcome = 'running' AND last_seen_at < now64(9) - if(heartbeat, toIntervalSecond(60), toIntervalSecond(600)), 'interrupted', outcome)
