-- Users on a ClickHouse server, each with what it needs and no more. Tables first: schema.sql, or `logproc schema apply`.

-- Collectors and loaders: insert, and ask what is stored.
CREATE USER IF NOT EXISTS logproc IDENTIFIED WITH sha256_password BY 'CHANGE-ME';
GRANT SELECT, INSERT ON logproc.* TO logproc;
GRANT SELECT ON system.processes TO logproc;
GRANT SHOW DATABASES, SHOW TABLES, SHOW COLUMNS ON logproc.* TO logproc;

-- `logproc schema apply`, run by a person or a pipeline.
CREATE USER IF NOT EXISTS logproc_admin IDENTIFIED WITH sha256_password BY 'CHANGE-ME';
GRANT ALL ON logproc.* TO logproc_admin;

-- People and Grafana: read, within limits. With readonly = 2 a client may change settings (Grafana sets max_execution_time to its own time-out),
-- so that limits need bounds: 0 would be none.
CREATE SETTINGS PROFILE IF NOT EXISTS logproc_reader SETTINGS readonly = 2, max_execution_time = 60 MIN 1 MAX 300, max_memory_usage = 4000000000 MIN 1 MAX 4000000000;
CREATE USER IF NOT EXISTS logproc_reader IDENTIFIED WITH sha256_password BY 'CHANGE-ME' SETTINGS PROFILE 'logproc_reader';
GRANT SELECT ON logproc.* TO logproc_reader;
