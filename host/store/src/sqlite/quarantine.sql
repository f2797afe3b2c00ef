-- Version 2: a secret that was found not to open says so, and since when. Replacing it ends that.

ALTER TABLE secrets ADD COLUMN quarantined TEXT;
ALTER TABLE secrets ADD COLUMN quarantined_at INTEGER;
CREATE INDEX secrets_quarantined ON secrets (model, pkid, name) WHERE quarantined IS NOT NULL;
