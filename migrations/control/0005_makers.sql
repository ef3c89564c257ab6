-- What lives long remembers who made it, and ends with them.

-- An operator's security stamp is another one each time their role changes, or they are disabled or enabled. What was made
-- under one does not come back under the next. Given here, so that no writer can forget it.
ALTER TABLE operators ADD COLUMN security_stamp TEXT NOT NULL DEFAULT '';

CREATE TRIGGER operators_get_another_stamp AFTER UPDATE OF role, status ON operators
WHEN NEW.role <> OLD.role OR NEW.status <> OLD.status
BEGIN
  UPDATE operators SET security_stamp = lower(hex(randomblob(16))) WHERE id = NEW.id;
END;

-- A grant that is taken back and given again is another grant.
ALTER TABLE operator_grants ADD COLUMN creation_id TEXT NOT NULL DEFAULT '';
-- The creation id of a role of the tenant's own; empty for a built-in one.
ALTER TABLE operator_grants ADD COLUMN role_id TEXT NOT NULL DEFAULT '';

CREATE TRIGGER operator_grants_get_a_creation_id AFTER INSERT ON operator_grants
WHEN NEW.creation_id = ''
BEGIN
  UPDATE operator_grants SET creation_id = lower(hex(randomblob(16)))
  WHERE operator_id = NEW.operator_id AND tenant_id = NEW.tenant_id;
END;

-- Who answers for a key: its maker, or whoever re-rolled it last. The operator at the root of it, if one is, with the
-- security stamp that they had, and a JSON array of the keys by which it was made.
ALTER TABLE platform_keys ADD COLUMN held_by TEXT NOT NULL DEFAULT '';
ALTER TABLE platform_keys ADD COLUMN holder_id TEXT;
ALTER TABLE platform_keys ADD COLUMN holder_stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE platform_keys ADD COLUMN made_through TEXT NOT NULL DEFAULT '[]';

UPDATE platform_keys SET held_by = created_by,
  holder_id = CASE WHEN created_by LIKE 'operator:%' THEN substr(created_by, 10) END,
  made_through = CASE WHEN created_by LIKE 'platform_key:%' THEN json_array(substr(created_by, 14)) ELSE '[]' END;
UPDATE platform_keys SET
  holder_id = (SELECT m.holder_id FROM platform_keys m WHERE m.id = substr(platform_keys.created_by, 14))
WHERE created_by LIKE 'platform_key:%';

-- What else must hold when a batch is written: the rule's CHECK fails, and the batch with it, when it does not hold.
-- One row; nothing reads it.
CREATE TABLE write_rules (
  id         INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
  is_as_seen INTEGER CONSTRAINT changed_meanwhile CHECK (is_as_seen = 1)
) STRICT;
