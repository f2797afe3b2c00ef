-- Version 11: wakeups of a kind are counted by their deadline. Those without one are not in the index.
CREATE INDEX wakeups_by_deadline ON wakeups (kind, deadline) WHERE deadline < 9223372036854775807;
