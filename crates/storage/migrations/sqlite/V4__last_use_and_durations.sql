-- When a token was last used, to the minute; it is written for many tokens at once.
ALTER TABLE token ADD COLUMN last_used_at INTEGER;

-- How long an attempt was in its supplier's hands, for events about one.
ALTER TABLE event ADD COLUMN duration_ms INTEGER;
