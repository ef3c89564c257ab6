-- An application at an identity provider has a name for people and a secret of its own, of which digests are kept: of the
-- secret that counts, and of the one before it until its grace ends. Those of before have no secret until one is made.
ALTER TABLE sso_clients ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE sso_clients ADD COLUMN secret_digest TEXT;
ALTER TABLE sso_clients ADD COLUMN previous_digest TEXT;
ALTER TABLE sso_clients ADD COLUMN previous_until INTEGER;

-- No two records have the same values in fields that are unique together.
ALTER TABLE write_rules ADD COLUMN is_unique_together INTEGER CONSTRAINT not_unique_together CHECK (is_unique_together = 1);

DROP TRIGGER write_rules_take_no_row;
CREATE TRIGGER write_rules_take_no_row BEFORE INSERT ON write_rules
WHEN 1 IN (
  NEW.keeps_an_owner, NEW.has_room, NEW.has_roles_left, NEW.has_invitations_left, NEW.is_as_seen, NEW.is_unused,
  NEW.is_open, NEW.is_nobodys, NEW.is_uninvited, NEW.has_collections_left, NEW.has_records_left, NEW.has_rate_left,
  NEW.is_unnamed, NEW.is_definition, NEW.is_version, NEW.takes_file, NEW.is_file, NEW.has_storage_left,
  NEW.is_registered, NEW.is_unique_together)
BEGIN SELECT RAISE(IGNORE); END;
