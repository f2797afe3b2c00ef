-- Version 7: customers are listed by urgency too, and found by the state of any of their grants; alerts are listed by
-- severity. A record of an older release has one key `state`; until its next change, other grants are ignored, and
-- letters beyond ASCII keep their case in `urgency`.
CREATE TEMP TABLE records AS
    SELECT d.id, d.model, d.pkid, d.hierarchy, json_extract(s.value, '$[1]') AS state,
        (SELECT json_extract(n.value, '$[1]') FROM json_each(d.keys) n
            WHERE json_extract(n.value, '$[0]') = 'name') AS customer
        FROM documents d, json_each(d.keys) s
        WHERE d.model = 'data/SparkCustomer' AND json_extract(s.value, '$[0]') = 'state';

CREATE TEMP TABLE added AS
    SELECT id, model, pkid, hierarchy, 'state.' || state AS name, 'yes' AS value FROM records
    UNION ALL
    SELECT id, model, pkid, hierarchy, 'urgency',
        CASE state
            WHEN 'expired' THEN '0'
            WHEN 'reauthorize' THEN '1'
            WHEN 'expiring' THEN '2'
            WHEN 'missing-scope' THEN '3'
            WHEN 'not-connected' THEN '4'
            WHEN 'retrying' THEN '5'
            ELSE '6'
        END || ' ' || lower(COALESCE(customer, ''))
        FROM records
    UNION ALL
    SELECT id, model, pkid, hierarchy, 'severity',
        CASE json_extract(body, '$.severity')
            WHEN 'critical' THEN '0 critical'
            WHEN 'major' THEN '1 major'
            WHEN 'minor' THEN '2 minor'
            ELSE '3 info'
        END
        FROM documents WHERE model = 'data/Alert' AND json_valid(body);
CREATE INDEX temp.added_by_id ON added (id);

UPDATE documents SET keys = (
        SELECT json_group_array(json(pair)) FROM (
            SELECT k.value AS pair FROM json_each(documents.keys) k
                WHERE documents.model <> 'data/SparkCustomer' OR json_extract(k.value, '$[0]') <> 'state'
            UNION ALL
            SELECT json_array(a.name, a.value) FROM added a WHERE a.id = documents.id
        )
    )
    WHERE id IN (SELECT id FROM added);

DELETE FROM document_keys WHERE model = 'data/SparkCustomer' AND name = 'state';
INSERT INTO document_keys (model, name, value, pkid) SELECT model, name, value, pkid FROM added;

-- As in version 6.
WITH RECURSIVE nodes (model, name, value, pkid, path, node, rest) AS (
    SELECT model, name, value, pkid, hierarchy, NULL, hierarchy || '..' FROM added
        WHERE name IN ('urgency', 'severity')
    UNION ALL
    SELECT model, name, value, pkid, path,
        substr(path || '..', 1, length(path) + 1 - length(rest) + instr(rest, '.')),
        substr(rest, instr(rest, '.') + 1)
        FROM nodes WHERE rest <> ''
)
INSERT INTO sorted_keys (model, name, node, value, pkid)
    SELECT model, name, node, value, pkid FROM nodes WHERE node IS NOT NULL;

DROP TABLE records;
DROP TABLE added;
