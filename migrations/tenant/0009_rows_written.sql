-- A row that is written costs a thousand times one that is read, so what only checks something writes none.

-- A rule of a batch that holds leaves no row. One that does not hold goes on to the CHECK or NOT NULL that it fails by.
CREATE TRIGGER write_guard_takes_no_row BEFORE INSERT ON write_guard
WHEN NEW.ok = 1
BEGIN SELECT RAISE(IGNORE); END;

-- Each statement states one rule. A rule that is not named here is checked as well; it writes a row.
CREATE TRIGGER write_rules_take_no_row BEFORE INSERT ON write_rules
WHEN 1 IN (
  NEW.keeps_an_owner, NEW.has_room, NEW.has_roles_left, NEW.has_invitations_left, NEW.is_as_seen, NEW.is_unused,
  NEW.is_open, NEW.is_nobodys, NEW.is_uninvited, NEW.has_collections_left, NEW.has_records_left, NEW.has_rate_left,
  NEW.is_unnamed, NEW.is_definition, NEW.is_version, NEW.takes_file, NEW.is_file, NEW.has_storage_left,
  NEW.is_registered)
BEGIN SELECT RAISE(IGNORE); END;
