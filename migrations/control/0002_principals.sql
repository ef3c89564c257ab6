-- Who acts for the platform, and the keys that tokens are signed with. Times are milliseconds since 1970.

-- Keys of automation. The text of a key is shown once; its SHA-256 is kept.
CREATE TABLE platform_keys (
  id              TEXT PRIMARY KEY NOT NULL,
  name            TEXT NOT NULL,
  digest          TEXT NOT NULL,
  previous_digest TEXT,              -- the text before the last re-roll
  previous_until  INTEGER,           -- and the end of its grace
  permissions     TEXT NOT NULL,     -- JSON array of domain::permission names
  ip_allowlist    TEXT NOT NULL,     -- JSON array of address ranges; empty lets all in
  created_by      TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  expires_at      INTEGER,
  last_used_at    INTEGER,
  revoked_at      INTEGER
) STRICT;

CREATE INDEX platform_keys_by_creation ON platform_keys (created_at DESC, id DESC);

-- People of the platform.
CREATE TABLE operators (
  id            TEXT PRIMARY KEY NOT NULL,
  email         TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('admin', 'support')),
  status        TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  last_login_at INTEGER
) STRICT;

CREATE INDEX operators_by_creation ON operators (created_at DESC, id DESC);

CREATE TABLE operator_sessions (
  id          TEXT PRIMARY KEY NOT NULL,
  operator_id TEXT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
  digest      TEXT NOT NULL,
  address     TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX operator_sessions_by_operator ON operator_sessions (operator_id);
CREATE INDEX operator_sessions_by_expiry ON operator_sessions (expires_at);

-- Which tenants a support operator may enter, and as what. An admin may enter every one.
CREATE TABLE operator_grants (
  operator_id TEXT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
  tenant_id   TEXT NOT NULL REFERENCES tenants (id),
  role        TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (operator_id, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX operator_grants_by_tenant ON operator_grants (tenant_id);

-- Failed and tried sign-ins of operators, per address and per account and minute.
CREATE TABLE operator_logins (
  minute INTEGER NOT NULL,
  kind   TEXT NOT NULL CHECK (kind IN ('address', 'account')),
  who    TEXT NOT NULL,              -- digest
  tries  INTEGER NOT NULL,
  PRIMARY KEY (minute, kind, who)
) STRICT, WITHOUT ROWID;

-- Ed25519 keys that sign our tokens. The one without an end signs; all that have not ended verify.
CREATE TABLE signing_keys (
  kid        TEXT PRIMARY KEY NOT NULL,
  public_key TEXT NOT NULL,          -- 32 bytes, base64url
  sealed     TEXT NOT NULL,          -- the seed, sealed under KEK_v{n}
  created_at INTEGER NOT NULL,
  retires_at INTEGER
) STRICT;

CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys ((retires_at IS NULL)) WHERE retires_at IS NULL;

-- Addresses that a tenant's principals may come from; JSON array of ranges, empty lets all in.
ALTER TABLE tenants ADD COLUMN ip_allowlist TEXT NOT NULL DEFAULT '[]';

-- What an operation was about, beyond its name.
ALTER TABLE platform_audit ADD COLUMN detail TEXT;

-- How many data keys each version of the master key seals, and which: a sealed value begins with its version.
CREATE INDEX tenants_by_key_version ON tenants (CAST(data_key AS INTEGER)) WHERE data_key IS NOT NULL;
-- How many users a tenant may have.
UPDATE plans SET limits = json_set(limits, '$.users', 10) WHERE id IN ('free', 'basic');
UPDATE plans SET limits = json_set(limits, '$.users', 100) WHERE id IN ('pro', 'professional');
UPDATE plans SET limits = json_set(limits, '$.users', -1) WHERE id = 'enterprise';
