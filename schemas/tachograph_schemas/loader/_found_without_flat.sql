SELECT *, false AS is_flat
FROM
(
${found}
)
