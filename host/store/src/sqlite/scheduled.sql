-- Version 5: a wakeup tells when it was scheduled. A wakeup scheduled while the clock was ahead is thus recognized once
-- the clock is right again. 0: unknown.
ALTER TABLE wakeups ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
