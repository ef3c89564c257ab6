-- What is told of a record names the collection that the record is of, not only the slug, which the next collection may
-- have too; and records have an identity of their own, as their ids and versions may come again.

-- The collection's creation id. A row without a record's id says that its collection was hidden, shown or deleted: the
-- hub then looks which collections stand.
ALTER TABLE record_outbox ADD COLUMN creation_id TEXT;

UPDATE record_outbox SET creation_id = (
  SELECT c.creation_id FROM collections c
  WHERE c.tenant_id = record_outbox.tenant_id AND c.slug = record_outbox.collection AND c.created_at <= record_outbox.at);

-- A record's identity: random, and another one when a record of the same id is made again. Records that were there
-- before have none; no two of them ever have the same id.
ALTER TABLE records ADD COLUMN creation_id TEXT NOT NULL DEFAULT '';

-- Whoever writes a record gives it one, in the same row; here, should a writer forget it.
CREATE TRIGGER records_get_a_creation_id AFTER INSERT ON records
WHEN NEW.creation_id = ''
BEGIN
  UPDATE records SET creation_id = lower(hex(randomblob(8))) WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND id = NEW.id;
END;

CREATE TRIGGER records_keep_their_creation_id BEFORE UPDATE OF creation_id ON records
WHEN OLD.creation_id <> ''
BEGIN SELECT RAISE(ABORT, 'creation_id is immutable'); END;

DROP TRIGGER records_announced_new;
DROP TRIGGER records_announced_changed;
DROP TRIGGER records_announced_gone;

CREATE TRIGGER records_announced_new AFTER INSERT ON records
WHEN NEW.deleted_at IS NULL AND (SELECT live FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id)
  SELECT NEW.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id, 'create', 1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by, c.creation_id
  FROM record_sequence s JOIN collections c ON c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection WHERE s.tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER records_announced_changed AFTER UPDATE OF version ON records
WHEN (NEW.deleted_at IS NULL OR OLD.deleted_at IS NULL)
  AND (SELECT live FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id)
  SELECT NEW.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id,
    CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.deleted_at IS NOT NULL THEN 'create' ELSE 'update' END,
    1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by, c.creation_id
  FROM record_sequence s JOIN collections c ON c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection WHERE s.tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER records_announced_gone AFTER DELETE ON records
WHEN OLD.deleted_at IS NULL AND (SELECT live FROM collections WHERE tenant_id = OLD.tenant_id AND slug = OLD.collection AND deleted_at IS NULL) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (OLD.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id)
  SELECT OLD.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), OLD.collection, OLD.id, 'delete', 1 - c.public_read, OLD.version, OLD.status, OLD.data, c.alias, OLD.created_at, OLD.updated_at, OLD.created_by, OLD.updated_by, c.creation_id
  FROM record_sequence s JOIN collections c ON c.tenant_id = OLD.tenant_id AND c.slug = OLD.collection WHERE s.tenant_id = OLD.tenant_id;
END;

-- A collection is hidden, shown or deleted, whether or not it is live: its events of before are judged anew. A new one is
-- told of by the first change of one of its records, which names a creation id that the hub does not know.
CREATE TRIGGER collections_announced AFTER UPDATE OF public_read, deleted_at ON collections
WHEN NEW.public_read <> OLD.public_read OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL)
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, data, created_at, updated_at, created_by, updated_by, creation_id)
  SELECT NEW.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.slug, '', CASE WHEN NEW.deleted_at IS NULL THEN 'update' ELSE 'delete' END, 1, 0, 'null', NEW.created_at, NEW.updated_at, '', '', NEW.creation_id
  FROM record_sequence s WHERE s.tenant_id = NEW.tenant_id;
END;
