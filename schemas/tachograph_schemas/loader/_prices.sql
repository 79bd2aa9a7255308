-- The price lists as constants: names, and beside them their rates in the order in which they are tried. The first is
-- what has no price.
(
    SELECT groupArray((concat(provider, '\n', model), rates)) FROM model_rates FINAL
) AS listed,
arrayConcat(['\n'], listed.1) AS listed_models,
arrayConcat([arraySlice(listed.2[1], 1, 0)], listed.2) AS listed_rates
