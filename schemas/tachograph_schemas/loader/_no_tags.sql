CAST([], 'Array(String)')
