-- How many of a batch's runs have spans that may show the same call. Parameters: writer_id, batch.
WITH
${touched}
SELECT count() FROM doubtful
SETTINGS optimize_and_compare_chain = 0
