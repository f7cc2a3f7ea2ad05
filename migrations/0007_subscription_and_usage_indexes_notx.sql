-- The subscriptions of a user that are worth something now.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_user_subscriptions_user_status_expires_active
  ON user_subscriptions (user_id, status, expires_at)
  WHERE deleted_at IS NULL;

-- What a group has used in a stretch of time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_usage_logs_group_created_at_not_null
  ON usage_logs (group_id, created_at)
  WHERE group_id IS NOT NULL;
