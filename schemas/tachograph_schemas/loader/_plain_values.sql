-- MLflow writes every value as JSON
    if(family = 'mlflow/', arrayMap(x -> (x.1, if(x.1 < ${first_payload:code} AND startsWith(x.2, '"'), JSONExtractString(x.2), x.2)), found), found)
