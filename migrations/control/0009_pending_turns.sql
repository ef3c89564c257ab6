-- When a pending change is carried next, and how often that has failed in a row. Times are milliseconds since 1970.
ALTER TABLE pending_changes ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending_changes ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;

CREATE INDEX pending_changes_by_turn ON pending_changes (next_at);
DROP INDEX pending_changes_by_age;
