-- Of tenants whose background work failed or was not done in one turn: when their next turn is due. Others have no row.
-- Times are milliseconds since 1970.
CREATE TABLE background_turns (
  tenant_id TEXT NOT NULL,
  work      TEXT NOT NULL,             -- which work, as the Worker calls it
  due_at    INTEGER NOT NULL,          -- no turn before
  failures  INTEGER NOT NULL,          -- in a row
  PRIMARY KEY (tenant_id, work)
) STRICT, WITHOUT ROWID;

CREATE INDEX background_turns_by_due ON background_turns (work, due_at);

CREATE TRIGGER background_turns_keep_their_tenant BEFORE UPDATE OF tenant_id ON background_turns
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;
