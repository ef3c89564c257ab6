-- A record is written with as few rows as hold it. What rises with each write of a collection is one row: its generation,
-- which numbers the announcements of the tenant too, its counts, and its bytes. A past state is stored once another
-- replaces it. An index that another one can do without is gone. Views have the shapes of before.

DROP TRIGGER records_inserted;
DROP TRIGGER records_counted;
DROP TRIGGER records_first_version;
DROP TRIGGER records_announced_new;
DROP TRIGGER records_derived_anew;
DROP TRIGGER records_words_derived_anew;
DROP TRIGGER records_recounted;
DROP TRIGGER records_changed;
DROP TRIGGER records_next_version;
DROP TRIGGER records_announced_changed;
DROP TRIGGER records_deleted;
DROP TRIGGER records_announced_gone;
DROP TRIGGER collections_announced;
DROP TRIGGER record_versions_are_not_edited;

-- The numbers of announcements ---------------------------------------------------------------------------------------

-- The highest number that a collection had which is gone; no number of a tenant is given twice.
CREATE TABLE past_sequences (
  tenant_id TEXT PRIMARY KEY NOT NULL,
  last      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER past_sequences_keep_their_tenant BEFORE UPDATE OF tenant_id ON past_sequences
BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;

INSERT INTO past_sequences (tenant_id, last) SELECT tenant_id, last FROM record_sequence;
DROP TABLE record_sequence;

-- The last number that a tenant's records gave.
CREATE VIEW record_sequence AS
SELECT tenant_fence.tenant_id, max(
  COALESCE((SELECT max(s.generation) FROM collection_state s WHERE s.tenant_id = tenant_fence.tenant_id), 0),
  COALESCE((SELECT p.last FROM past_sequences p WHERE p.tenant_id = tenant_fence.tenant_id), 0)) AS last
FROM tenant_fence;

CREATE TRIGGER record_sequence_is_forgotten INSTEAD OF DELETE ON record_sequence
BEGIN
  DELETE FROM past_sequences WHERE tenant_id = OLD.tenant_id;
END;

CREATE TRIGGER collection_state_leaves_its_number AFTER DELETE ON collection_state
BEGIN
  INSERT INTO past_sequences (tenant_id, last) VALUES (OLD.tenant_id, OLD.generation)
  ON CONFLICT (tenant_id) DO UPDATE SET last = max(last, excluded.last);
END;

-- Counts, bytes, and how far jobs are --------------------------------------------------------------------------------

-- JSON: how many records there are, by status; '' for those without one.
ALTER TABLE collection_state ADD COLUMN counts TEXT NOT NULL DEFAULT '{}';

-- Bytes of the collection's records with all that belongs to them; NULL until those of before are counted. A record takes
-- 500 and its data, and its words twice; each value in the index 200 and its text; each past version
-- 100 and its data.
ALTER TABLE collection_state ADD COLUMN bytes INTEGER DEFAULT 0;
-- The records are being counted anew, in the order of their ids: up to which this has been done, what it has come to so
-- far, when it was last done, and by how much `bytes` was wrong then.
ALTER TABLE collection_state ADD COLUMN recount_to TEXT;
ALTER TABLE collection_state ADD COLUMN recount_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE collection_state ADD COLUMN recounted_at INTEGER;
ALTER TABLE collection_state ADD COLUMN recount_difference INTEGER;
-- Up to which id the job has indexed the records, for which index revision.
ALTER TABLE collection_state ADD COLUMN indexed_to TEXT;
ALTER TABLE collection_state ADD COLUMN indexed_for INTEGER;

CREATE INDEX collection_state_to_recount ON collection_state (tenant_id) WHERE recount_to IS NOT NULL;

UPDATE collection_state SET bytes = NULL, recount_to = '', counts = COALESCE((
  SELECT json_group_object(n.status, n.records) FROM record_counts n
  WHERE n.tenant_id = collection_state.tenant_id AND n.collection = collection_state.collection AND n.records > 0), '{}');
DROP TABLE record_counts;

CREATE VIEW record_counts AS
SELECT collection_state.tenant_id, collection_state.collection, j.key AS status, j.value AS records
FROM collection_state CROSS JOIN json_each(collection_state.counts) j;

CREATE TRIGGER record_counts_go_with_their_collection INSTEAD OF DELETE ON record_counts
BEGIN SELECT 1; END;

-- Past states --------------------------------------------------------------------------------------------------------

ALTER TABLE record_versions RENAME TO record_past_versions;

CREATE TRIGGER record_past_versions_are_not_edited BEFORE UPDATE ON record_past_versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only and their tenant_id is immutable'); END;

-- When the collection was last versioned: states of until then are kept when they are replaced.
ALTER TABLE collections ADD COLUMN versioned_until INTEGER;

CREATE TRIGGER collections_were_versioned AFTER UPDATE OF versioned ON collections
WHEN OLD.versioned = 1 AND NEW.versioned = 0
BEGIN
  UPDATE collections SET versioned_until = max(NEW.updated_at, COALESCE((
    SELECT max(r.updated_at) FROM records r WHERE r.tenant_id = NEW.tenant_id AND r.collection = NEW.slug AND r.deleted_at IS NULL), 0))
  WHERE tenant_id = NEW.tenant_id AND slug = NEW.slug;
END;

-- Every state of a record: past ones, and the one that it has.
CREATE VIEW record_versions AS
SELECT record_past_versions.tenant_id, record_past_versions.collection, record_past_versions.record_id, record_past_versions.version,
  record_past_versions.operation, record_past_versions.status, record_past_versions.data, record_past_versions.at, record_past_versions.by
FROM record_past_versions
UNION ALL
SELECT records.tenant_id, records.collection, records.id, records.version,
  CASE WHEN records.deleted_at IS NOT NULL THEN 'delete' WHEN records.version = 1 THEN 'create'
    WHEN EXISTS (SELECT 1 FROM record_past_versions p WHERE p.tenant_id = records.tenant_id AND p.collection = records.collection AND p.record_id = records.id AND p.version = records.version - 1 AND p.operation = 'delete') THEN 'restore'
    ELSE 'update' END,
  records.status, records.data, records.updated_at, records.updated_by
FROM records CROSS JOIN collections
WHERE collections.tenant_id = records.tenant_id AND collections.slug = records.collection
  AND (collections.versioned = 1 OR records.updated_at <= collections.versioned_until)
  AND NOT EXISTS (SELECT 1 FROM record_past_versions p WHERE p.tenant_id = records.tenant_id AND p.collection = records.collection AND p.record_id = records.id AND p.version = records.version);

CREATE TRIGGER record_versions_are_forgotten INSTEAD OF DELETE ON record_versions
BEGIN
  DELETE FROM record_past_versions
  WHERE tenant_id = OLD.tenant_id AND collection = OLD.collection AND record_id = OLD.record_id AND version = OLD.version;
END;

-- Indexes ------------------------------------------------------------------------------------------------------------

-- A job goes through the records by their ids.
DROP INDEX records_by_index;
-- Which tenants have announcements that wait is found in the key of the outbox: the first one of each is its oldest.
DROP INDEX record_outbox_by_age;
-- The index by value finds an equal value as well. Without the hint SQLite would read the records' own rows instead.
DROP INDEX record_index_unique;

CREATE TRIGGER record_index_stays_unique BEFORE INSERT ON record_index
WHEN NEW.is_unique = 1 AND EXISTS (
  SELECT 1 FROM record_index WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND field = NEW.field AND unlikely(value = NEW.value) AND is_unique = 1)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: record_index.value'); END;

CREATE TRIGGER record_index_changes_uniquely BEFORE UPDATE OF value, is_unique ON record_index
WHEN NEW.is_unique = 1 AND EXISTS (
  SELECT 1 FROM record_index WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND field = NEW.field AND unlikely(value = NEW.value) AND is_unique = 1
    AND NOT (record_id = NEW.record_id AND position = NEW.position))
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: record_index.value'); END;

-- Bytes of announcements that wait, and what a tenant stores ---------------------------------------------------------

-- Bytes of all announcements up to this one, 200 and its data for each, since the outbox was last empty. So what waits is
-- the difference of two rows, and nothing is written when an announcement goes.
ALTER TABLE record_outbox ADD COLUMN total INTEGER NOT NULL DEFAULT 0;

-- Bytes that a tenant stores: what its plan bounds.
CREATE VIEW tenant_storage AS
SELECT tenant_fence.tenant_id,
  COALESCE((SELECT sum(s.bytes) FROM collection_state s WHERE s.tenant_id = tenant_fence.tenant_id), 0) AS records,
  COALESCE((SELECT u.bytes FROM storage_used u WHERE u.tenant_id = tenant_fence.tenant_id), 0) AS files,
  COALESCE((SELECT n.total FROM record_outbox n WHERE n.tenant_id = tenant_fence.tenant_id ORDER BY n.seq DESC LIMIT 1)
    - (SELECT o.total - 200 - octet_length(o.data) FROM record_outbox o WHERE o.tenant_id = tenant_fence.tenant_id ORDER BY o.seq LIMIT 1), 0) AS outbox
FROM tenant_fence;

-- Tenants whose announcements wait, and since when. It goes from tenant to tenant by the key.
CREATE VIEW outboxes_waiting AS
WITH RECURSIVE w (tenant_id) AS (
  SELECT min(record_outbox.tenant_id) FROM record_outbox
  UNION ALL
  SELECT (SELECT min(o.tenant_id) FROM record_outbox o WHERE o.tenant_id > w.tenant_id) FROM w WHERE w.tenant_id IS NOT NULL)
SELECT w.tenant_id, (SELECT o.at FROM record_outbox o WHERE o.tenant_id = w.tenant_id ORDER BY o.seq LIMIT 1) AS at
FROM w WHERE w.tenant_id IS NOT NULL;

-- A record is written ------------------------------------------------------------------------------------------------

-- In each of these the row of the collection comes first: it is measured by what is there before, and its number is that
-- of the announcement.
CREATE TRIGGER records_inserted AFTER INSERT ON records
BEGIN
  UPDATE collection_state SET
    generation = 1 + max(COALESCE((SELECT max(g.generation) FROM collection_state g WHERE g.tenant_id = NEW.tenant_id), 0), COALESCE((SELECT p.last FROM past_sequences p WHERE p.tenant_id = NEW.tenant_id), 0)),
    counts = CASE WHEN NEW.deleted_at IS NULL THEN json_patch(counts, json_object(COALESCE(NEW.status, ''),
      COALESCE((SELECT j.value FROM json_each(counts) j WHERE j.key = COALESCE(NEW.status, '')), 0) + 1)) ELSE counts END,
    bytes = bytes + m.delta,
    recount_bytes = recount_bytes + CASE WHEN NEW.id <= recount_to THEN m.delta ELSE 0 END
  FROM (SELECT 500 + octet_length(NEW.data) + 2 * COALESCE(octet_length(NEW.words), 0)
    + COALESCE((SELECT sum(200 + COALESCE(octet_length(j.atom), 0)) FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
      WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL), 0) AS delta) m
  WHERE collection_state.tenant_id = NEW.tenant_id AND collection_state.collection = NEW.collection;

  INSERT INTO record_index (tenant_id, collection, record_id, field, position, value, created_at, is_unique)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, COALESCE(j.id, 0), j.atom, NEW.created_at, f.is_unique
  FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL;

  INSERT INTO record_references (tenant_id, collection, record_id, field, position, target, target_id)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, j.id, f.target, j.atom
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.target IS NOT NULL AND j.atom IS NOT NULL AND NEW.deleted_at IS NULL;

  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id, total)
  SELECT NEW.tenant_id, s.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id, 'create', 1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by, c.creation_id,
    200 + octet_length(NEW.data) + COALESCE((SELECT o.total FROM record_outbox o WHERE o.tenant_id = NEW.tenant_id ORDER BY o.seq DESC LIMIT 1), 0)
  FROM collection_state s CROSS JOIN collections c
  WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND s.tenant_id = NEW.tenant_id AND s.collection = NEW.collection AND c.live = 1 AND NEW.deleted_at IS NULL;
