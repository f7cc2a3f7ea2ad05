-- One record by its name; a second row of the same name is refused.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ops_error_logs_record_id_key ON ops_error_logs (record_id);

-- What an upstream has done lately, and where an error was seen lately, however rare they are.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ops_error_logs_upstream_created_at_idx ON ops_error_logs (upstream, created_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ops_error_logs_code_created_at_idx
  ON ops_error_logs ((coalesce(error_code, error_type)), created_at);
