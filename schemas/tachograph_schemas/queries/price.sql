-- What a token of a model costs, as the inserts know it.
SELECT ${price_columns}
FROM model_rates FINAL
WHERE provider = {provider:String} AND model = {model:String}
LIMIT 1