END;

-- In the index a single value is exchanged in its row. What a record was is kept where its collection is versioned.
CREATE TRIGGER records_updated AFTER UPDATE OF version, status, data, words, deleted_at, index_revision ON records
BEGIN
  UPDATE collection_state SET
    generation = CASE WHEN NEW.version <> OLD.version THEN 1 + max(COALESCE((SELECT max(g.generation) FROM collection_state g WHERE g.tenant_id = NEW.tenant_id), 0), COALESCE((SELECT p.last FROM past_sequences p WHERE p.tenant_id = NEW.tenant_id), 0)) ELSE generation END,
    counts = json_patch(json_patch(counts,
      CASE WHEN m.is_recounted AND OLD.deleted_at IS NULL THEN json_object(COALESCE(OLD.status, ''),
        NULLIF((SELECT j.value FROM json_each(counts) j WHERE j.key = COALESCE(OLD.status, '')) - 1, 0)) ELSE '{}' END),
      CASE WHEN m.is_recounted AND NEW.deleted_at IS NULL THEN json_object(COALESCE(NEW.status, ''),
        COALESCE((SELECT j.value FROM json_each(counts) j WHERE j.key = COALESCE(NEW.status, '')), 0) + 1) ELSE '{}' END),
    bytes = bytes + m.delta,
    recount_bytes = recount_bytes + CASE WHEN NEW.id <= recount_to THEN m.delta ELSE 0 END
  FROM (SELECT
    NEW.status IS NOT OLD.status OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL) AS is_recounted,
    octet_length(NEW.data) - octet_length(OLD.data) + 2 * COALESCE(octet_length(NEW.words), 0) - 2 * COALESCE(octet_length(OLD.words), 0)
    + COALESCE((SELECT sum(COALESCE(octet_length(json_extract(NEW.data, '$.' || i.field)), 0) - COALESCE(octet_length(i.value), 0)) FROM record_index i
      WHERE i.tenant_id = NEW.tenant_id AND i.collection = NEW.collection AND i.record_id = NEW.id
        AND NEW.index_revision = OLD.index_revision AND NEW.deleted_at IS NULL AND OLD.deleted_at IS NULL
        AND json_extract(NEW.data, '$.' || i.field) IS NOT json_extract(OLD.data, '$.' || i.field) AND NOT (COALESCE(json_type(NEW.data, '$.' || i.field), '') IN ('array', 'object') OR COALESCE(json_type(OLD.data, '$.' || i.field), '') IN ('array', 'object'))), 0)
    + COALESCE((SELECT sum(200 + COALESCE(octet_length(j.atom), 0)) FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
      WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL
        AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
          OR json_extract(NEW.data, '$.' || f.field) IS NOT json_extract(OLD.data, '$.' || f.field) AND (COALESCE(json_type(NEW.data, '$.' || f.field), '') IN ('array', 'object') OR COALESCE(json_type(OLD.data, '$.' || f.field), '') IN ('array', 'object')))), 0)
    - COALESCE((SELECT sum(200 + COALESCE(octet_length(i.value), 0)) FROM record_index i
      WHERE i.tenant_id = NEW.tenant_id AND i.collection = NEW.collection AND i.record_id = NEW.id
        AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
          OR json_extract(NEW.data, '$.' || i.field) IS NOT json_extract(OLD.data, '$.' || i.field) AND (COALESCE(json_type(NEW.data, '$.' || i.field), '') IN ('array', 'object') OR COALESCE(json_type(OLD.data, '$.' || i.field), '') IN ('array', 'object')))), 0)
    + COALESCE((SELECT 100 + octet_length(OLD.data) FROM collections c
      WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND NEW.version <> OLD.version AND (c.versioned = 1 OR OLD.updated_at <= c.versioned_until)
        AND NOT EXISTS (SELECT 1 FROM record_past_versions v WHERE v.tenant_id = NEW.tenant_id AND v.collection = NEW.collection AND v.record_id = NEW.id AND v.version = OLD.version)), 0)
    - COALESCE((SELECT sum(100 + octet_length(v.data)) FROM record_past_versions v
      WHERE v.tenant_id = NEW.tenant_id AND v.collection = NEW.collection AND v.record_id = NEW.id AND v.version <= NEW.version - 200 AND NEW.version <> OLD.version
        AND (SELECT c.versioned FROM collections c WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection) = 1), 0) AS delta) m
  WHERE collection_state.tenant_id = NEW.tenant_id AND collection_state.collection = NEW.collection AND (NEW.version <> OLD.version OR m.is_recounted OR m.delta <> 0);

  UPDATE record_index SET value = json_extract(NEW.data, '$.' || field)
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id
    AND NEW.index_revision = OLD.index_revision AND NEW.deleted_at IS NULL AND OLD.deleted_at IS NULL
    AND json_extract(NEW.data, '$.' || field) IS NOT json_extract(OLD.data, '$.' || field)
    AND COALESCE(json_type(NEW.data, '$.' || field), '') NOT IN ('array', 'object') AND COALESCE(json_type(OLD.data, '$.' || field), '') NOT IN ('array', 'object');
  DELETE FROM record_index
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || field) IS NOT json_extract(OLD.data, '$.' || field)
        AND (COALESCE(json_type(NEW.data, '$.' || field), '') IN ('array', 'object') OR COALESCE(json_type(OLD.data, '$.' || field), '') IN ('array', 'object')));
  INSERT INTO record_index (tenant_id, collection, record_id, field, position, value, created_at, is_unique)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, f.field, COALESCE(j.id, 0), j.atom, NEW.created_at, f.is_unique
  FROM collection_fields f LEFT JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_indexed = 1 AND NEW.deleted_at IS NULL
    AND (NEW.index_revision <> OLD.index_revision OR NEW.deleted_at IS NOT OLD.deleted_at
      OR json_extract(NEW.data, '$.' || f.field) IS NOT json_extract(OLD.data, '$.' || f.field)
        AND (COALESCE(json_type(NEW.data, '$.' || f.field), '') IN ('array', 'object') OR COALESCE(json_type(OLD.data, '$.' || f.field), '') IN ('array', 'object')));

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

  INSERT INTO record_past_versions (tenant_id, collection, record_id, version, operation, status, data, at, by)
  SELECT NEW.tenant_id, NEW.collection, NEW.id, OLD.version,
    CASE WHEN OLD.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.version = 1 THEN 'create'
      WHEN EXISTS (SELECT 1 FROM record_past_versions p WHERE p.tenant_id = NEW.tenant_id AND p.collection = NEW.collection AND p.record_id = NEW.id AND p.version = OLD.version - 1 AND p.operation = 'delete') THEN 'restore'
      ELSE 'update' END,
    OLD.status, OLD.data, OLD.updated_at, OLD.updated_by
  FROM collections c
  WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND NEW.version <> OLD.version AND (c.versioned = 1 OR OLD.updated_at <= c.versioned_until)
  ON CONFLICT (tenant_id, collection, record_id, version) DO NOTHING;
  DELETE FROM record_past_versions
  WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND record_id = NEW.id AND version <= NEW.version - 200 AND NEW.version <> OLD.version
    AND (SELECT c.versioned FROM collections c WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection) = 1;

  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id, total)
  SELECT NEW.tenant_id, s.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id,
    CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.deleted_at IS NOT NULL THEN 'create' ELSE 'update' END,
    1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by, c.creation_id,
    200 + octet_length(NEW.data) + COALESCE((SELECT o.total FROM record_outbox o WHERE o.tenant_id = NEW.tenant_id ORDER BY o.seq DESC LIMIT 1), 0)
  FROM collection_state s CROSS JOIN collections c
  WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND s.tenant_id = NEW.tenant_id AND s.collection = NEW.collection AND c.live = 1
    AND NEW.version <> OLD.version AND (NEW.deleted_at IS NULL OR OLD.deleted_at IS NULL);
