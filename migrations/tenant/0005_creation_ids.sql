-- A slug may be taken again once its collection is deleted, and then revisions and generations begin anew. So every
-- collection has an id that no other one ever has: whatever is remembered of a collection is compared with it.

ALTER TABLE collections ADD COLUMN creation_id TEXT NOT NULL DEFAULT '';

UPDATE collections SET creation_id = lower(hex(randomblob(16)));

-- Given here, so that no writer can forget it.
CREATE TRIGGER collections_get_a_creation_id AFTER INSERT ON collections
WHEN NEW.creation_id = ''
BEGIN
  UPDATE collections SET creation_id = lower(hex(randomblob(16))) WHERE tenant_id = NEW.tenant_id AND slug = NEW.slug;
END;

CREATE TRIGGER collections_keep_their_creation_id BEFORE UPDATE OF creation_id ON collections
WHEN OLD.creation_id <> ''
BEGIN SELECT RAISE(ABORT, 'creation_id is immutable'); END;
