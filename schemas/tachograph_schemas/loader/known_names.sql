-- The names that prices were looked up for.
SELECT provider, model FROM model_rates FINAL