END;

CREATE TRIGGER records_words_exchanged AFTER UPDATE OF words ON records
WHEN NEW.words <> '' AND OLD.words <> '' AND NEW.words <> OLD.words AND NEW.deleted_at IS NULL AND OLD.deleted_at IS NULL
BEGIN
  UPDATE record_search SET scope = NULL, words = (
    SELECT 'z' || substr(c.creation_id, 17) || replace(NEW.words, ' ', ' z' || substr(c.creation_id, 17))
    FROM collections c WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection)
  WHERE rowid = NEW.number;
END;

CREATE TRIGGER records_words_derived_anew AFTER UPDATE OF data, words, deleted_at, index_revision ON records
WHEN (NEW.words IS NULL OR NEW.words IS NOT OLD.words OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL))
  AND NOT COALESCE(NEW.words <> '' AND OLD.words <> '' AND NEW.deleted_at IS NULL AND OLD.deleted_at IS NULL, 0)
BEGIN
  DELETE FROM record_search WHERE rowid = NEW.number;

  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, NULL, 'z' || substr(c.creation_id, 17) || replace(NEW.words, ' ', ' z' || substr(c.creation_id, 17))
  FROM collections c WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND NEW.words <> '' AND NEW.deleted_at IS NULL;

  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, 'x' || hex(NEW.tenant_id || ':' || NEW.collection), group_concat(j.atom, ' ')
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_searched = 1 AND NEW.words IS NULL AND NEW.deleted_at IS NULL
  HAVING count(*) > 0;
