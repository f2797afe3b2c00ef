-- Version 4: which secrets a call has opened, or tried to open; never their values.

ALTER TABLE transactions ADD COLUMN more_reveals INTEGER NOT NULL DEFAULT 0;
CREATE TABLE transaction_reveals (
    id             INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    at             INTEGER NOT NULL,
    owner_model    TEXT,
    owner_pkid     TEXT,
    name           TEXT NOT NULL,
    outcome        TEXT NOT NULL
) STRICT;
CREATE INDEX transaction_reveals_by_transaction ON transaction_reveals (transaction_id);
