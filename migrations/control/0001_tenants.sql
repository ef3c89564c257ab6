-- The registry: tenants, where they live, what they may, and the changes still on their way.
-- Times are milliseconds since 1970.

CREATE TABLE plans (
  id       TEXT PRIMARY KEY NOT NULL,
  name     TEXT NOT NULL,
  limits   TEXT NOT NULL,            -- JSON of domain::plan::Limits
  features TEXT NOT NULL,            -- JSON object of flags
  position INTEGER NOT NULL
) STRICT;

CREATE TABLE shards (
  name         TEXT PRIMARY KEY NOT NULL,
  status       TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'draining', 'full')),
  jurisdiction TEXT
) STRICT;

CREATE TABLE tenants (
  id                TEXT PRIMARY KEY NOT NULL,
  slug              TEXT NOT NULL UNIQUE,
  display_name      TEXT NOT NULL,
  admin_email       TEXT,
  plan              TEXT NOT NULL REFERENCES plans (id),
  status            TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deleted', 'purged')),
  revision          INTEGER NOT NULL,
  wpgraphql_endpoint TEXT,
  features          TEXT NOT NULL,   -- JSON object of flags over the plan's
  resources         TEXT NOT NULL,   -- JSON object, kept as given
  cors_origins      TEXT NOT NULL,   -- JSON array
  rate_limits       TEXT NOT NULL,   -- JSON of domain::plan::Overrides
  settings          TEXT NOT NULL,   -- JSON object
  branding          TEXT NOT NULL,   -- JSON object
  require_standard_webhooks INTEGER NOT NULL DEFAULT 0,
  data_key          TEXT,            -- sealed under KEK_v{n}; gone once purged
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  expires_at        INTEGER
) STRICT;

CREATE INDEX tenants_by_creation ON tenants (created_at DESC, id DESC);
CREATE INDEX tenants_by_expiry ON tenants (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE tenant_domains (
  domain      TEXT PRIMARY KEY NOT NULL,
  tenant_id   TEXT NOT NULL REFERENCES tenants (id),
  is_primary  INTEGER NOT NULL DEFAULT 0,
  ssl_enabled INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX tenant_domains_by_tenant ON tenant_domains (tenant_id, created_at, domain);

-- A domain that was let go cannot be attached again for ten minutes.
CREATE TABLE released_domains (
  domain      TEXT PRIMARY KEY NOT NULL,
  released_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant_secrets (
  tenant_id  TEXT NOT NULL REFERENCES tenants (id),
  kind       TEXT NOT NULL CHECK (kind IN ('webhook', 'subscription')),
  version    INTEGER NOT NULL,
  sealed     TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,                -- end of grace; none for the current one
  PRIMARY KEY (tenant_id, kind, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE placements (
  tenant_id TEXT PRIMARY KEY NOT NULL REFERENCES tenants (id),
  shard     TEXT NOT NULL REFERENCES shards (name),
  epoch     INTEGER NOT NULL,
  moved_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX placements_by_shard ON placements (shard);

-- What a tenant change still has to tell the shard, the hub and KV.
CREATE TABLE pending_changes (
  tenant_id  TEXT NOT NULL REFERENCES tenants (id),
  revision   INTEGER NOT NULL,
  hosts      TEXT NOT NULL,          -- JSON array: hosts whose KV entries fall
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, revision)
) STRICT, WITHOUT ROWID;

CREATE INDEX pending_changes_by_age ON pending_changes (created_at);

-- Names of purged tenants, never given again.
CREATE TABLE retired_names (
  kind TEXT NOT NULL CHECK (kind IN ('id', 'slug')),
  name TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Answers kept 24 hours for Idempotency-Key, sealed.
CREATE TABLE idempotency_keys (
  scope       TEXT NOT NULL,         -- principal and route
  key_digest  TEXT NOT NULL,
  fingerprint TEXT NOT NULL,         -- digest of the request's body
  sealed      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (scope, key_digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE platform_audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  operation  TEXT NOT NULL,
  tenant_id  TEXT,
  revision   INTEGER,
  request_id TEXT NOT NULL
) STRICT;

CREATE TRIGGER platform_audit_is_kept BEFORE DELETE ON platform_audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER platform_audit_is_not_edited BEFORE UPDATE ON platform_audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

INSERT INTO plans (id, name, limits, features, position) VALUES
('free', 'Free', '{"api_requests_per_minute":1000,"api_requests_per_day":1000,"anonymous_requests_per_minute":600,"webhooks_per_minute":1000,"concurrent_subscriptions":100,"connections_per_address":null,"event_retention_seconds":86400,"event_retention_count":10000,"event_log_bytes":50000000}', '{"content_automation":true,"sso_enabled":false,"custom_plugins":false,"analytics_enabled":false}', 1),
('basic', 'Basic', '{"api_requests_per_minute":100,"api_requests_per_day":-1,"anonymous_requests_per_minute":600,"webhooks_per_minute":1000,"concurrent_subscriptions":100,"connections_per_address":null,"event_retention_seconds":86400,"event_retention_count":10000,"event_log_bytes":50000000}', '{"content_automation":true,"sso_enabled":false,"custom_plugins":false,"analytics_enabled":false}', 2),
('pro', 'Pro', '{"api_requests_per_minute":1000,"api_requests_per_day":100000,"anonymous_requests_per_minute":6000,"webhooks_per_minute":5000,"concurrent_subscriptions":2000,"connections_per_address":null,"event_retention_seconds":259200,"event_retention_count":50000,"event_log_bytes":250000000}', '{"content_automation":true,"sso_enabled":true,"custom_plugins":true,"analytics_enabled":true}', 3),
('professional', 'Professional', '{"api_requests_per_minute":500,"api_requests_per_day":-1,"anonymous_requests_per_minute":6000,"webhooks_per_minute":5000,"concurrent_subscriptions":2000,"connections_per_address":null,"event_retention_seconds":259200,"event_retention_count":50000,"event_log_bytes":250000000}', '{"content_automation":true,"sso_enabled":true,"custom_plugins":true,"analytics_enabled":true}', 4),
('enterprise', 'Enterprise', '{"api_requests_per_minute":2000,"api_requests_per_day":-1,"anonymous_requests_per_minute":60000,"webhooks_per_minute":-1,"concurrent_subscriptions":30000,"connections_per_address":null,"event_retention_seconds":604800,"event_retention_count":200000,"event_log_bytes":1000000000}', '{"content_automation":true,"sso_enabled":true,"custom_plugins":true,"analytics_enabled":true,"custom_domains":true,"white_labeling":true,"dedicated_resources":true}', 5);

INSERT INTO shards (name) VALUES ('SHARD_00'), ('SHARD_01');
