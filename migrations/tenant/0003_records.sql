-- Collections and their records. A collection describes its records; what is derived from a record (its index, its
-- references, its words, its counts, its versions, its announcement) is derived here, by triggers, in the
-- transaction that writes it: no writer can forget a part, and none can exist alone.
-- Times are milliseconds since 1970.

CREATE TABLE collections (
  tenant_id   TEXT NOT NULL,
  slug        TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema      TEXT NOT NULL,           -- JSON Schema of a record's fields
  statuses    TEXT NOT NULL,           -- JSON: {initial, transitions: {from: [to]}}; 'null' without a vocabulary
  template    TEXT,                    -- what it was made of
  alias       TEXT CHECK (alias = 'client_id'),  -- under which further name a record carries its tenant's id
  versioned   INTEGER NOT NULL CHECK (versioned IN (0, 1)),
  soft_delete INTEGER NOT NULL CHECK (soft_delete IN (0, 1)),
  live        INTEGER NOT NULL CHECK (live IN (0, 1)),
  public_read INTEGER NOT NULL CHECK (public_read IN (0, 1)),
  files       INTEGER NOT NULL CHECK (files IN (0, 1)),  -- a record may hold a file
  revision    INTEGER NOT NULL,        -- of this definition
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  deleted_at  INTEGER,                 -- its records are being deleted; then it goes too
  PRIMARY KEY (tenant_id, slug)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER collections_keep_their_tenant BEFORE UPDATE OF tenant_id ON collections
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- What of a record's fields is looked up, and how: the schema's declarations, a row each.
CREATE TABLE collection_fields (
  tenant_id   TEXT NOT NULL,
  collection  TEXT NOT NULL,
  field       TEXT NOT NULL,
  is_indexed  INTEGER NOT NULL,        -- equal values and ranges are searched, lists are sorted by it
  is_unique   INTEGER NOT NULL,
  is_searched INTEGER NOT NULL,        -- its words are in the full-text index
  is_ready    INTEGER NOT NULL DEFAULT 1,  -- every record is in the index by it
  target      TEXT,                    -- it holds ids of records of this collection
  PRIMARY KEY (tenant_id, collection, field),
  FOREIGN KEY (tenant_id, collection) REFERENCES collections (tenant_id, slug) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, target) REFERENCES collections (tenant_id, slug)
) STRICT, WITHOUT ROWID;

CREATE INDEX collection_fields_by_target ON collection_fields (tenant_id, target);

