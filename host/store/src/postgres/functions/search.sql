-- Searches for documents by model, node and keys.
--
-- Each condition except a subtree is a range of an index that is ordered by pkid: a source. The smallest source is
-- read, and the other conditions are looked up for each of its documents. A subtree is not such a range: a small one
-- is listed and sorted; otherwise it is a condition on the documents of another source.
--
-- These functions are STABLE: all steps of a search see the same documents. Their plans depend neither on the values
-- searched for nor on statistics, they always follow an index: so say the settings of the functions that begin a
-- search. `OFFSET 0` lets the planner look up each row, instead of joining tables in another order.
--
-- Parameters that the functions share: `p_node` is NULL for anywhere; `p_subtree` includes the nodes below. `p_from`
-- is the bound: an ascending search takes the pkids from it on, a descending one those before it.

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
DECLARE
    v_pkids text[] := p_pkids;
    v_name text;
    v_digest bytea;
BEGIN
    FOR i IN 1 .. cardinality(p_names) LOOP
        EXIT WHEN v_pkids = '{}';
        v_name := p_names[i];
        v_digest := p_digests[i];
        v_pkids := ARRAY(
            SELECT u.pkid FROM unnest(v_pkids) WITH ORDINALITY AS u (pkid, number)
            WHERE EXISTS (
                SELECT FROM relation.document_keys AS k
                WHERE k.model = p_model AND k.name = v_name AND k.digest = v_digest AND k.pkid = u.pkid
                OFFSET 0)
            ORDER BY u.number);
    END LOOP;
    IF p_node IS NOT NULL AND v_pkids <> '{}' THEN
        v_pkids := ARRAY(
            SELECT u.pkid FROM unnest(v_pkids) WITH ORDINALITY AS u (pkid, number)
            WHERE (
                SELECT d.hierarchy = p_node OR p_subtree AND starts_with(d.hierarchy, p_node || '.')
                FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = u.pkid)
            ORDER BY u.number);
    END IF;
    RETURN v_pkids;
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

-- Returns those of a source's pkids, in their order, that meet the other conditions.
CREATE FUNCTION relation.filter_source(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_digests bytea[], p_source integer, p_pkids text[]
) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF p_source > 0 THEN
        RETURN relation.filter_pkids(p_model, p_node, p_subtree,
            p_names[: p_source - 1] || p_names[p_source + 1 :],
            p_digests[: p_source - 1] || p_digests[p_source + 1 :], p_pkids);
    END IF;
    RETURN relation.filter_pkids(
        p_model, CASE p_source WHEN -1 THEN p_node END, p_subtree, p_names, p_digests, p_pkids);
END
$$;

-- Returns the source with the fewest documents from the bound on, and these documents, if it has at most `p_most`.
CREATE FUNCTION relation.smallest_source(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_digests bytea[],
    p_from text, p_descending boolean, p_most bigint, OUT source integer, OUT pkids text[]
)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_most bigint := p_most;
    v_pkids text[];
BEGIN
    IF p_node IS NOT NULL THEN
        v_pkids := CASE
            WHEN p_subtree THEN relation.list_subtree(p_model, p_node, p_from, p_descending, v_most)
            ELSE relation.scan_pkids(p_model, NULL, NULL, p_node, p_from, p_descending, v_most + 1) END;
        IF cardinality(v_pkids) <= v_most THEN
            source := 0;
            pkids := v_pkids;
            v_most := cardinality(pkids);
        END IF;
    END IF;
    FOR i IN 1 .. cardinality(p_names) LOOP
        v_pkids := relation.scan_pkids(p_model, p_names[i], p_digests[i], NULL, p_from, p_descending, v_most + 1);
        IF cardinality(v_pkids) <= v_most THEN
            source := i;
            pkids := v_pkids;
            v_most := cardinality(pkids);
        END IF;
    END LOOP;
END
$$;

-- Returns the pkids of the first `p_want` matching documents, in order.
--
-- The smallest source that has at most 64 documents, or 1000, is read as a whole. If there is none, two steps of a
-- walk over the first source show whether it fills the page. If not, the smallest source may have 20 000 documents.
-- Above that, the walk goes on: pkids are random, so that it is short if enough of the documents match.
CREATE FUNCTION relation.find_pkids_v1(
    p_model text, p_node text, p_subtree boolean, p_names text[], p_values text[],
    p_from text, p_descending boolean, p_want bigint
) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- The steps: the size of a source that is read as a whole, or NULL for a walk.
    c_steps CONSTANT bigint[] := ARRAY[64, 1000, NULL, NULL, 20000];
    -- The first rows fill the page if nearly all documents match, and the next ones if a quarter of them match.
    v_chunk bigint := least(p_want, 25000) + 16;
    -- A source is a key by its position; the node is 0, and the model is -1.
    v_source integer := CASE WHEN p_names <> '{}' THEN 1 WHEN p_node IS NOT NULL AND NOT p_subtree THEN 0 ELSE -1 END;
    v_digests bytea[] := ARRAY(SELECT relation.digest(v) FROM unnest(p_values) WITH ORDINALITY AS u (v, n) ORDER BY n);
    v_node text := p_node;
    v_from text := p_from;
    v_step integer := 0;
    v_smallest record;
    v_pkids text[];
    v_found text[] := '{}';
BEGIN
    IF p_subtree AND NOT relation.is_elsewhere(p_model, p_node) THEN
        v_node := NULL;
    END IF;
    IF cardinality(p_names) + (CASE WHEN v_node IS NULL THEN 0 WHEN p_subtree THEN 2 ELSE 1 END) <= 1 THEN
        RETURN relation.scan_pkids(p_model, p_names[1], v_digests[1], v_node, p_from, p_descending, p_want);
    END IF;
    LOOP
        v_step := v_step + 1;
        IF c_steps[v_step] IS NULL THEN
            v_pkids := relation.scan_pkids(p_model, p_names[v_source], v_digests[v_source],
                CASE v_source WHEN 0 THEN v_node END, v_from, p_descending, v_chunk);
            v_found := v_found || relation.filter_source(
                p_model, v_node, p_subtree, p_names, v_digests, v_source, v_pkids);
            IF cardinality(v_found) >= p_want OR cardinality(v_pkids) < v_chunk THEN
                RETURN v_found[1 : p_want];
            END IF;
            v_from := v_pkids[v_chunk] || CASE WHEN p_descending THEN '' ELSE '!' END;
            v_chunk := least(p_want, 25000) * 4 + 64;
            CONTINUE;
        END IF;
        v_smallest := relation.smallest_source(
            p_model, v_node, p_subtree, p_names, v_digests, v_from, p_descending, c_steps[v_step]);
        IF v_smallest.source IS NOT NULL THEN
            FOR v_row IN 1 .. cardinality(v_smallest.pkids) BY v_chunk LOOP
                v_found := v_found || relation.filter_source(p_model, v_node, p_subtree, p_names, v_digests,
                    v_smallest.source, v_smallest.pkids[v_row : v_row + v_chunk - 1]);
                EXIT WHEN cardinality(v_found) >= p_want;
            END LOOP;
            RETURN v_found[1 : p_want];
        END IF;
    END LOOP;
END
$$;
