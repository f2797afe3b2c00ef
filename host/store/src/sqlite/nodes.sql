-- Version 9: the node of a transaction, and who asked for it as JSON.
ALTER TABLE transactions ADD COLUMN hierarchy TEXT;
ALTER TABLE transactions ADD COLUMN originator TEXT;

UPDATE transactions SET hierarchy = (
    SELECT d.hierarchy FROM documents d
    WHERE d.model = transactions.subject_model AND d.pkid = transactions.subject_pkid
);

-- Listings of the transactions of a subtree, the newest first. A transaction has one row for each node at or above its
-- own, and one more for exactly its own. So has a document in `sorted_keys`. A part of a transaction has none.
CREATE TABLE transaction_nodes (
    node TEXT NOT NULL,
    id   TEXT NOT NULL,
    PRIMARY KEY (node, id)
) STRICT, WITHOUT ROWID;

WITH RECURSIVE nodes (id, path, node, rest) AS (
    SELECT id, hierarchy, NULL, hierarchy || '..' FROM transactions
        WHERE hierarchy IS NOT NULL AND instr(id, '.') = 0
    UNION ALL
    SELECT id, path,
        substr(path || '..', 1, length(path) + 1 - length(rest) + instr(rest, '.')),
        substr(rest, instr(rest, '.') + 1)
        FROM nodes WHERE rest <> ''
)
INSERT INTO transaction_nodes (node, id) SELECT node, id FROM nodes WHERE node IS NOT NULL;
