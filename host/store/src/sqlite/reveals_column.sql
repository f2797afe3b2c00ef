-- Version 8: the secrets that a call has opened are a column of its transaction, one JSON object per line. As rows of
-- a table with an index, they were a fifth of the pages that a refresh writes.
ALTER TABLE transactions ADD COLUMN reveals TEXT NOT NULL DEFAULT '';

UPDATE transactions SET reveals = (
        SELECT group_concat(line, '') FROM (
            SELECT json_object(
                'at', r.at,
                'owner', CASE WHEN r.owner_model IS NULL THEN NULL
                    ELSE json_object('model', r.owner_model, 'pkid', r.owner_pkid) END,
                'name', r.name,
                'outcome', r.outcome
            ) || char(10) AS line
            FROM transaction_reveals r WHERE r.transaction_id = transactions.id ORDER BY r.id
        )
    )
    WHERE id IN (SELECT transaction_id FROM transaction_reveals);

DROP TABLE transaction_reveals;
