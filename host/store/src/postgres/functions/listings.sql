-- Pages of documents, sorted by pkid or by a key, and counts.
--
-- A sorted page of a subtree, like that of a whole model, is one range of the index `sorted_keys`. A filter by other
-- keys is a condition on the walk over that range; few matches are read and sorted instead. The settings are those of
-- searches.

-- Returns the first rows after a position of a sorted listing, in order. `p_value` is NULL for the start.
CREATE FUNCTION relation.scan_sorted(
    p_model text, p_name text, p_node text, p_value bytea, p_pkid text, p_descending boolean, p_rows bigint
) RETURNS TABLE (value bytea, pkid text)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    -- No text has the byte 255, and no pkid begins with a tilde.
    v_value bytea := coalesce(p_value, CASE WHEN p_descending THEN '\xff'::bytea ELSE ''::bytea END);
    v_prefix bytea := substring(v_value FROM 1 FOR 1024);
    v_rest bytea := substring(v_value FROM 1025);
    v_pkid text := coalesce(p_pkid, '');
    -- A value of 1024 bytes comes before all longer ones that begin with it.
    v_short text := CASE WHEN v_rest = '' THEN v_pkid ELSE '~' END;
BEGIN
    IF p_descending THEN
        RETURN QUERY SELECT r.prefix || r.rest, r.pkid FROM (
            (SELECT s.prefix, s.rest, s.pkid FROM relation.sorted_keys AS s
                WHERE s.model = p_model AND s.name = p_name AND s.node = p_node AND NOT s.long
                    AND (s.prefix, s.pkid) < (v_prefix, v_short)
                ORDER BY s.prefix DESC, s.pkid DESC LIMIT p_rows)
            UNION ALL
            (SELECT s.prefix, s.rest, s.pkid FROM relation.sorted_keys AS s
                WHERE s.model = p_model AND s.name = p_name AND s.node = p_node AND s.long
                    AND s.prefix <= v_prefix AND (s.prefix, s.rest, s.pkid) < (v_prefix, v_rest, v_pkid)
                ORDER BY s.prefix DESC, s.rest DESC, s.pkid DESC LIMIT p_rows)
        ) AS r ORDER BY r.prefix DESC, r.rest DESC, r.pkid DESC LIMIT p_rows;
    ELSE
        RETURN QUERY SELECT r.prefix || r.rest, r.pkid FROM (
            (SELECT s.prefix, s.rest, s.pkid FROM relation.sorted_keys AS s
                WHERE s.model = p_model AND s.name = p_name AND s.node = p_node AND NOT s.long
                    AND (s.prefix, s.pkid) > (v_prefix, v_short)
                ORDER BY s.prefix, s.pkid LIMIT p_rows)
            UNION ALL
            (SELECT s.prefix, s.rest, s.pkid FROM relation.sorted_keys AS s
                WHERE s.model = p_model AND s.name = p_name AND s.node = p_node AND s.long
                    AND s.prefix >= v_prefix AND (s.prefix, s.rest, s.pkid) > (v_prefix, v_rest, v_pkid)
                ORDER BY s.prefix, s.rest, s.pkid LIMIT p_rows)
        ) AS r ORDER BY r.prefix, r.rest, r.pkid LIMIT p_rows;
    END IF;
END
$$;

