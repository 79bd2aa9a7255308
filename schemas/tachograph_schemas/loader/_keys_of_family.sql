${of_family:scope} AS family,
    -- a name without a dot means something only in the scopes that use it
    if(family = '', mapKeys(attributes), CAST(arrayMap(k -> if(position(k, '.') = 0, concat(family, k), k), mapKeys(attributes)), 'Array(LowCardinality(String))')) AS keys
