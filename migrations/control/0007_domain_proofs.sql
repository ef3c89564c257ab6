-- Custom domains are proven before they are served. Those of before count as proven. Times are milliseconds since 1970.

-- `tenant_domains` holds proven domains alone. The token is the random part of the TXT record.
ALTER TABLE tenant_domains ADD COLUMN token TEXT NOT NULL DEFAULT '';
ALTER TABLE tenant_domains ADD COLUMN proof TEXT NOT NULL DEFAULT 'inherited' CHECK (proof IN ('dns', 'vouched', 'inherited', 'assumed'));
ALTER TABLE tenant_domains ADD COLUMN proven_at INTEGER;
ALTER TABLE tenant_domains ADD COLUMN checked_at INTEGER;
ALTER TABLE tenant_domains ADD COLUMN next_check_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenant_domains ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;   -- checks in a row without the record
ALTER TABLE tenant_domains ADD COLUMN failing_since INTEGER;
ALTER TABLE tenant_domains ADD COLUMN https_status INTEGER;                  -- what HTTPS answered last; none if it did not

UPDATE tenant_domains SET token = lower(hex(randomblob(16))), proven_at = created_at, ssl_enabled = 0,
  next_check_at = unixepoch() * 1000 + abs(random() % 86400000);

CREATE INDEX tenant_domains_by_check ON tenant_domains (next_check_at);

-- Domains that tenants say are theirs: not served, and no obstacle to another tenant's claim.
CREATE TABLE domain_claims (
  tenant_id     TEXT NOT NULL REFERENCES tenants (id),
  domain        TEXT NOT NULL,
  token         TEXT NOT NULL,
  wants_primary INTEGER NOT NULL DEFAULT 0,
  lost_at       INTEGER,            -- when a proof that it had was lost
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, domain)
) STRICT, WITHOUT ROWID;

CREATE INDEX domain_claims_by_expiry ON domain_claims (expires_at);

-- Who let a host go: for that tenant it does not rest. With token and proof it gets back what it had.
ALTER TABLE released_domains ADD COLUMN tenant_id TEXT;
ALTER TABLE released_domains ADD COLUMN token TEXT;
ALTER TABLE released_domains ADD COLUMN proof TEXT;
