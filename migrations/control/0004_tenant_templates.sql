-- Templates of which a new tenant gets its first collections: a JSON array, kept until the shard has them.
ALTER TABLE pending_changes ADD COLUMN templates TEXT NOT NULL DEFAULT '[]';
