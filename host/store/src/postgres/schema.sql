-- The store of N relation-hosts in PostgreSQL, version 1.
--
-- Times are milliseconds since the Unix epoch, UTC. Texts compare byte by byte: pages, cursors and the range of a
-- subtree need that order, and a new version of the system's collations must not damage an index.

CREATE SCHEMA relation;

CREATE TABLE relation.meta (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Epochs of leases and revisions of wakeups are drawn from it. A rollback does not return a number, so neither ever
-- repeats. After a failover to a replica that is behind, numbers can repeat: leases are compared by holder too.
CREATE SEQUENCE relation.numbers;

CREATE TABLE relation.documents (
    model     text COLLATE "C" NOT NULL,
    pkid      text COLLATE "C" NOT NULL,
    hierarchy text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    body      text NOT NULL,
    -- JSON: [["name","value"],…]
    keys      text NOT NULL,
    PRIMARY KEY (model, pkid)
) WITH (fillfactor = 80);
CREATE INDEX documents_by_node ON relation.documents (model, hierarchy, pkid);

-- A value can be longer than an entry of an index. `digest` is the SHA-256 of the value.
CREATE TABLE relation.document_keys (
    model  text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    pkid   text COLLATE "C" NOT NULL,
    PRIMARY KEY (model, name, digest, pkid)
);

-- Listings that are sorted by a key. A document has one row for each node at or above its own; in one more row, a full
-- stop follows its own node: the range of the documents at exactly that node. `node` is empty in one more row: the range
-- of the whole model. `prefix` is the first 1024 bytes of the value, and `rest` the others. The few `long` values, those
-- with a rest, are apart, so that the index has the order of all the others.
CREATE TABLE relation.sorted_keys (
    model  text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    node   text COLLATE "C" NOT NULL,
    long   boolean NOT NULL,
    prefix bytea NOT NULL,
    pkid   text COLLATE "C" NOT NULL,
    rest   bytea NOT NULL,
    PRIMARY KEY (model, name, node, long, prefix, pkid)
);

CREATE TABLE relation.secrets (
    model          text COLLATE "C" NOT NULL,
    pkid           text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    sealed         bytea NOT NULL,
    quarantined    text,
    quarantined_at bigint,
    PRIMARY KEY (model, pkid, name)
) WITH (fillfactor = 80);
CREATE INDEX secrets_quarantined ON relation.secrets (model, pkid, name) WHERE quarantined IS NOT NULL;

-- A deadline of 9223372036854775807 is none, so that wakeups without one come last. `scheduled` is the time at which
-- the wakeup was scheduled; 0: unknown.
CREATE TABLE relation.wakeups (
    model     text COLLATE "C" NOT NULL,
    pkid      text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    due       bigint NOT NULL,
    deadline  bigint NOT NULL DEFAULT 9223372036854775807,
    payload   bytea NOT NULL,
    revision  bigint NOT NULL,
    attempts  integer NOT NULL,
    scheduled bigint NOT NULL DEFAULT 0,
    kind      text COLLATE "C" GENERATED ALWAYS AS (split_part(id, '.', 1)) STORED,
    PRIMARY KEY (model, pkid, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX wakeups_by_due ON relation.wakeups (due, model, pkid, id);
-- Wakeups of one kind by the hour in which they are due, and there by deadline.
CREATE INDEX wakeups_by_hour ON relation.wakeups (kind, (due / 3600000), deadline, due, model, pkid, id);

-- The row of a call that was interrupted has epoch 0, holder '' and expires 0. It stays until the next call on its
-- subject has ended. `expires` follows the clock of the option `clock`.
CREATE TABLE relation.leases (
    model   text COLLATE "C" NOT NULL,
    pkid    text COLLATE "C" NOT NULL,
    epoch   bigint NOT NULL,
    holder  text COLLATE "C" NOT NULL,
    expires bigint NOT NULL,
    began   bigint NOT NULL,
    PRIMARY KEY (model, pkid)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE relation.transactions (
    id               text COLLATE "C" PRIMARY KEY,
    action           text COLLATE "C" NOT NULL,
    subject_model    text COLLATE "C",
    subject_pkid     text COLLATE "C",
    subject_name     text NOT NULL,
    status           text COLLATE "C" NOT NULL,
    progress_done    bigint,
    progress_total   bigint,
    progress_message text,
    message          text NOT NULL,
    submitted        bigint NOT NULL,
    started          bigint NOT NULL,
    completed        bigint,
    holder           text COLLATE "C" NOT NULL,
    hierarchy        text COLLATE "C",
    originator       text,
    request          text COLLATE "C",
    more_reveals     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX transactions_by_subject ON relation.transactions (subject_model, subject_pkid, id)
    WHERE subject_pkid IS NOT NULL;
CREATE INDEX transactions_by_action ON relation.transactions (action, id);
CREATE INDEX transactions_running ON relation.transactions (id) WHERE status = 'Processing';
CREATE INDEX transactions_failed ON relation.transactions (id) WHERE status = 'Fail';
CREATE INDEX transactions_partly_failed ON relation.transactions (id) WHERE status = 'Success With Async Failures';
CREATE INDEX transactions_queued ON relation.transactions (id) WHERE status = 'Queued';

-- Listings of the transactions of a subtree, as in `sorted_keys`. A part of a transaction has none.
CREATE TABLE relation.transaction_nodes (
    node text COLLATE "C" NOT NULL,
    id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (node, id)
);

-- One row for each update: lines of the log and opened secrets, as JSON, one object per line.
CREATE TABLE relation.transaction_news (
    transaction_id text COLLATE "C" NOT NULL,
    number         bigint GENERATED ALWAYS AS IDENTITY,
    lines          text NOT NULL,
    reveals        text NOT NULL,
    PRIMARY KEY (transaction_id, number)
);

-- The writes of the last day, with their results. A host whose connection breaks before the answer learns here whether
-- its write was committed, and by inserting the same id prevents that it ever will be.
CREATE TABLE relation.writes (
    id     uuid PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    result text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX writes_by_time ON relation.writes (at);

-- The hosts that use this store. `seen` is a heartbeat by the database's clock; '-infinity' is the goodbye of a host that
-- has ended.
CREATE TABLE relation.holders (
    id      text COLLATE "C" PRIMARY KEY,
    name    text NOT NULL,
    version text NOT NULL,
    seen    timestamptz NOT NULL,
    -- Whether it begins due wakeups, which hosts share.
    dispatches boolean NOT NULL DEFAULT false
);

CREATE TABLE relation.data_keys (
    id      bigint PRIMARY KEY,
    kek_id  text NOT NULL,
    wrapped bytea NOT NULL,
    created bigint NOT NULL
);
