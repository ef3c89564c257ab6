-- An announcement says what the record was before: whoever hears of some records only is told which ones came and which
-- left. A deleted record's announcement has the record as it was.

-- JSON: `version`, `status`, `updated_at` and `updated_by` as they were, and `data` if it was another; NULL where there was
-- no record, and where the announcement has it as it was.
ALTER TABLE record_outbox ADD COLUMN before TEXT;

DROP TRIGGER records_updated;
DROP VIEW tenant_storage;

-- Bytes that a tenant stores: what its plan bounds. An announcement takes 200, its data, and what was before.
CREATE VIEW tenant_storage AS
SELECT tenant_fence.tenant_id,
  COALESCE((SELECT sum(s.bytes) FROM collection_state s WHERE s.tenant_id = tenant_fence.tenant_id), 0) AS records,
  COALESCE((SELECT u.bytes FROM storage_used u WHERE u.tenant_id = tenant_fence.tenant_id), 0) AS files,
  COALESCE((SELECT n.total FROM record_outbox n WHERE n.tenant_id = tenant_fence.tenant_id ORDER BY n.seq DESC LIMIT 1)
    - (SELECT o.total - 200 - octet_length(o.data) - COALESCE(octet_length(o.before), 0) FROM record_outbox o WHERE o.tenant_id = tenant_fence.tenant_id ORDER BY o.seq LIMIT 1), 0) AS outbox
FROM tenant_fence;

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

  INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, status, data, alias, created_at, updated_at, created_by, updated_by, creation_id, before, total)
  SELECT NEW.tenant_id, s.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER), NEW.collection, NEW.id,
    CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' WHEN OLD.deleted_at IS NOT NULL THEN 'create' ELSE 'update' END,
    1 - c.public_read, NEW.version, NEW.status, NEW.data, c.alias, NEW.created_at, NEW.updated_at, NEW.created_by, NEW.updated_by, c.creation_id, b.before,
    200 + octet_length(NEW.data) + COALESCE(octet_length(b.before), 0) + COALESCE((SELECT o.total FROM record_outbox o WHERE o.tenant_id = NEW.tenant_id ORDER BY o.seq DESC LIMIT 1), 0)
  FROM collection_state s CROSS JOIN collections c
    CROSS JOIN (SELECT CASE WHEN OLD.deleted_at IS NULL THEN json_object('version', OLD.version, 'status', OLD.status,
      'updated_at', OLD.updated_at, 'updated_by', OLD.updated_by, 'data', CASE WHEN NEW.data IS NOT OLD.data THEN json(OLD.data) END) END AS before) b
  WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND s.tenant_id = NEW.tenant_id AND s.collection = NEW.collection AND c.live = 1
    AND NEW.version <> OLD.version AND (NEW.deleted_at IS NULL OR OLD.deleted_at IS NULL);
END;
