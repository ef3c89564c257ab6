-- A file has a later second than every file that its record had before, so that its time tells it from them. The one in whose
-- place it comes is there; of those that were deleted, with their records or without, the tenant's latest time is kept.

ALTER TABLE storage_used ADD COLUMN gone_to INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER record_files_deleted;

CREATE TRIGGER record_files_deleted AFTER DELETE ON record_files
BEGIN
  INSERT INTO unreferenced_objects (tenant_id, object, due_at) VALUES (OLD.tenant_id, OLD.object, CAST(unixepoch('subsec') * 1000 AS INTEGER));
  UPDATE storage_used SET bytes = bytes - OLD.size, gone_to = max(gone_to, OLD.created_at) WHERE tenant_id = OLD.tenant_id;
END;
