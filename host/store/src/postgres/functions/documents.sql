-- Documents with their search keys and their listings.
--
-- The callers of the functions that write have locked what a commit must lock. These functions lock the document too,
-- so that its keys and listings always fit it.

-- The digest by which a value of a key is found.
CREATE FUNCTION relation.digest(p_value text) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(p_value, 'UTF8'));

-- The nodes at which a document at this node is listed: `a`, `a.b` and `a.b.` for `a.b`.
CREATE FUNCTION relation.listing_nodes(p_node text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_part text;
    v_path text;
    v_nodes text[] := '{}';
BEGIN
    FOREACH v_part IN ARRAY string_to_array(p_node, '.') LOOP
        v_path := concat_ws('.', v_path, v_part);
        v_nodes := v_nodes || v_path;
    END LOOP;
    RETURN v_nodes || (p_node || '.');
END
$$;

-- The keys by which documents of a model can be listed: SORT_KEYS.
CREATE FUNCTION relation.sort_keys(p_model text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_model
    WHEN 'data/SparkCustomer' THEN ARRAY['name', 'urgency']
    WHEN 'data/Alert' THEN ARRAY['severity']
    WHEN 'host/NoticeDelivery' THEN ARRAY['created']
    ELSE ARRAY[]::text[]
END;

-- Returns the entries that a document with these keys (JSON) has in the index of keys.
CREATE FUNCTION relation.key_entries(p_keys text) RETURNS TABLE (name text, digest bytea)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.pair OPERATOR(pg_catalog.->>) 0, relation.digest(e.pair OPERATOR(pg_catalog.->>) 1)
    FROM pg_catalog.json_array_elements(p_keys::json) AS e (pair);
END;

-- Updates the index of keys. Each list of keys (JSON) may be NULL: the document does not exist before, or after.
CREATE FUNCTION relation.update_keys(p_model text, p_pkid text, p_old text, p_new text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_gone record;
BEGIN
    -- One by one, so that each is found by the primary key, whatever the statistics say.
    FOR v_gone IN SELECT * FROM relation.key_entries(p_old) EXCEPT SELECT * FROM relation.key_entries(p_new) LOOP
        DELETE FROM relation.document_keys AS k
        WHERE k.model = p_model AND k.name = v_gone.name AND k.digest = v_gone.digest AND k.pkid = p_pkid;
    END LOOP;
    INSERT INTO relation.document_keys (model, name, digest, pkid)
    SELECT p_model, a.name, a.digest, p_pkid
    FROM (SELECT * FROM relation.key_entries(p_new) EXCEPT SELECT * FROM relation.key_entries(p_old)) AS a;
END
$$;

-- Returns the entries that a document at this node with these keys (JSON) has in the index of sorted listings.
CREATE FUNCTION relation.sorted_entries(p_model text, p_node text, p_keys text)
RETURNS TABLE (name text, node text, long boolean, prefix bytea, rest bytea)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT v.name, n.node, pg_catalog.length(v.value) > 1024,
        pg_catalog.substring(v.value, 1, 1024), pg_catalog.substring(v.value, 1025)
    FROM (
        SELECT e.pair OPERATOR(pg_catalog.->>) 0, pg_catalog.convert_to(e.pair OPERATOR(pg_catalog.->>) 1, 'UTF8')
        FROM pg_catalog.json_array_elements(p_keys::json) AS e (pair)
    ) AS v (name, value), pg_catalog.unnest(relation.listing_nodes(p_node) || ''::text) AS n (node)
    WHERE v.name = ANY (relation.sort_keys(p_model));
END;

-- Updates the index of sorted listings. Each node may be NULL: the document does not exist before, or after.
CREATE FUNCTION relation.update_listings(
    p_model text, p_pkid text, p_old_node text, p_old text, p_new_node text, p_new text
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_gone record;
BEGIN
    FOR v_gone IN SELECT * FROM relation.sorted_entries(p_model, p_old_node, p_old)
        EXCEPT SELECT * FROM relation.sorted_entries(p_model, p_new_node, p_new) LOOP
        DELETE FROM relation.sorted_keys AS s
        WHERE s.model = p_model AND s.name = v_gone.name AND s.node = v_gone.node AND s.long = v_gone.long
            AND s.prefix = v_gone.prefix AND s.pkid = p_pkid;
    END LOOP;
    INSERT INTO relation.sorted_keys (model, name, node, long, prefix, rest, pkid)
    SELECT p_model, a.name, a.node, a.long, a.prefix, a.rest, p_pkid
    FROM (SELECT * FROM relation.sorted_entries(p_model, p_new_node, p_new)
        EXCEPT SELECT * FROM relation.sorted_entries(p_model, p_old_node, p_old)) AS a;
END
$$;

-- Creates or replaces a document. Returns whether it was created, so that the caller of a concurrent creation can
-- refuse it. A document whose node and keys stay the same, which is the usual change, is one update.
CREATE FUNCTION relation.put_document(
    p_model text, p_pkid text, p_hierarchy text, p_body text, p_keys text
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_node text;
    v_keys text;
    v_created boolean := false;
BEGIN
    UPDATE relation.documents AS d SET version = d.version + 1, body = p_body
    WHERE d.model = p_model AND d.pkid = p_pkid AND d.hierarchy = p_hierarchy AND d.keys = p_keys;
    IF FOUND THEN
        RETURN false;
    END IF;
    LOOP
        SELECT d.hierarchy, d.keys INTO v_node, v_keys FROM relation.documents AS d
        WHERE d.model = p_model AND d.pkid = p_pkid FOR NO KEY UPDATE;
        IF FOUND THEN
            UPDATE relation.documents AS d
            SET version = d.version + 1, body = p_body, hierarchy = p_hierarchy, keys = p_keys
            WHERE d.model = p_model AND d.pkid = p_pkid;
            EXIT;
        END IF;
        INSERT INTO relation.documents (model, pkid, hierarchy, version, body, keys)
        VALUES (p_model, p_pkid, p_hierarchy, 1, p_body, p_keys)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            v_created := true;
            EXIT;
        END IF;
        -- A concurrent commit has created it: this one replaces it.
    END LOOP;
    IF v_keys IS DISTINCT FROM p_keys THEN
        PERFORM relation.update_keys(p_model, p_pkid, v_keys, p_keys);
    END IF;
    IF relation.sort_keys(p_model) <> '{}' THEN
        PERFORM relation.update_listings(p_model, p_pkid, v_node, v_keys, p_hierarchy, p_keys);
    END IF;
    RETURN v_created;
END
$$;

-- Deletes a document with everything that belongs to it.
CREATE FUNCTION relation.delete_document(p_model text, p_pkid text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_node text;
    v_keys text;
BEGIN
    DELETE FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = p_pkid
    RETURNING d.hierarchy, d.keys INTO v_node, v_keys;
    IF FOUND THEN
        PERFORM relation.update_keys(p_model, p_pkid, v_keys, NULL);
        IF relation.sort_keys(p_model) <> '{}' THEN
            PERFORM relation.update_listings(p_model, p_pkid, v_node, v_keys, NULL, NULL);
        END IF;
    END IF;
    DELETE FROM relation.secrets AS s WHERE s.model = p_model AND s.pkid = p_pkid;
    DELETE FROM relation.wakeups AS w WHERE w.model = p_model AND w.pkid = p_pkid;
    DELETE FROM relation.leases AS l WHERE l.model = p_model AND l.pkid = p_pkid AND l.epoch = 0;
END
$$;

-- Returns the pkid of a matching document other than `p_except`; NULL when there is none. `p_node` is NULL for
-- anywhere.
CREATE FUNCTION relation.find_other(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[], p_except text
) RETURNS text
LANGUAGE sql VOLATILE
RETURN (
    SELECT u.pkid
    FROM pg_catalog.unnest(
        relation.find_pkids_v1(p_model, p_node, p_subtree, p_names, p_values, '', false, 2)) AS u (pkid)
    WHERE u.pkid IS DISTINCT FROM p_except LIMIT 1
);
