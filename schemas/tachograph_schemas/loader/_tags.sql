arrayDistinct(arrayFlatten(arrayMap(
        x -> if(startsWith(x.2, '['), JSONExtract(x.2, 'Array(String)'), splitByString(', ', x.2)),
        arrayFilter(x -> intDiv(x.1, 64) = ${number:tags}, found)
    )))
