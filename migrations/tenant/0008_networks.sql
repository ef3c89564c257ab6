-- The network that something came from: what is bounded is bounded by networks, not by addresses.
ALTER TABLE security_events ADD COLUMN network TEXT NOT NULL DEFAULT '';
-- A digest of it.
ALTER TABLE sso_attempts ADD COLUMN network TEXT NOT NULL DEFAULT '';

CREATE INDEX sso_attempts_by_network ON sso_attempts (tenant_id, network, expires_at);
