-- Accounts that may be asked for a platform, the first one first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_accounts_schedulable_hot
  ON accounts (platform, priority)
  WHERE deleted_at IS NULL AND status = 'active' AND schedulable = true;

-- Accounts that may be asked at all, whatever their platform.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_accounts_active_schedulable
  ON accounts (priority, status)
  WHERE deleted_at IS NULL AND schedulable = true;
