-- What ops-capture keeps of failed exchanges, whole: nothing was written into this table before.

ALTER TABLE ops_error_logs
  -- The record's own name: the same in the database and in the file, so that what stands in both counts once.
  ADD COLUMN record_id text COLLATE "C",
  ADD COLUMN error_code text,
  ADD COLUMN operation text,
  ADD COLUMN method text,
  -- Another attempt has saved the exchange.
  ADD COLUMN is_recovered boolean NOT NULL DEFAULT false,
  ADD COLUMN key_name text,
  ADD COLUMN passed_over jsonb,
  -- The body as it came, redacted and trimmed: jsonb would join duplicate keys, and refuses what clients may send.
  ALTER COLUMN request_body TYPE text USING request_body::text,
  ALTER COLUMN duration_ms TYPE numeric(12, 1),
  ALTER COLUMN error_type DROP NOT NULL,
  ALTER COLUMN error_type DROP DEFAULT,
  ALTER COLUMN stream DROP NOT NULL,
  ALTER COLUMN stream DROP DEFAULT,
  ALTER COLUMN error_owner SET DEFAULT 'gateway',
  DROP CONSTRAINT ops_error_logs_request_path_check,
  ADD CONSTRAINT ops_error_logs_request_path_check CHECK (length(request_path) <= 2048);
