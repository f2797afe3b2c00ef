-- Commits: the fence, the checks, the changes, and the update of the transaction.
--
-- READ COMMITTED with locks makes a commit serial with the others where it matters. They are taken in this order:
-- the locks of sealing (see `keys.sql`), the lease of the fence, the documents that the commit changes or checks
-- (ascending), the stripes (ascending), and then the rows of new documents (ascending), of transactions and of bulks.
--
-- A check that something is not there has no row to lock. Such checks lock stripes: one of 128 locks, by a hash of
-- what must not be there. A document that appears, moves or gets a key locks the same stripe, shared.

-- Returns the number of the stripe of a key of a model. The name '' stands for the documents themselves: with a pkid
-- as the value for one of them, and with '' for all of them.
CREATE FUNCTION relation.stripe(p_model text, p_name text, p_value text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashtextextended((p_model || chr(1) || p_name || chr(1) || p_value) COLLATE "C", 0) & 127)::integer;

-- Locks the stripes of puts and of checks.
CREATE FUNCTION relation.lock_stripes(
    p_kinds text[], p_models text[], p_pkids text[], p_nodes text[], p_keys text[], p_checks json
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_lock record;
BEGIN
    FOR v_lock IN
        WITH put AS MATERIALIZED (
            SELECT p.model, p.pkid, p.keys, d.keys AS old_keys, d.model IS NULL AS is_new,
                d.hierarchy IS DISTINCT FROM p.node AS is_moved
            FROM unnest(p_kinds, p_models, p_pkids, p_nodes, p_keys) AS p (kind, model, pkid, node, keys)
            LEFT JOIN relation.documents AS d ON d.model = p.model AND d.pkid = p.pkid
            WHERE p.kind = 'put' AND (d.hierarchy IS DISTINCT FROM p.node OR d.keys IS DISTINCT FROM p.keys)
        ), wanted (stripe, is_exclusive) AS (
            SELECT relation.stripe(p.model, '', p.pkid), false FROM put AS p WHERE p.is_new
            UNION ALL
            SELECT relation.stripe(p.model, '', ''), false FROM put AS p WHERE p.is_moved
            UNION ALL
            SELECT relation.stripe(p.model, k.pair ->> 0, k.pair ->> 1), false
            FROM put AS p, json_array_elements(p.keys::json) AS k (pair)
            WHERE p.is_moved OR NOT EXISTS (
                SELECT FROM json_array_elements(p.old_keys::json) AS o (pair)
                WHERE o.pair ->> 0 = k.pair ->> 0 AND o.pair ->> 1 = k.pair ->> 1)
            UNION ALL
            SELECT relation.stripe(c.value ->> 'model', '', coalesce(c.value ->> 'pkid', '')), true
            FROM json_array_elements(p_checks) AS c (value)
            WHERE c.value ->> 'kind' = 'absent'
                OR c.value ->> 'kind' = 'unique' AND json_array_length(c.value -> 'names') = 0
            UNION ALL
            SELECT relation.stripe(c.value ->> 'model', k.name, k.value), true
            FROM json_array_elements(p_checks) AS c (value),
                ROWS FROM (
                    json_array_elements_text(c.value -> 'names'), json_array_elements_text(c.value -> 'values')
                ) AS k (name, value)
            WHERE c.value ->> 'kind' = 'unique'
        )
        SELECT w.stripe, bool_or(w.is_exclusive) AS is_exclusive FROM wanted AS w GROUP BY w.stripe ORDER BY w.stripe
    LOOP
        IF v_lock.is_exclusive THEN
            PERFORM pg_advisory_xact_lock(1, v_lock.stripe);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(1, v_lock.stripe);
        END IF;
    END LOOP;
END
$$;

-- Refuses a commit of which a check does not hold. What they check is locked.
CREATE FUNCTION relation.verify_checks(p_checks json) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_check json;
    v_number integer := 0;
    v_version bigint;
    v_other text;
BEGIN
    FOR v_check IN SELECT c.value FROM json_array_elements(p_checks) WITH ORDINALITY AS c (value, n) ORDER BY c.n LOOP
        CASE v_check ->> 'kind'
            WHEN 'version' THEN
                SELECT d.version INTO v_version FROM relation.documents AS d
                WHERE d.model = v_check ->> 'model' AND d.pkid = v_check ->> 'pkid' FOR SHARE;
                IF v_version IS DISTINCT FROM (v_check ->> 'version')::bigint THEN
                    RAISE EXCEPTION USING ERRCODE = 'RL002',
                        MESSAGE = json_build_object('check', v_number, 'found', v_version);
                END IF;
            WHEN 'absent' THEN
                IF EXISTS (SELECT FROM relation.documents AS d
                    WHERE d.model = v_check ->> 'model' AND d.pkid = v_check ->> 'pkid')
                THEN
                    RAISE EXCEPTION USING ERRCODE = 'RL003', MESSAGE = json_build_object('check', v_number);
                END IF;
            WHEN 'unique' THEN
                v_other := relation.find_other(
                    v_check ->> 'model', v_check ->> 'node', (v_check ->> 'subtree')::boolean,
                    ARRAY(SELECT n FROM json_array_elements_text(v_check -> 'names') AS n),
                    ARRAY(SELECT n FROM json_array_elements_text(v_check -> 'values') AS n),
                    v_check ->> 'except');
                IF v_other IS NOT NULL THEN
                    RAISE EXCEPTION USING ERRCODE = 'RL004',
                        MESSAGE = json_build_object('check', v_number, 'other', v_other);
                END IF;
        END CASE;
        v_number := v_number + 1;
    END LOOP;
END
$$;

-- Refuses values that are sealed with an older data key, so that a rotation can finish. A key that is being added or
-- removed waits until this commit has ended.
CREATE FUNCTION relation.verify_seals(p_seals bigint[], p_newest bigint, p_older_keys boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_key bigint;
BEGIN
    FOREACH v_key IN ARRAY p_seals LOOP
        IF v_key IS DISTINCT FROM p_newest AND NOT (
            p_older_keys AND EXISTS (SELECT FROM relation.data_keys AS k WHERE k.id = v_key)
        ) THEN
            RAISE EXCEPTION USING ERRCODE = 'RL006', MESSAGE = v_key::text;
        END IF;
    END LOOP;
END
$$;

-- Applies all changes if the fence and all checks hold, otherwise none.
--
-- `p_epoch` is NULL without a fence. `p_is_absence`: a check says that something is not there. The documents to lock are sorted and distinct; `p_lock_writes` says which of them
-- are changed. The changes are sorted by document, and for each document in the order given: `put` (`p_nodes`,
-- `p_bodies`, `p_keys`), `delete`, `seal` and `unseal` (the name, `p_bytes`), `schedule` and `cancel` (the name is the
-- id, `p_bytes` the payload, `p_dues`, `p_deadlines`). The owners are documents that must exist afterwards, sorted.
CREATE FUNCTION relation.commit_v1(
    p_write uuid, p_holder text, p_model text, p_pkid text, p_epoch bigint,
    p_lock_models text[], p_lock_pkids text[], p_lock_writes boolean[],
    p_checks text, p_is_absence boolean, p_seals bigint[], p_older_keys boolean,
    p_kinds text[], p_models text[], p_pkids text[], p_names text[], p_nodes text[], p_keys text[], p_bodies text[],
    p_bytes bytea[], p_dues bigint[], p_deadlines bigint[], p_now bigint,
    p_owner_models text[], p_owner_pkids text[], p_queued text, p_update text, p_lines text, p_reveals text
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_was_there boolean[] := '{}';
    v_is_plain boolean := true;
    v_newest_key bigint;
    v_new text;
BEGIN
    IF p_seals <> '{}' THEN
        PERFORM pg_advisory_xact_lock_shared(2, 0);
        IF p_older_keys THEN
            PERFORM pg_advisory_xact_lock_shared(3, 0);
        END IF;
    END IF;
    IF p_epoch IS NOT NULL THEN
        PERFORM FROM relation.leases AS l
        WHERE l.model = p_model AND l.pkid = p_pkid AND l.epoch = p_epoch AND l.holder = p_holder FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = '';
        END IF;
    END IF;
    FOR i IN 1 .. cardinality(p_lock_models) LOOP
        IF p_lock_writes[i] THEN
            PERFORM FROM relation.documents AS d
            WHERE d.model = p_lock_models[i] AND d.pkid = p_lock_pkids[i] FOR NO KEY UPDATE;
        ELSE
            PERFORM FROM relation.documents AS d
            WHERE d.model = p_lock_models[i] AND d.pkid = p_lock_pkids[i] FOR SHARE;
        END IF;
        v_was_there[i] := FOUND;
    END LOOP;
    -- The usual change leaves node and keys as they are, and locks no stripe.
    FOR i IN 1 .. cardinality(p_kinds) LOOP
        CONTINUE WHEN p_kinds[i] <> 'put';
        PERFORM FROM relation.documents AS d
        WHERE d.model = p_models[i] AND d.pkid = p_pkids[i] AND d.hierarchy = p_nodes[i] AND d.keys = p_keys[i];
        v_is_plain := v_is_plain AND FOUND;
    END LOOP;
    IF p_is_absence OR NOT v_is_plain THEN
        PERFORM relation.lock_stripes(p_kinds, p_models, p_pkids, p_nodes, p_keys, p_checks::json);
    END IF;
    FOR i IN 1 .. cardinality(p_lock_models) LOOP
        CONTINUE WHEN v_was_there[i];
        PERFORM FROM relation.documents AS d WHERE d.model = p_lock_models[i] AND d.pkid = p_lock_pkids[i];
        IF FOUND THEN
            -- Another commit has just created it. To lock it now would be out of order, so the host repeats this commit.
            RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'a document was created meanwhile';
        END IF;
    END LOOP;
    IF p_checks IS NOT NULL THEN
        PERFORM relation.verify_checks(p_checks::json);
    END IF;
    IF p_seals <> '{}' THEN
        SELECT k.id INTO v_newest_key FROM relation.data_keys AS k ORDER BY k.id DESC LIMIT 1;
        IF p_seals IS DISTINCT FROM ARRAY[v_newest_key] THEN
            PERFORM relation.verify_seals(p_seals, v_newest_key, p_older_keys);
        END IF;
    END IF;

    FOR i IN 1 .. cardinality(p_kinds) LOOP
        CASE p_kinds[i]
            WHEN 'put' THEN
                PERFORM relation.put_document(p_models[i], p_pkids[i], p_nodes[i], p_bodies[i], p_keys[i]);
            WHEN 'seal' THEN
                UPDATE relation.secrets AS s SET sealed = p_bytes[i], quarantined = NULL, quarantined_at = NULL
                WHERE s.model = p_models[i] AND s.pkid = p_pkids[i] AND s.name = p_names[i];
                IF NOT FOUND THEN
                    INSERT INTO relation.secrets (model, pkid, name, sealed)
                    VALUES (p_models[i], p_pkids[i], p_names[i], p_bytes[i]);
                END IF;
            WHEN 'schedule' THEN
                UPDATE relation.wakeups AS w
                SET due = p_dues[i], deadline = p_deadlines[i], payload = p_bytes[i],
                    revision = nextval('relation.numbers'), attempts = 0, scheduled = p_now
                WHERE w.model = p_models[i] AND w.pkid = p_pkids[i] AND w.id = p_names[i];
                IF NOT FOUND THEN
                    INSERT INTO relation.wakeups (
                        model, pkid, id, due, deadline, payload, revision, attempts, scheduled
                    ) VALUES (
                        p_models[i], p_pkids[i], p_names[i], p_dues[i], p_deadlines[i], p_bytes[i],
                        nextval('relation.numbers'), 0, p_now
                    );
                END IF;
            WHEN 'delete' THEN
                PERFORM relation.delete_document(p_models[i], p_pkids[i]);
            WHEN 'unseal' THEN
                DELETE FROM relation.secrets AS s
                WHERE s.model = p_models[i] AND s.pkid = p_pkids[i] AND s.name = p_names[i];
            WHEN 'cancel' THEN
                DELETE FROM relation.wakeups AS w
                WHERE w.model = p_models[i] AND w.pkid = p_pkids[i] AND w.id = p_names[i];
        END CASE;
    END LOOP;
    FOR i IN 1 .. cardinality(p_owner_models) LOOP
        PERFORM FROM relation.documents AS d WHERE d.model = p_owner_models[i] AND d.pkid = p_owner_pkids[i];
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'RL005',
                MESSAGE = json_build_object('model', p_owner_models[i], 'pkid', p_owner_pkids[i]);
        END IF;
    END LOOP;
    IF p_queued IS NOT NULL THEN
        FOR v_new IN
            SELECT q.value::text FROM json_array_elements(p_queued::json) WITH ORDINALITY AS q (value, n) ORDER BY q.n
        LOOP
            PERFORM relation.add_transaction(v_new, 'Queued', '');
        END LOOP;
    END IF;
    IF p_update IS NOT NULL THEN
        PERFORM relation.report_update(p_update, p_lines, p_reveals);
    END IF;
    RETURN relation.wrote_v1(p_write, '');
END
$$;