-- Sorts documents by the value that they have for a key, and returns the first ones after a position. A document
-- without the key is left out.
CREATE FUNCTION relation.sort_pkids(
    p_model text, p_name text, p_pkids text[], p_value bytea, p_pkid text, p_descending boolean, p_want bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_pkids text[];
BEGIN
    SELECT array_agg(r.pkid ORDER BY r.value, r.pkid) INTO v_pkids
    FROM (
        SELECT d.pkid, convert_to(e.pair ->> 1, 'UTF8') AS value
        FROM unnest(p_pkids) AS u (pkid),
            LATERAL (
                SELECT d.pkid, d.keys FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = u.pkid OFFSET 0
            ) AS d,
            json_array_elements(d.keys::json) AS e (pair)
        WHERE e.pair ->> 0 = p_name
    ) AS r
    WHERE CASE WHEN p_value IS NULL THEN true
        WHEN p_descending THEN (r.value, r.pkid) < (p_value, p_pkid)
        ELSE (r.value, r.pkid) > (p_value, p_pkid) END;
    IF p_descending THEN
        v_pkids := ARRAY(SELECT u.pkid FROM unnest(v_pkids) WITH ORDINALITY AS u (pkid, number) ORDER BY u.number DESC);
    END IF;
    RETURN coalesce(v_pkids[1 : p_want], '{}');
END
$$;

-- Returns the pkids of the first `p_want` matching documents after a position, in the order of a key.
--
-- If there are at most 64 matches, all of them are read and sorted. If there are more, two steps of a walk fill the
-- page when many of the documents match. If they do not, up to 5000 matches are read and sorted. Above that, the walk
-- goes on.
CREATE FUNCTION relation.find_sorted(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[],
    p_sort text, p_value bytea, p_pkid text, p_descending boolean, p_want bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    -- The steps: the number of matches that are sorted, or NULL for a walk.
    c_steps CONSTANT bigint[] := ARRAY[64, NULL, NULL, 5000];
    v_digests bytea[] := ARRAY(SELECT relation.digest(v) FROM unnest(p_values) WITH ORDINALITY AS u (v, n) ORDER BY n);
    v_listing text := CASE WHEN p_node IS NULL THEN '' WHEN p_subtree THEN p_node ELSE p_node || '.' END;
    v_value bytea := p_value;
    v_pkid text := p_pkid;
    -- The first rows fill the page if nearly all documents match.
    v_chunk bigint := least(p_want, 25000) + 16;
    v_step integer := 0;
    v_values bytea[];
    v_pkids text[];
    v_found text[] := '{}';
BEGIN
    IF p_names = '{}' THEN
        RETURN ARRAY(SELECT r.pkid FROM relation.scan_sorted(
            p_model, p_sort, v_listing, p_value, p_pkid, p_descending, p_want) AS r);
    END IF;
    LOOP
        v_step := v_step + 1;
        IF c_steps[v_step] IS NULL THEN
            SELECT coalesce(array_agg(r.value), '{}'), coalesce(array_agg(r.pkid), '{}') INTO v_values, v_pkids
            FROM relation.scan_sorted(p_model, p_sort, v_listing, v_value, v_pkid, p_descending, v_chunk) AS r;
            v_found := v_found || relation.filter_pkids(p_model, NULL, false, p_names, v_digests, v_pkids);
            IF cardinality(v_found) >= p_want OR cardinality(v_pkids) < v_chunk THEN
                RETURN v_found[1 : p_want];
            END IF;
            v_value := v_values[v_chunk];
            v_pkid := v_pkids[v_chunk];
            v_chunk := least(p_want, 25000) * 4 + 64;
            CONTINUE;
        END IF;
        v_pkids := relation.find_pkids_v1(
            p_model, p_node, p_subtree, p_names, p_values, '', false, c_steps[v_step] + 1);
        IF cardinality(v_pkids) <= c_steps[v_step] THEN
            RETURN v_found || relation.sort_pkids(
                p_model, p_sort, v_pkids, v_value, v_pkid, p_descending, p_want - cardinality(v_found));
        END IF;
    END LOOP;
END
$$;

-- Returns a page of documents, in the order of the key `p_sort`, or of pkids. The position after which it begins is
-- NULL for the start. If there are more documents, it has one more row without a body.
CREATE FUNCTION relation.list_documents_v1(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[],
    p_sort text, p_value text, p_pkid text, p_descending boolean, p_limit bigint
) RETURNS TABLE (pkid text, hierarchy text, version bigint, body text, keys text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_pkids text[];
BEGIN
    -- Matches that all have the same value are in the order of pkids.
    IF p_sort IS NULL OR p_sort = ANY (p_names) THEN
        v_pkids := relation.find_pkids_v1(p_model, p_node, p_subtree, p_names, p_values,
            CASE WHEN p_descending THEN coalesce(p_pkid, '~') ELSE coalesce(p_pkid || '!', '') END,
            p_descending, p_limit + 1);
    ELSE
        v_pkids := relation.find_sorted(p_model, p_node, p_subtree, p_names, p_values,
            p_sort, convert_to(p_value, 'UTF8'), p_pkid, p_descending, p_limit + 1);
    END IF;
    RETURN QUERY
    SELECT d.pkid, d.hierarchy, d.version, CASE WHEN u.number <= p_limit THEN d.body END, d.keys
    FROM unnest(v_pkids) WITH ORDINALITY AS u (pkid, number),
        LATERAL (SELECT d.* FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = u.pkid OFFSET 0) AS d
    ORDER BY u.number;
END
$$;

-- Counts the matching documents up to `p_most`.
CREATE FUNCTION relation.count_documents_v1(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[], p_most bigint
) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_node text := p_node;
    v_name text := p_names[1];
    v_digest bytea := relation.digest(p_values[1]);
    v_counted bigint;
    v_pkids text[];
    v_from text := '';
    v_step bigint;
BEGIN
    IF p_subtree AND NOT relation.is_elsewhere(p_model, p_node) THEN
        v_node := NULL;
    END IF;
    IF v_node IS NULL AND p_names = '{}' THEN
        SELECT count(*) INTO v_counted FROM (
            SELECT FROM relation.documents AS d WHERE d.model = p_model LIMIT p_most) AS r;
        RETURN v_counted;
    ELSIF v_node IS NULL AND cardinality(p_names) = 1 THEN
        SELECT count(*) INTO v_counted FROM (
            SELECT FROM relation.document_keys AS k
            WHERE k.model = p_model AND k.name = v_name AND k.digest = v_digest LIMIT p_most) AS r;
        RETURN v_counted;
    ELSIF p_names = '{}' THEN
        SELECT count(*) INTO v_counted FROM (
            (SELECT FROM relation.documents AS d WHERE d.model = p_model AND d.hierarchy = v_node LIMIT p_most)
            UNION ALL
            (SELECT FROM relation.documents AS d
                WHERE p_subtree AND d.model = p_model AND d.hierarchy >= v_node || '.' AND d.hierarchy < v_node || '/'
                LIMIT p_most)) AS r;
        RETURN least(v_counted, p_most);
    END IF;
    v_counted := 0;
    WHILE v_counted < p_most LOOP
        v_step := least(p_most - v_counted, 10000);
        v_pkids := relation.find_pkids_v1(p_model, p_node, p_subtree, p_names, p_values, v_from, false, v_step);
        v_counted := v_counted + cardinality(v_pkids);
        EXIT WHEN cardinality(v_pkids) < v_step;
        v_from := v_pkids[v_step] || '!';
    END LOOP;
    RETURN v_counted;
END
$$;
