-- The registry of a tenant's GraphQL documents: by the SHA-256 of the text, and by an alias for those that have one.
-- Times are milliseconds since 1970.
CREATE TABLE documents (
  tenant_id  TEXT NOT NULL,
  hash       TEXT NOT NULL,            -- of the text, in lower-case hexadecimal
  alias      TEXT,                     -- never 64 hexadecimal digits
  text       TEXT NOT NULL,
  bytes      INTEGER NOT NULL,         -- of the text
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,            -- the actor, as the audit log names it
  PRIMARY KEY (tenant_id, hash)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX documents_by_alias ON documents (tenant_id, alias) WHERE alias IS NOT NULL;
-- With the bytes, so that all of them are counted without reading a text.
CREATE INDEX documents_by_creation ON documents (tenant_id, created_at DESC, hash DESC, bytes);

CREATE TRIGGER documents_keep_their_tenant BEFORE UPDATE OF tenant_id ON documents
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- A tenant has only so many documents, and only so many bytes of them.
ALTER TABLE write_rules ADD COLUMN has_documents_left INTEGER CONSTRAINT document_limit_reached CHECK (has_documents_left = 1);

DROP TRIGGER write_rules_take_no_row;
CREATE TRIGGER write_rules_take_no_row BEFORE INSERT ON write_rules
WHEN 1 IN (
  NEW.keeps_an_owner, NEW.has_room, NEW.has_roles_left, NEW.has_invitations_left, NEW.is_as_seen, NEW.is_unused,
  NEW.is_open, NEW.is_nobodys, NEW.is_uninvited, NEW.has_collections_left, NEW.has_records_left, NEW.has_rate_left,
  NEW.is_unnamed, NEW.is_definition, NEW.is_version, NEW.takes_file, NEW.is_file, NEW.has_storage_left,
  NEW.is_registered, NEW.is_unique_together, NEW.has_documents_left)
BEGIN SELECT RAISE(IGNORE); END;
