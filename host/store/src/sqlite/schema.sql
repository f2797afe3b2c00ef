-- The store of one relation-host in SQLite, version 1.
--
-- Times are milliseconds since the Unix epoch, UTC. Rows that stay small are stored in their primary key (WITHOUT
-- ROWID). A document may be large, so it has a rowid and small indexes beside it.

-- "RELN": the mark by which the database is known as ours, set together with its tables.
PRAGMA application_id = 1380273230;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. Epochs of leases and revisions of wakeups are drawn from it, so neither ever repeats.
CREATE TABLE sequence (
    value INTEGER NOT NULL
) STRICT;
INSERT INTO sequence VALUES (0);

CREATE TABLE documents (
    id        INTEGER PRIMARY KEY,
    model     TEXT NOT NULL,
    pkid      TEXT NOT NULL,
    hierarchy TEXT NOT NULL,
    version   INTEGER NOT NULL,
    body      TEXT NOT NULL,
    keys      TEXT NOT NULL
) STRICT;
-- The hierarchy is here only so that a walk in the order of pkids can look at it without the row.
CREATE UNIQUE INDEX documents_by_pkid ON documents (model, pkid, hierarchy);
CREATE INDEX documents_by_node ON documents (model, hierarchy, pkid);

CREATE TABLE document_keys (
    model TEXT NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    pkid  TEXT NOT NULL,
    PRIMARY KEY (model, name, value, pkid)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    model  TEXT NOT NULL,
    pkid   TEXT NOT NULL,
    name   TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (model, pkid, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE wakeups (
    model    TEXT NOT NULL,
    pkid     TEXT NOT NULL,
    id       TEXT NOT NULL,
    due      INTEGER NOT NULL,
    payload  TEXT NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (model, pkid, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wakeups_by_due ON wakeups (due, model, pkid, id);

-- A row is there only while its lease is held: the table is as large as the calls that run.
CREATE TABLE leases (
    model   TEXT NOT NULL,
    pkid    TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    holder  TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (model, pkid)
) STRICT, WITHOUT ROWID;

CREATE TABLE transactions (
    id               TEXT PRIMARY KEY,
    action           TEXT NOT NULL,
    subject_model    TEXT,
    subject_pkid     TEXT,
    subject_name     TEXT NOT NULL,
    status           TEXT NOT NULL,
    progress_done    INTEGER,
    progress_total   INTEGER,
    progress_message TEXT,
    message          TEXT NOT NULL,
    submitted        INTEGER NOT NULL,
    started          INTEGER NOT NULL,
    completed        INTEGER,
    holder           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX transactions_by_subject ON transactions (subject_model, subject_pkid, id)
    WHERE subject_pkid IS NOT NULL;
CREATE INDEX transactions_by_action ON transactions (action, id);
-- Most transactions succeed. So failed and running ones have indexes of their own, and a success costs
-- none.
CREATE INDEX transactions_running ON transactions (id) WHERE status = 'Processing';
CREATE INDEX transactions_failed ON transactions (id) WHERE status = 'Fail';

CREATE TABLE transaction_log (
    id             INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    at             INTEGER NOT NULL,
    level          TEXT NOT NULL,
    message        TEXT NOT NULL
) STRICT;
CREATE INDEX transaction_log_by_transaction ON transaction_log (transaction_id);

CREATE TABLE data_keys (
    id      INTEGER PRIMARY KEY,
    kek_id  TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;
