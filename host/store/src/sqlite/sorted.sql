-- Version 6: listings of customers that are sorted by name. A document has one row for each node at or above its own. A
-- page of any subtree is one range of the primary key. In one more row, a full stop follows its own node: the range of
-- the documents at exactly that node.
CREATE TABLE sorted_keys (
    model TEXT NOT NULL,
    name  TEXT NOT NULL,
    node  TEXT NOT NULL,
    value TEXT NOT NULL,
    pkid  TEXT NOT NULL,
    PRIMARY KEY (model, name, node, value, pkid)
) STRICT, WITHOUT ROWID;

-- The nodes of `a.b` are `a`, `a.b` and `a.b.`: the text `a.b..` up to each of its full stops.
WITH RECURSIVE nodes (model, name, value, pkid, path, node, rest) AS (
    SELECT k.model, k.name, k.value, k.pkid, d.hierarchy, NULL, d.hierarchy || '..'
        FROM document_keys k JOIN documents d ON d.model = k.model AND d.pkid = k.pkid
        WHERE k.model = 'data/SparkCustomer' AND k.name = 'name'
    UNION ALL
    SELECT model, name, value, pkid, path,
        substr(path || '..', 1, length(path) + 1 - length(rest) + instr(rest, '.')),
        substr(rest, instr(rest, '.') + 1)
        FROM nodes WHERE rest <> ''
)
INSERT INTO sorted_keys (model, name, node, value, pkid)
    SELECT model, name, node, value, pkid FROM nodes WHERE node IS NOT NULL;
