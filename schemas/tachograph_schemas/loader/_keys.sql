'' AS family,
    mapKeys(attributes) AS keys
