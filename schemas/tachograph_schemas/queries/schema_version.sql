-- The newest migration that ran on this storage.
SELECT max(number) FROM schema_migrations