END;

-- Before: what goes with the record is measured while it is there.
CREATE TRIGGER records_deleted BEFORE DELETE ON records
BEGIN
  UPDATE collection_state SET
    generation = 1 + max(COALESCE((SELECT max(g.generation) FROM collection_state g WHERE g.tenant_id = OLD.tenant_id), 0), COALESCE((SELECT p.last FROM past_sequences p WHERE p.tenant_id = OLD.tenant_id), 0)),
    counts = CASE WHEN OLD.deleted_at IS NULL THEN json_patch(counts, json_object(COALESCE(OLD.status, ''),
      NULLIF((SELECT j.value FROM json_each(counts) j WHERE j.key = COALESCE(OLD.status, '')) - 1, 0))) ELSE counts END,
    bytes = bytes - m.delta,
    recount_bytes = recount_bytes - CASE WHEN OLD.id <= recount_to THEN m.delta ELSE 0 END
  FROM (SELECT 500 + octet_length(OLD.data) + 2 * COALESCE(octet_length(OLD.words), 0)
    + COALESCE((SELECT sum(200 + COALESCE(octet_length(i.value), 0)) FROM record_index i
      WHERE i.tenant_id = OLD.tenant_id AND i.collection = OLD.collection AND i.record_id = OLD.id), 0)
    + COALESCE((SELECT sum(100 + octet_length(v.data)) FROM record_past_versions v
      WHERE v.tenant_id = OLD.tenant_id AND v.collection = OLD.collection AND v.record_id = OLD.id), 0) AS delta) m
  WHERE collection_state.tenant_id = OLD.tenant_id AND collection_state.collection = OLD.collection;

  DELETE FROM record_search WHERE rowid = OLD.number;

  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id, total)
  SELECT OLD.tenant_id, s.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER), OLD.collection, OLD.id, 'delete', 1 - c.public_read, OLD.version, OLD.status, OLD.data, c.alias, OLD.created_at, OLD.updated_at, OLD.created_by, OLD.updated_by, c.creation_id,
    200 + octet_length(OLD.data) + COALESCE((SELECT o.total FROM record_outbox o WHERE o.tenant_id = OLD.tenant_id ORDER BY o.seq DESC LIMIT 1), 0)
  FROM collection_state s CROSS JOIN collections c
  WHERE c.tenant_id = OLD.tenant_id AND c.slug = OLD.collection AND s.tenant_id = OLD.tenant_id AND s.collection = OLD.collection AND c.live = 1 AND c.deleted_at IS NULL AND OLD.deleted_at IS NULL;
