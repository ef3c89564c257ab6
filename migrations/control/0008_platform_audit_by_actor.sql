-- Which tenants somebody of the platform entered lately: what they opened there ends with their rights.
CREATE INDEX platform_audit_by_actor ON platform_audit (actor, operation, at);
