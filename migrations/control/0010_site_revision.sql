-- How often a tenant's site has changed: its endpoint, and how it is to be asked. What an edge cache keeps of a site names the
-- number, so a site that comes back under its old address is another one.
ALTER TABLE tenants ADD COLUMN site_revision INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER tenants_site_changed AFTER UPDATE OF wpgraphql_endpoint, settings ON tenants
WHEN OLD.wpgraphql_endpoint IS NOT NEW.wpgraphql_endpoint
  OR json_extract(OLD.settings, '$.graphql') IS NOT json_extract(NEW.settings, '$.graphql')
BEGIN
  UPDATE tenants SET site_revision = OLD.site_revision + 1 WHERE id = NEW.id;
END;