END;

-- A collection is hidden, shown or deleted, whether or not it is live: its events of before are judged anew. A new one is
-- told of by the first change of one of its records, which names a creation id that the hub does not know.
CREATE TRIGGER collections_announced AFTER UPDATE OF public_read, deleted_at ON collections
WHEN NEW.public_read <> OLD.public_read OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL)
BEGIN
  UPDATE collection_state SET generation = 1 + max(COALESCE((SELECT max(g.generation) FROM collection_state g WHERE g.tenant_id = NEW.tenant_id), 0), COALESCE((SELECT p.last FROM past_sequences p WHERE p.tenant_id = NEW.tenant_id), 0))
  WHERE collection_state.tenant_id = NEW.tenant_id AND collection_state.collection = NEW.slug;
  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, data, created_at, updated_at, created_by, updated_by, creation_id, total)
  SELECT NEW.tenant_id, s.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.slug, '', CASE WHEN NEW.deleted_at IS NULL THEN 'update' ELSE 'delete' END, 1, 0, 'null', NEW.created_at, NEW.updated_at, '', '', NEW.creation_id,
    204 + COALESCE((SELECT o.total FROM record_outbox o WHERE o.tenant_id = NEW.tenant_id ORDER BY o.seq DESC LIMIT 1), 0)
  FROM collection_state s WHERE s.tenant_id = NEW.tenant_id AND s.collection = NEW.slug;
END;
