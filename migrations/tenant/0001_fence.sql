-- Of every shard: who may write here, and what nobody may do to anybody's rows.

-- One row per tenant placed here. A write batch goes through only in mode 'rw' and at this epoch.
CREATE TABLE tenant_fence (
  tenant_id TEXT PRIMARY KEY NOT NULL,
  mode      TEXT NOT NULL CHECK (mode IN ('rw', 'ro', 'off')),
  epoch     INTEGER NOT NULL,
  revision  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tenant_fence_keeps_its_tenant BEFORE UPDATE OF tenant_id ON tenant_fence
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Written first in every batch; the CHECK fails, and the batch with it, when the fence says no.
CREATE TABLE write_guard (
  tenant_id TEXT PRIMARY KEY NOT NULL,
  ok        INTEGER NOT NULL CHECK (ok = 1)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER write_guard_keeps_its_tenant BEFORE UPDATE OF tenant_id ON write_guard
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Attempts to reach across tenants: at most one row per tenant, address and minute.
CREATE TABLE security_events (
  tenant_id TEXT NOT NULL,
  minute    INTEGER NOT NULL,
  kind      TEXT NOT NULL,
  source_ip TEXT NOT NULL,
  at        INTEGER NOT NULL,
  route     TEXT NOT NULL,
  PRIMARY KEY (tenant_id, minute, kind, source_ip)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER security_events_keep_their_tenant BEFORE UPDATE OF tenant_id ON security_events
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;
