-- Searches for documents by model, node and keys.
--
-- Each condition except a subtree is a range of an index that is ordered by pkid: a source. The smallest source is read,
-- and the other conditions are looked up for each of its documents. A subtree is not such a range: a small one is listed
-- and sorted; otherwise it is a condition on the documents of another source.
--
-- These functions are STABLE: all steps of a search see the same documents. Their plans depend neither on the values
-- searched for nor on statistics, they always follow an index: so say the settings of the functions that begin a search.
--
-- Parameters that the functions share: `p_node` is NULL for anywhere; `p_subtree` includes the nodes below. `p_from` is
-- the bound: an ascending search takes the pkids from it on, a descending one those before it.

-- Returns the first pkids of a source: the documents with a key, at exactly a node, or, without both, of a model.
CREATE FUNCTION relation.scan_pkids(
    p_model text, p_name text, p_digest bytea, p_node text, p_from text, p_descending boolean, p_rows bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF p_name IS NOT NULL AND p_descending THEN
        RETURN ARRAY(
            SELECT k.pkid FROM relation.document_keys AS k
            WHERE k.model = p_model AND k.name = p_name AND k.digest = p_digest AND k.pkid < p_from
            ORDER BY k.pkid DESC LIMIT p_rows);
    ELSIF p_name IS NOT NULL THEN
        RETURN ARRAY(
            SELECT k.pkid FROM relation.document_keys AS k
            WHERE k.model = p_model AND k.name = p_name AND k.digest = p_digest AND k.pkid >= p_from
            ORDER BY k.pkid LIMIT p_rows);
    ELSIF p_node IS NOT NULL AND p_descending THEN
        RETURN ARRAY(
            SELECT d.pkid FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy = p_node AND d.pkid < p_from
            ORDER BY d.pkid DESC LIMIT p_rows);
    ELSIF p_node IS NOT NULL THEN
        RETURN ARRAY(
            SELECT d.pkid FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy = p_node AND d.pkid >= p_from
            ORDER BY d.pkid LIMIT p_rows);
    ELSIF p_descending THEN
        RETURN ARRAY(
            SELECT d.pkid FROM relation.documents AS d WHERE d.model = p_model AND d.pkid < p_from
            ORDER BY d.pkid DESC LIMIT p_rows);
    ELSE
        RETURN ARRAY(
            SELECT d.pkid FROM relation.documents AS d WHERE d.model = p_model AND d.pkid >= p_from
            ORDER BY d.pkid LIMIT p_rows);
    END IF;
END
$$;

-- Returns the pkids within the bound of all documents in a subtree, in order; NULL when there are more than `p_most`,
-- whether or not within the bound.
CREATE FUNCTION relation.list_subtree(
    p_model text, p_node text, p_from text, p_descending boolean, p_most bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_pkids text[];
BEGIN
    v_pkids := ARRAY(
        (SELECT d.pkid FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy = p_node
            LIMIT p_most + 1)
        UNION ALL
        (SELECT d.pkid FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy >= p_node || '.' AND d.hierarchy < p_node || '/'
            LIMIT p_most + 1));
    IF cardinality(v_pkids) > p_most THEN
        RETURN NULL;
    ELSIF p_descending THEN
        RETURN ARRAY(SELECT u.pkid FROM unnest(v_pkids) AS u (pkid)
            WHERE u.pkid COLLATE "C" < p_from ORDER BY u.pkid COLLATE "C" DESC);
    ELSE
        RETURN ARRAY(SELECT u.pkid FROM unnest(v_pkids) AS u (pkid)
            WHERE u.pkid COLLATE "C" >= p_from ORDER BY u.pkid COLLATE "C");
    END IF;
END
$$;

-- Returns those of the pkids, in their order, that are at the place and have all keys.
CREATE FUNCTION relation.filter_pkids(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_digests bytea[], p_pkids text[]
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT c.pkid FROM unnest(p_pkids) WITH ORDINALITY AS c (pkid, number)
        WHERE (p_node IS NULL OR (
            SELECT d.hierarchy = p_node OR p_subtree AND starts_with(d.hierarchy, p_node || '.')
            FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = c.pkid))
        AND (SELECT count(k.pkid) FROM unnest(p_names, p_digests) AS f (name, digest)
            LEFT JOIN relation.document_keys AS k
            ON k.model = p_model AND k.name = f.name AND k.digest = f.digest AND k.pkid = c.pkid
            ) = cardinality(p_names)
        ORDER BY c.number);
END
$$;

-- Returns whether a model has documents outside of a subtree.
CREATE FUNCTION relation.is_elsewhere(p_model text, p_node text) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM relation.documents AS d WHERE d.model = p_model AND d.hierarchy < p_node)
        OR EXISTS (SELECT FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy > p_node AND d.hierarchy < p_node || '.')
        OR EXISTS (SELECT FROM relation.documents AS d
            WHERE d.model = p_model AND d.hierarchy >= p_node || '/');
END
$$;

-- Returns the pkids of the first `p_want` matching documents, in order.
CREATE FUNCTION relation.find_pkids_v1(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[],
    p_from text, p_descending boolean, p_want bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- A source with at most that many documents is read as a whole: first of all, or when a walk did not fill the page.
    c_few CONSTANT bigint := 64;
    c_many CONSTANT bigint := 20000;
    v_digests bytea[] := ARRAY(SELECT relation.digest(v) FROM unnest(p_values) WITH ORDINALITY AS u (v, n) ORDER BY n);
    -- A source is a key by its position; the node is 0, and the model is -1.
    v_sources integer[] := ARRAY(SELECT generate_series(1, cardinality(p_names)));
    v_node text := p_node;
    v_from text := p_from;
    v_chunk bigint := least(p_want, 25000) * 4 + 64;
    v_most bigint;
    v_source integer;
    v_pkids text[];
    v_least text[];
    v_found text[] := '{}';
    v_step integer;
    v_walks integer;
BEGIN
    IF p_subtree AND NOT relation.is_elsewhere(p_model, p_node) THEN
        v_node := NULL;
    END IF;
    IF v_node IS NOT NULL AND NOT p_subtree THEN
        v_sources := v_sources || 0;
    END IF;
    IF v_sources = '{}' THEN
        v_sources := '{-1}';
    END IF;
    v_source := v_sources[1];
    IF cardinality(v_sources) = 1 AND (v_node IS NULL OR NOT p_subtree) THEN
        RETURN relation.scan_pkids(
            p_model, p_names[v_source], v_digests[v_source], CASE WHEN v_source = 0 THEN p_node END,
            p_from, p_descending, p_want);
    END IF;
    FOREACH v_most IN ARRAY ARRAY[c_few, c_many] LOOP
        v_least := NULL;
        IF v_node IS NOT NULL AND p_subtree THEN
            v_least := relation.list_subtree(p_model, v_node, v_from, p_descending, v_most);
        END IF;
        IF v_sources <> '{-1}' THEN
            FOREACH v_step IN ARRAY v_sources LOOP
                v_pkids := relation.scan_pkids(
                    p_model, p_names[v_step], v_digests[v_step], p_node, v_from, p_descending, v_most + 1);
                IF cardinality(v_pkids) <= coalesce(cardinality(v_least), v_most) THEN
                    v_least := v_pkids;
                END IF;
            END LOOP;
        END IF;
        IF v_least IS NOT NULL THEN
            FOR v_step IN 0 .. cardinality(v_least) - 1 BY v_chunk LOOP
                v_found := v_found || relation.filter_pkids(
                    p_model, v_node, p_subtree, p_names, v_digests, v_least[v_step + 1 : v_step + v_chunk]);
                EXIT WHEN cardinality(v_found) >= p_want;
            END LOOP;
            RETURN v_found[1 : p_want];
        END IF;
        -- A walk over the first source: one step of it, and after the second look all of it.
        v_walks := 0;
        WHILE v_walks = 0 OR v_most = c_many LOOP
            v_walks := v_walks + 1;
            v_pkids := relation.scan_pkids(
                p_model, p_names[v_source], v_digests[v_source], CASE WHEN v_source = 0 THEN p_node END,
                v_from, p_descending, v_chunk);
            v_found := v_found || relation.filter_pkids(
                p_model, v_node, p_subtree, p_names, v_digests, v_pkids);
            IF cardinality(v_found) >= p_want OR cardinality(v_pkids) < v_chunk THEN
                RETURN v_found[1 : p_want];
            END IF;
            v_from := v_pkids[v_chunk] || CASE WHEN p_descending THEN '' ELSE '!' END;
        END LOOP;
    END LOOP;
END
$$;
