-- Files of records: a record of a collection with files holds one. What a file is stands here, its bytes lie in R2
-- under `t/{tenant}/{object}`. Times are milliseconds since 1970.

CREATE TABLE record_files (
  tenant_id    TEXT NOT NULL,
  collection   TEXT NOT NULL,
  record_id    TEXT NOT NULL,
  object       TEXT NOT NULL,          -- `{collection}/{record}/{random}`: another one for each upload
  name         TEXT NOT NULL,
  content_type TEXT NOT NULL,
  size         INTEGER NOT NULL,
  etag         TEXT NOT NULL,          -- of the bytes, as R2 gave it
  created_at   INTEGER NOT NULL,
  created_by   TEXT NOT NULL,
  PRIMARY KEY (tenant_id, collection, record_id),
  FOREIGN KEY (tenant_id, collection, record_id) REFERENCES records (tenant_id, collection, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_files_keep_their_tenant BEFORE UPDATE OF tenant_id ON record_files
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Objects that no file names: uploads under way, and what was replaced or deleted. An object stands here before its
-- first byte is written and until its last one is gone, so none is ever forgotten. One that is claimed is being deleted:
-- no file takes it any more.
CREATE TABLE unreferenced_objects (
  tenant_id  TEXT NOT NULL,
  object     TEXT NOT NULL,
  due_at     INTEGER NOT NULL,         -- from then on it may be deleted
  is_claimed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, object)
) STRICT, WITHOUT ROWID;

CREATE INDEX unreferenced_objects_by_due ON unreferenced_objects (due_at, tenant_id);

CREATE TRIGGER unreferenced_objects_keep_their_tenant BEFORE UPDATE OF tenant_id ON unreferenced_objects
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Bytes of all files of a tenant, which a plan bounds.
CREATE TABLE storage_used (
  tenant_id TEXT PRIMARY KEY NOT NULL,
  bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER storage_used_keeps_its_tenant BEFORE UPDATE OF tenant_id ON storage_used
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Further rules of a write batch.
ALTER TABLE write_rules ADD COLUMN takes_file INTEGER CONSTRAINT file_not_taken CHECK (takes_file = 1);
ALTER TABLE write_rules ADD COLUMN is_file INTEGER CONSTRAINT file_changed CHECK (is_file = 1);
ALTER TABLE write_rules ADD COLUMN has_storage_left INTEGER CONSTRAINT storage_limit_reached CHECK (has_storage_left = 1);

-- A file comes, is replaced, or goes.

CREATE TRIGGER record_files_added AFTER INSERT ON record_files
BEGIN
  DELETE FROM unreferenced_objects WHERE tenant_id = NEW.tenant_id AND object = NEW.object;
  INSERT INTO storage_used (tenant_id, bytes) VALUES (NEW.tenant_id, NEW.size)
  ON CONFLICT (tenant_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER record_files_replaced AFTER UPDATE OF object ON record_files
WHEN NEW.object <> OLD.object
BEGIN
  DELETE FROM unreferenced_objects WHERE tenant_id = NEW.tenant_id AND object = NEW.object;
  INSERT INTO unreferenced_objects (tenant_id, object, due_at) VALUES (OLD.tenant_id, OLD.object, CAST(unixepoch('subsec') * 1000 AS INTEGER));
END;

CREATE TRIGGER record_files_resized AFTER UPDATE OF size ON record_files
BEGIN
  UPDATE storage_used SET bytes = bytes + NEW.size - OLD.size WHERE tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER record_files_deleted AFTER DELETE ON record_files
BEGIN
  INSERT INTO unreferenced_objects (tenant_id, object, due_at) VALUES (OLD.tenant_id, OLD.object, CAST(unixepoch('subsec') * 1000 AS INTEGER));
  UPDATE storage_used SET bytes = bytes - OLD.size WHERE tenant_id = OLD.tenant_id;
END;
