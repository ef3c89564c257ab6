-- What lives long remembers who made it, and ends with them. Times are milliseconds since 1970.

-- A user's security stamp is another one each time they are disabled or enabled. What somebody made names the security stamp that
-- they had, so it does not come back when they do. Given here, so that no writer can forget it.
ALTER TABLE users ADD COLUMN security_stamp TEXT NOT NULL DEFAULT '';

CREATE TRIGGER users_get_another_stamp AFTER UPDATE OF status ON users
WHEN NEW.status <> OLD.status
BEGIN
  UPDATE users SET security_stamp = lower(hex(randomblob(16))) WHERE tenant_id = NEW.tenant_id AND id = NEW.id;
END;

-- A role's name may be taken again once the role is deleted.
ALTER TABLE roles ADD COLUMN creation_id TEXT NOT NULL DEFAULT '';

CREATE TRIGGER roles_get_a_creation_id AFTER INSERT ON roles
WHEN NEW.creation_id = ''
BEGIN
  UPDATE roles SET creation_id = lower(hex(randomblob(16))) WHERE tenant_id = NEW.tenant_id AND name = NEW.name;
END;

-- Who answers for a key: its maker, or whoever re-rolled it last.
ALTER TABLE api_keys ADD COLUMN held_by TEXT NOT NULL DEFAULT '';
-- The user at the root of it, none where an operator or the platform is; and the security stamp that the user had.
ALTER TABLE api_keys ADD COLUMN holder_id TEXT;
ALTER TABLE api_keys ADD COLUMN holder_stamp TEXT NOT NULL DEFAULT '';
-- JSON array of the keys by which it was made.
ALTER TABLE api_keys ADD COLUMN made_through TEXT NOT NULL DEFAULT '[]';

UPDATE api_keys SET held_by = created_by,
  holder_id = CASE WHEN created_by LIKE 'user:%' THEN substr(created_by, 6) END,
  made_through = CASE WHEN created_by LIKE 'key:%' THEN json_array(substr(created_by, 5)) ELSE '[]' END;
UPDATE api_keys SET
  holder_id = (SELECT m.holder_id FROM api_keys m WHERE m.tenant_id = api_keys.tenant_id AND m.id = substr(api_keys.created_by, 5))
WHERE created_by LIKE 'key:%';

CREATE INDEX api_keys_by_holder ON api_keys (tenant_id, holder_id);

-- The security stamp that whoever sent an invitation had: a user's, or that of an operator with their grant.
ALTER TABLE tenant_invitations ADD COLUMN inviter_stamp TEXT NOT NULL DEFAULT '';

-- The token that followed a spent one; of a session's tokens exactly one is not spent.
ALTER TABLE refresh_tokens ADD COLUMN successor_digest TEXT;

CREATE INDEX refresh_tokens_unspent ON refresh_tokens (tenant_id, session_id) WHERE used_at IS NULL;
CREATE INDEX refresh_tokens_by_successor ON refresh_tokens (tenant_id, successor_digest) WHERE successor_digest IS NOT NULL;

-- Somebody registered an address and did not prove it: no user yet. An address may stand here several times; whoever
-- proves it first, by any of their tokens, becomes the user.
CREATE TABLE registrations (
  tenant_id     TEXT NOT NULL,
  id            TEXT NOT NULL,
  email         TEXT NOT NULL,         -- in lower case
  name          TEXT NOT NULL,
  password_hash TEXT NOT NULL,         -- counts only with the client's own token
  mailed_token  TEXT NOT NULL,         -- digest of the token in the mail
  client_token  TEXT NOT NULL,         -- digest of the token in the answer to whoever registered
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, mailed_token)
) STRICT, WITHOUT ROWID;

CREATE INDEX registrations_by_email ON registrations (tenant_id, email, created_at DESC);
CREATE INDEX registrations_by_creation ON registrations (tenant_id, created_at DESC);
CREATE INDEX registrations_by_end ON registrations (tenant_id, expires_at);
CREATE INDEX registrations_due ON registrations (expires_at, tenant_id);

CREATE TRIGGER registrations_keep_their_tenant BEFORE UPDATE OF tenant_id ON registrations
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Whatever makes somebody a user ends what was registered under the address.
CREATE TRIGGER users_end_registrations AFTER INSERT ON users
BEGIN
  DELETE FROM registrations WHERE tenant_id = NEW.tenant_id AND email = NEW.email;
END;

-- Until now a registration was a user whose address was not proven. Whoever made one registers again.
DELETE FROM users WHERE email_verified_at IS NULL AND password_hash IS NOT NULL AND role = 'viewer' AND last_login_at IS NULL;
UPDATE users SET password_hash = NULL WHERE email_verified_at IS NULL AND password_hash IS NOT NULL;

-- Further rules of a write batch.
ALTER TABLE write_rules ADD COLUMN is_registered INTEGER CONSTRAINT registration_ended CHECK (is_registered = 1);
