-- The removal of old transactions.

-- Removes ended transactions with their logs, requests and callbacks; returns their number. `p_callbacks` are the primary
-- keys of the documents that can be their callbacks.
CREATE FUNCTION relation.prune_v1(p_write uuid, p_ids text[], p_request_model text, p_callback_model text,
    p_callbacks text[])
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_model text;
    v_pkid text;
    v_removed bigint;
BEGIN
    -- Documents in ascending order, then the rest, as in commits.
    FOR v_model, v_pkid IN
        SELECT b.model, b.pkid FROM (
            SELECT p_request_model AS model, t.request AS pkid FROM relation.transactions t
                WHERE t.id = ANY (p_ids) AND t.request IS NOT NULL
            UNION
            SELECT p_callback_model, c.pkid FROM unnest(p_callbacks) c (pkid)
        ) b
        WHERE EXISTS (SELECT FROM relation.documents d WHERE d.model = b.model AND d.pkid = b.pkid)
        ORDER BY b.model COLLATE "C", b.pkid COLLATE "C"
    LOOP
        PERFORM relation.delete_document(v_model, v_pkid);
    END LOOP;
    DELETE FROM relation.transaction_nodes n
        USING relation.transactions t CROSS JOIN LATERAL unnest(relation.listing_nodes(t.hierarchy)) l (node)
        WHERE t.id = ANY (p_ids) AND t.hierarchy IS NOT NULL AND n.node = l.node AND n.id = t.id;
    DELETE FROM relation.transaction_news n WHERE n.transaction_id = ANY (p_ids);
    WITH ended AS MATERIALIZED (
        SELECT t.id FROM relation.transactions t WHERE t.id = ANY (p_ids) ORDER BY t.id FOR UPDATE
    ),
    removed AS (
        DELETE FROM relation.transactions t USING ended e WHERE t.id = e.id RETURNING t.id
    )
    SELECT count(*) INTO v_removed FROM removed;
    RETURN relation.wrote_v1(p_write, v_removed::text);
END $$;
