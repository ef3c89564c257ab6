-- Who acts for a tenant: users with roles, their sessions and tokens, invitations, keys, single sign-on.
-- Times are milliseconds since 1970. Of every secret only a SHA-256 is kept, or it is sealed.

CREATE TABLE users (
  tenant_id         TEXT NOT NULL,
  id                TEXT NOT NULL,
  email             TEXT NOT NULL,   -- in lower case
  name              TEXT NOT NULL DEFAULT '',
  password_hash     TEXT,            -- argon2id as a PHC string; none for one who signs in elsewhere
  role              TEXT NOT NULL,
  status            TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  not_before        INTEGER NOT NULL DEFAULT 0,  -- tokens and sessions made before this are void
  email_verified_at INTEGER,
  last_login_at     INTEGER,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, email)
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_creation ON users (tenant_id, created_at DESC, id DESC);
CREATE INDEX users_by_role ON users (tenant_id, role);

CREATE TRIGGER users_keep_their_tenant BEFORE UPDATE OF tenant_id ON users
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Roles that a tenant made itself; owner, admin, editor, user and viewer are built in.
CREATE TABLE roles (
  tenant_id   TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  permissions TEXT NOT NULL,         -- JSON array of domain::permission names
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER roles_keep_their_tenant BEFORE UPDATE OF tenant_id ON roles
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- What voids every token and session of a tenant at once.
CREATE TABLE tenant_auth (
  tenant_id  TEXT PRIMARY KEY NOT NULL,
  not_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tenant_auth_keeps_its_tenant BEFORE UPDATE OF tenant_id ON tenant_auth
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- A sign-in. Its refresh tokens are one family; a browser's cookie names it by its digest.
CREATE TABLE sessions (
  tenant_id     TEXT NOT NULL,
  id            TEXT NOT NULL,
  user_id       TEXT NOT NULL,
  cookie_digest TEXT,
  address       TEXT NOT NULL,
  user_agent    TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  last_used_at  INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id, created_at DESC);
CREATE INDEX sessions_by_expiry ON sessions (tenant_id, expires_at);

CREATE TRIGGER sessions_keep_their_tenant BEFORE UPDATE OF tenant_id ON sessions
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

CREATE TABLE refresh_tokens (
  tenant_id  TEXT NOT NULL,
  digest     TEXT NOT NULL,
  session_id TEXT NOT NULL,
  used_at    INTEGER,
  successor  TEXT,                   -- the token that followed, sealed; opened again within the grace
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, digest),
  FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (tenant_id, session_id);

CREATE TRIGGER refresh_tokens_keep_their_tenant BEFORE UPDATE OF tenant_id ON refresh_tokens
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Tokens that are good once, sent by mail.
CREATE TABLE mailed_tokens (
  tenant_id  TEXT NOT NULL,
  digest     TEXT NOT NULL,
  purpose    TEXT NOT NULL CHECK (purpose IN ('password_reset', 'email_verification')),
  user_id    TEXT NOT NULL,
  email      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, digest),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX mailed_tokens_by_user ON mailed_tokens (tenant_id, user_id, purpose);
CREATE INDEX mailed_tokens_by_expiry ON mailed_tokens (tenant_id, expires_at);

CREATE TRIGGER mailed_tokens_keep_their_tenant BEFORE UPDATE OF tenant_id ON mailed_tokens
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

CREATE TABLE tenant_invitations (
  tenant_id   TEXT NOT NULL,
  id          TEXT NOT NULL,
  email       TEXT NOT NULL,         -- in lower case
  role        TEXT NOT NULL,
  token       TEXT NOT NULL,         -- digest
  invited_by  TEXT NOT NULL,
  sent_at     INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  accepted_at INTEGER,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, token)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tenant_invitations_one_open ON tenant_invitations (tenant_id, email) WHERE accepted_at IS NULL;
CREATE INDEX tenant_invitations_by_creation ON tenant_invitations (tenant_id, created_at DESC, id DESC);

CREATE TRIGGER tenant_invitations_keep_their_tenant BEFORE UPDATE OF tenant_id ON tenant_invitations
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Keys of automation. The text of a key is shown once; its SHA-256 is kept.
CREATE TABLE api_keys (
  tenant_id       TEXT NOT NULL,
  id              TEXT NOT NULL,
  name            TEXT NOT NULL,
  digest          TEXT NOT NULL,
  previous_digest TEXT,              -- the text before the last re-roll
  previous_until  INTEGER,           -- and the end of its grace
  scopes          TEXT NOT NULL,     -- JSON array of domain::permission names
  ip_allowlist    TEXT NOT NULL,     -- JSON array of address ranges; empty lets all in
  created_by      TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  expires_at      INTEGER,
  last_used_at    INTEGER,
  revoked_at      INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_creation ON api_keys (tenant_id, created_at DESC, id DESC);

CREATE TRIGGER api_keys_keep_their_tenant BEFORE UPDATE OF tenant_id ON api_keys
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- OpenID providers that a tenant signs its users in with.
CREATE TABLE sso_providers (
  tenant_id     TEXT NOT NULL,
  id            TEXT NOT NULL,
  name          TEXT NOT NULL,
  issuer        TEXT NOT NULL,
  client_id     TEXT NOT NULL,
  client_secret TEXT,                -- sealed under the tenant's data key
  scopes        TEXT NOT NULL,
  role_claim    TEXT,                -- the claim that names roles
  role_map      TEXT NOT NULL,       -- JSON object: value of the claim to role
  default_role  TEXT,                -- none keeps out whom the map does not name
  reach         TEXT NOT NULL,       -- JSON array: what whoever configured it may do; it signs in nobody who may do more
  enabled       INTEGER NOT NULL DEFAULT 1,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sso_providers_keep_their_tenant BEFORE UPDATE OF tenant_id ON sso_providers
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Who a user is at a provider.
CREATE TABLE sso_identities (
  tenant_id   TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  subject     TEXT NOT NULL,
  user_id     TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, provider_id, subject),
  FOREIGN KEY (tenant_id, provider_id) REFERENCES sso_providers (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sso_identities_by_user ON sso_identities (tenant_id, user_id);

CREATE TRIGGER sso_identities_keep_their_tenant BEFORE UPDATE OF tenant_id ON sso_identities
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Sign-ins on their way to a provider and back.
CREATE TABLE sso_attempts (
  tenant_id   TEXT NOT NULL,
  state       TEXT NOT NULL,         -- digest of the state and of the browser's cookie
  provider_id TEXT NOT NULL,
  sealed      TEXT NOT NULL,         -- nonce and PKCE verifier, sealed
  return_to   TEXT NOT NULL,         -- a path on the tenant's host
  expires_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, state),
  FOREIGN KEY (tenant_id, provider_id) REFERENCES sso_providers (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sso_attempts_by_provider ON sso_attempts (tenant_id, provider_id);
CREATE INDEX sso_attempts_by_expiry ON sso_attempts (tenant_id, expires_at);

CREATE TRIGGER sso_attempts_keep_their_tenant BEFORE UPDATE OF tenant_id ON sso_attempts
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- The tenant's own applications at an identity provider: what is registered there for them.
CREATE TABLE sso_clients (
  tenant_id     TEXT NOT NULL,
  client_id     TEXT NOT NULL,
  redirect_uris TEXT NOT NULL,       -- JSON array
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, client_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sso_clients_keep_their_tenant BEFORE UPDATE OF tenant_id ON sso_clients
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Answers kept 24 hours for Idempotency-Key, sealed under the tenant's data key.
CREATE TABLE idempotency_keys (
  tenant_id   TEXT NOT NULL,
  scope       TEXT NOT NULL,         -- route and principal
  key_digest  TEXT NOT NULL,
  fingerprint TEXT NOT NULL,         -- digest of the request's body
  sealed      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, scope, key_digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);

CREATE TRIGGER idempotency_keys_keep_their_tenant BEFORE UPDATE OF tenant_id ON idempotency_keys
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- What else must hold when a batch is written: it puts the truth of a rule here, and the rule's CHECK
-- fails, and the batch with it, when it does not hold. One row per tenant; nothing reads it.
CREATE TABLE write_rules (
  tenant_id            TEXT PRIMARY KEY NOT NULL,
  keeps_an_owner       INTEGER CONSTRAINT last_owner CHECK (keeps_an_owner = 1),
  has_room             INTEGER CONSTRAINT user_limit_reached CHECK (has_room = 1),
  has_roles_left       INTEGER CONSTRAINT role_limit_reached CHECK (has_roles_left = 1),
  has_invitations_left INTEGER CONSTRAINT invitation_limit_reached CHECK (has_invitations_left = 1),
  is_as_seen           INTEGER CONSTRAINT changed_meanwhile CHECK (is_as_seen = 1),
  is_unused            INTEGER CONSTRAINT role_in_use CHECK (is_unused = 1),
  is_open              INTEGER CONSTRAINT invitation_closed CHECK (is_open = 1),
  is_nobodys           INTEGER CONSTRAINT email_taken CHECK (is_nobodys = 1),
  is_uninvited         INTEGER CONSTRAINT email_invited CHECK (is_uninvited = 1)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER write_rules_keep_their_tenant BEFORE UPDATE OF tenant_id ON write_rules
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- What was done by whom; kept until the tenant is purged.
CREATE TABLE audit_log (
  tenant_id  TEXT NOT NULL,
  id         TEXT NOT NULL,          -- begins with the time, so that it sorts
  at         INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  operation  TEXT NOT NULL,
  subject    TEXT,
  detail     TEXT,                   -- JSON object
  address    TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_log_is_not_edited BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit is append-only and its tenant_id is immutable'); END;
CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
WHEN COALESCE((SELECT mode FROM tenant_fence WHERE tenant_id = OLD.tenant_id), 'rw') <> 'off'
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
