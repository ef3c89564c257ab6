-- The words of a record are tagged by its collection, so that a search, also one for a beginning, walks through the
-- words of its own collection only. What a word is, no trigger can say: whoever writes a record brings its words, and the
-- triggers tag them and put them into the index. A record of before has none and lies there untagged, under its scope,
-- until a job brings them; both kinds are found meanwhile.

-- Words of the searched fields: ASCII letters and digits, a space between two, another one between two texts. NULL where
-- nothing is searched, and in records of before.
ALTER TABLE records ADD COLUMN words TEXT;

-- Whether every searched record of the collection has its words. From then on none is written without them.
ALTER TABLE collection_state ADD COLUMN has_words INTEGER NOT NULL DEFAULT 0;

CREATE INDEX collection_state_without_words ON collection_state (tenant_id) WHERE has_words = 0;

CREATE TRIGGER records_come_with_their_words BEFORE INSERT ON records
WHEN NEW.words IS NULL AND NEW.deleted_at IS NULL
  AND (SELECT has_words FROM collection_state WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection) = 1
  AND EXISTS (SELECT 1 FROM collection_fields WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND is_searched = 1)
BEGIN SELECT RAISE(ABORT, 'words_missing'); END;

CREATE TRIGGER records_change_with_their_words BEFORE UPDATE OF data, words, deleted_at, index_revision ON records
WHEN NEW.words IS NULL AND NEW.deleted_at IS NULL
  AND (SELECT has_words FROM collection_state WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection) = 1
  AND EXISTS (SELECT 1 FROM collection_fields WHERE tenant_id = NEW.tenant_id AND collection = NEW.collection AND is_searched = 1)
BEGIN SELECT RAISE(ABORT, 'words_missing'); END;

-- The tokenizer would divide anything else, and what stands behind the division would have no tag.
CREATE TRIGGER records_come_with_plain_words BEFORE INSERT ON records
WHEN glob('*[^ 0-9a-z]*', NEW.words)
BEGIN SELECT RAISE(ABORT, 'words_not_plain'); END;

CREATE TRIGGER records_change_with_plain_words BEFORE UPDATE OF words ON records
WHEN glob('*[^ 0-9a-z]*', NEW.words)
BEGIN SELECT RAISE(ABORT, 'words_not_plain'); END;

DROP TRIGGER records_inserted;
DROP TRIGGER records_derived_anew;

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
END;

CREATE TRIGGER records_words_inserted AFTER INSERT ON records
WHEN NEW.deleted_at IS NULL
BEGIN
  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, NULL, 'z' || substr(c.creation_id, 17) || replace(NEW.words, ' ', ' z' || substr(c.creation_id, 17))
  FROM collections c WHERE c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND NEW.words <> '';

  INSERT INTO record_search (rowid, scope, words)
  SELECT NEW.number, 'x' || hex(NEW.tenant_id || ':' || NEW.collection), group_concat(j.atom, ' ')
  FROM collection_fields f JOIN json_each(NEW.data, '$.' || f.field) j
  WHERE f.tenant_id = NEW.tenant_id AND f.collection = NEW.collection AND f.is_searched = 1 AND NEW.words IS NULL
  HAVING count(*) > 0;
END;

CREATE TRIGGER records_words_derived_anew AFTER UPDATE OF data, words, deleted_at, index_revision ON records
WHEN NEW.words IS NULL OR NEW.words IS NOT OLD.words OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL)
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
