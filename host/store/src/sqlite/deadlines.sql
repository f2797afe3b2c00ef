-- Version 3: among many due wakeups, the earliest deadline goes first, and a call that was cut off is
-- remembered.

-- None is the largest number, so that wakeups without a deadline come last. `ripe` marks those that
-- were found due while many were (see `due`); the index has no others, so at other times it costs
-- nothing.
ALTER TABLE wakeups ADD COLUMN deadline INTEGER NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE wakeups ADD COLUMN ripe INTEGER NOT NULL DEFAULT 0;
ALTER TABLE wakeups ADD COLUMN kind TEXT NOT NULL
    GENERATED ALWAYS AS (substr(id, 1, instr(id || '.', '.') - 1)) VIRTUAL;
CREATE INDEX wakeups_ripe ON wakeups (kind, deadline, due, model, pkid, id) WHERE ripe = 1;

-- One row. Exactly the wakeups that are due at or before this moment are ripe.
CREATE TABLE ripening (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    until INTEGER NOT NULL
) STRICT;
INSERT INTO ripening VALUES (1, -1);

-- When the call began. A call that was cut off leaves its row until the next call on its subject has ended. Once that
-- is known, its epoch is 0 and its holder empty. Earlier versions had a lease of 65 seconds unless it was configured
-- otherwise.
ALTER TABLE leases ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
UPDATE leases SET began = MAX(expires - 65000, 0);