CREATE TRIGGER collection_fields_keep_their_tenant BEFORE UPDATE OF tenant_id ON collection_fields
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- What changes with the records, apart from the definition, which is long.
CREATE TABLE collection_state (
  tenant_id      TEXT NOT NULL,
  collection     TEXT NOT NULL,
  generation     INTEGER NOT NULL DEFAULT 0,  -- rises with every write: an answer of another generation is stale
  index_revision INTEGER NOT NULL DEFAULT 1,  -- rises when the declared fields change; records of a lower one are indexed anew
  job            TEXT CHECK (job IN ('index', 'delete')),  -- what goes on in the background
  done           INTEGER NOT NULL DEFAULT 0,
  total          INTEGER NOT NULL DEFAULT 0,
  failure        TEXT,                        -- JSON: why the job stopped
  job_at         INTEGER,                     -- when the job last moved
  PRIMARY KEY (tenant_id, collection),
  FOREIGN KEY (tenant_id, collection) REFERENCES collections (tenant_id, slug) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX collection_state_by_job ON collection_state (job_at) WHERE job IS NOT NULL;

CREATE TRIGGER collection_state_keeps_its_tenant BEFORE UPDATE OF tenant_id ON collection_state
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Records lie in the order they came, as they are long; `number` names them to the full-text index.
CREATE TABLE records (
  number         INTEGER PRIMARY KEY,
  tenant_id      TEXT NOT NULL,
  collection     TEXT NOT NULL,
  id             TEXT NOT NULL,
  version        INTEGER NOT NULL,
  status         TEXT,
  data           TEXT NOT NULL CHECK (json_type(data) = 'object'),
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  deleted_at     INTEGER,
  created_by     TEXT NOT NULL,
  updated_by     TEXT NOT NULL,
  index_revision INTEGER NOT NULL,
  UNIQUE (tenant_id, collection, id),
  FOREIGN KEY (tenant_id, collection) REFERENCES collections (tenant_id, slug)
) STRICT;

CREATE INDEX records_by_creation ON records (tenant_id, collection, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX records_by_change ON records (tenant_id, collection, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX records_by_status ON records (tenant_id, collection, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX records_by_index ON records (tenant_id, collection, index_revision);
CREATE INDEX records_deleted ON records (tenant_id, collection, deleted_at, id) WHERE deleted_at IS NOT NULL;

CREATE TRIGGER records_keep_their_tenant BEFORE UPDATE OF tenant_id ON records
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- A declared field's values, one row each: a list has several, a field that is missing has one that is NULL.
CREATE TABLE record_index (
  tenant_id  TEXT NOT NULL,
  collection TEXT NOT NULL,
  record_id  TEXT NOT NULL,
  field      TEXT NOT NULL,
  position   INTEGER NOT NULL,
  value      ANY,
  created_at INTEGER NOT NULL,         -- the record's, so that what has a value lies in the order of lists
  is_unique  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, collection, record_id, field, position),
  FOREIGN KEY (tenant_id, collection, record_id) REFERENCES records (tenant_id, collection, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX record_index_by_value ON record_index (tenant_id, collection, field, value, created_at, record_id);
CREATE UNIQUE INDEX record_index_unique ON record_index (tenant_id, collection, field, value) WHERE is_unique = 1;

CREATE TRIGGER record_index_keeps_its_tenant BEFORE UPDATE OF tenant_id ON record_index
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Which record names which other; both are the tenant's.
CREATE TABLE record_references (
  tenant_id  TEXT NOT NULL,
  collection TEXT NOT NULL,
  record_id  TEXT NOT NULL,
  field      TEXT NOT NULL,
  position   INTEGER NOT NULL,
  target     TEXT NOT NULL,
  target_id  TEXT NOT NULL,
  PRIMARY KEY (tenant_id, collection, record_id, field, position),
  FOREIGN KEY (tenant_id, collection, record_id) REFERENCES records (tenant_id, collection, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, target, target_id) REFERENCES records (tenant_id, collection, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_references_by_target ON record_references (tenant_id, target, target_id);

CREATE TRIGGER record_references_keep_their_tenant BEFORE UPDATE OF tenant_id ON record_references
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

CREATE TRIGGER record_references_lead_somewhere BEFORE INSERT ON record_references
WHEN EXISTS (SELECT 1 FROM records WHERE tenant_id = NEW.tenant_id AND collection = NEW.target AND id = NEW.target_id AND deleted_at IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'reference_missing'); END;

-- The words of records. `scope` is one word, made of tenant and collection: every search asks for it.
CREATE VIRTUAL TABLE record_search USING fts5 (scope, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');

-- How many records there are, by status; '' for those without one.
CREATE TABLE record_counts (
  tenant_id  TEXT NOT NULL,
  collection TEXT NOT NULL,
  status     TEXT NOT NULL,
  records    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, collection, status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_counts_keep_their_tenant BEFORE UPDATE OF tenant_id ON record_counts
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Every state of a record, oldest first.
CREATE TABLE record_versions (
  tenant_id  TEXT NOT NULL,
  collection TEXT NOT NULL,
  record_id  TEXT NOT NULL,
  version    INTEGER NOT NULL,
  operation  TEXT NOT NULL CHECK (operation IN ('create', 'update', 'delete', 'restore')),
  status     TEXT,
  data       TEXT NOT NULL,
  at         INTEGER NOT NULL,
  by         TEXT NOT NULL,
  PRIMARY KEY (tenant_id, collection, record_id, version),
  FOREIGN KEY (tenant_id, collection, record_id) REFERENCES records (tenant_id, collection, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_versions_are_not_edited BEFORE UPDATE ON record_versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only and their tenant_id is immutable'); END;

-- Changes that subscribers have not been told of. The hub appends them to its log in their order, then deletes them.
CREATE TABLE record_outbox (
  tenant_id  TEXT NOT NULL,
  seq        INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  collection TEXT NOT NULL,
  record_id  TEXT NOT NULL,
  action     TEXT NOT NULL CHECK (action IN ('create', 'update', 'delete')),
  private    INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  status     TEXT,
  data       TEXT NOT NULL,
  alias      TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_by TEXT NOT NULL,
  PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_outbox_by_age ON record_outbox (at, tenant_id);

CREATE TRIGGER record_outbox_keeps_its_tenant BEFORE UPDATE OF tenant_id ON record_outbox
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- The last number that a tenant's outbox gave; none is given twice.
CREATE TABLE record_sequence (
  tenant_id TEXT PRIMARY KEY NOT NULL,
  last      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_sequence_keeps_its_tenant BEFORE UPDATE OF tenant_id ON record_sequence
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Records made in a window of time, where a plan bounds them.
CREATE TABLE record_rates (
  tenant_id  TEXT NOT NULL,
  collection TEXT NOT NULL,
  period     TEXT NOT NULL CHECK (period IN ('hour', 'month')),
  start      INTEGER NOT NULL,
  records    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, collection, period)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_rates_keep_their_tenant BEFORE UPDATE OF tenant_id ON record_rates
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

-- Further rules of a write batch.
ALTER TABLE write_rules ADD COLUMN has_collections_left INTEGER CONSTRAINT collection_limit_reached CHECK (has_collections_left = 1);
ALTER TABLE write_rules ADD COLUMN has_records_left INTEGER CONSTRAINT record_limit_reached CHECK (has_records_left = 1);
ALTER TABLE write_rules ADD COLUMN has_rate_left INTEGER CONSTRAINT record_rate_reached CHECK (has_rate_left = 1);
ALTER TABLE write_rules ADD COLUMN is_unnamed INTEGER CONSTRAINT collection_referenced CHECK (is_unnamed = 1);
ALTER TABLE write_rules ADD COLUMN is_definition INTEGER CONSTRAINT definition_changed CHECK (is_definition = 1);
ALTER TABLE write_rules ADD COLUMN is_version INTEGER CONSTRAINT record_changed CHECK (is_version = 1);

-- A record is written.

CREATE TRIGGER records_inserted AFTER INSERT ON records
BEGIN
  INSERT INTO record_index (tenant_id, collection, record_id, field, position, value, created_at, is_unique)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, COALESCE(j.id, 0), j.atom, NEW.created_at, f.is_unique
  FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL;

  INSERT INTO record_references (tenant_id, collection, record_id, field, position, target, target_id)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, j.id, f.target, j.atom
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.target IS NOT NULL AND j.atom IS NOT NULL AND NEW.deleted_at IS NULL;

  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, 'x' || hex(NEW.tenant_id || ':' || NEW.collection), group_concat(j.atom, ' ')
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_searched = 1 AND NEW.deleted_at IS NULL
  HAVING count(*) > 0;
END;

CREATE TRIGGER records_counted AFTER INSERT ON records
WHEN NEW.deleted_at IS NULL
BEGIN
  INSERT INTO record_counts (tenant_id, collection, status, records) VALUES (NEW.tenant_id, NEW.collection, COALESCE(NEW.status, ''), 1)
  ON CONFLICT (tenant_id, collection, status) DO UPDATE SET records = records + 1;
  UPDATE collection_state SET generation = generation + 1 WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection;
END;

CREATE TRIGGER records_derived_anew AFTER UPDATE OF data, deleted_at, index_revision ON records
BEGIN
  DELETE FROM record_index
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || field) IS NOT json_extract(OLD.data, '$.' || field));
  INSERT INTO record_index (tenant_id, collection, record_id, field, position, value, created_at, is_unique)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, COALESCE(j.id, 0), j.atom, NEW.created_at, f.is_unique
  FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || f.field) IS NOT json_extract(OLD.data, '$.' || f.field));

  DELETE FROM record_references
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || field) IS NOT json_extract(OLD.data, '$.' || field));
  INSERT INTO record_references (tenant_id, collection, record_id, field, position, target, target_id)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, j.id, f.target, j.atom
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.target IS NOT NULL AND j.atom IS NOT NULL AND NEW.deleted_at IS NULL
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || f.field) IS NOT json_extract(OLD.data, '$.' || f.field));

  DELETE FROM record_search WHERE rowid = NEW.number;
  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, 'x' || hex(NEW.tenant_id || ':' || NEW.collection), group_concat(j.atom, ' ')
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_searched = 1 AND NEW.deleted_at IS NULL
  HAVING count(*) > 0;
END;

CREATE TRIGGER records_stay_while_named BEFORE UPDATE OF deleted_at ON records
WHEN NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL AND EXISTS (
  SELECT 1 FROM record_references WHERE tenant_id = OLD.tenant_id AND target = OLD.collection AND target_id = OLD.id
    AND NOT (collection = OLD.collection AND record_id = OLD.id))
BEGIN SELECT RAISE(ABORT, 'still_referenced'); END;

CREATE TRIGGER records_recounted AFTER UPDATE OF status, deleted_at ON records
WHEN NEW.status IS NOT OLD.status OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL)
BEGIN
  UPDATE record_counts SET records = records - 1
  WHERE tenant_id = OLD.tenant_id AND collection = OLD.collection AND status = COALESCE(OLD.status, '') AND OLD.deleted_at IS NULL;
  INSERT INTO record_counts (tenant_id, collection, status, records)
  SELECT NEW.tenant_id, NEW.collection, COALESCE(NEW.status, ''), 1 WHERE NEW.deleted_at IS NULL
  ON CONFLICT (tenant_id, collection, status) DO UPDATE SET records = records + 1;
END;

CREATE TRIGGER records_changed AFTER UPDATE OF version ON records
BEGIN
  UPDATE collection_state SET generation = generation + 1 WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection;
END;

CREATE TRIGGER records_deleted AFTER DELETE ON records
BEGIN
  DELETE FROM record_search WHERE rowid = OLD.number;
  UPDATE record_counts SET records = records - 1
  WHERE tenant_id = OLD.tenant_id AND collection = OLD.collection AND status = COALESCE(OLD.status, '') AND OLD.deleted_at IS NULL;
  UPDATE collection_state SET generation = generation + 1 WHERE tenant_id = OLD.tenant_id AND collection = OLD.collection;
END;

-- Its states are kept where the collection is versioned.

CREATE TRIGGER records_first_version AFTER INSERT ON records
WHEN (SELECT versioned FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_versions (tenant_id, collection, record_id, version, operation, status, data, at, by)
  VALUES (NEW.tenant_id, NEW.collection, NEW.id, NEW.version, 'create', NEW.status, NEW.data, NEW.updated_at, NEW.updated_by);
END;

CREATE TRIGGER records_next_version AFTER UPDATE OF version ON records
WHEN (SELECT versioned FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_versions (tenant_id, collection, record_id, version, operation, status, data, at, by)
  VALUES (NEW.tenant_id, NEW.collection, NEW.id, NEW.version,
    CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.deleted_at IS NOT NULL THEN 'restore' ELSE 'update' END,
    NEW.status, NEW.data, NEW.updated_at, NEW.updated_by);
  DELETE FROM record_versions
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id AND version <= NEW.version - 200;
END;

-- It is announced where the collection is live.

CREATE TRIGGER records_announced_new AFTER INSERT ON records
WHEN NEW.deleted_at IS NULL AND (SELECT live FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by)
  SELECT NEW.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id, 'create', 1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by
  FROM record_sequence s JOIN collections c ON c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection WHERE s.tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER records_announced_changed AFTER UPDATE OF version ON records
WHEN (NEW.deleted_at IS NULL OR OLD.deleted_at IS NULL)
  AND (SELECT live FROM collections WHERE tenant_id = NEW.tenant_id AND slug = NEW.collection) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by)
  SELECT NEW.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id,
    CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.deleted_at IS NOT NULL THEN 'create' ELSE 'update' END,
    1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by
  FROM record_sequence s JOIN collections c ON c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection WHERE s.tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER records_announced_gone AFTER DELETE ON records
WHEN OLD.deleted_at IS NULL AND (SELECT live FROM collections WHERE tenant_id = OLD.tenant_id AND slug = OLD.collection AND deleted_at IS NULL) = 1
BEGIN
  INSERT INTO record_sequence (tenant_id, last) VALUES (OLD.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by)
  SELECT OLD.tenant_id, s.last, CAST(unixepoch('subsec') * 1000 AS INTEGER), OLD.collection, OLD.id, 'delete', 1 - c.public_read, OLD.version, OLD.status, OLD.data, c.alias, OLD.created_at, OLD.updated_at, OLD.created_by, OLD.updated_by
  FROM record_sequence s JOIN collections c ON c.tenant_id = OLD.tenant_id AND c.slug = OLD.collection WHERE s.tenant_id = OLD.tenant_id;
END;
