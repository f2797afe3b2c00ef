-- Data keys, and the secrets that are sealed with them.
--
-- Advisory locks keep a rotation apart from commits. Lock (2, 0): a commit that seals has it shared, a change of the list
-- of data keys exclusively; so the newest key does not change while secrets are sealed with it. Lock (3, 0): a commit
-- that may seal with an older key and `reseal` have it shared, the removal of a key exclusively; so no secret gets a key
-- that is being removed, and refreshes do not wait for the look at all secrets.

-- Applies each change whose secret still has the bytes that were read: sealed values never repeat, since each has a
-- random nonce. Returns for each one `t` or `f`, in their order. `p_keys` are the data keys of values that were sealed
-- again; NULL: the value stays.
CREATE FUNCTION relation.reseal_v1(p_write uuid, p_models text[], p_pkids text[], p_names text[], p_read bytea[],
    p_sealed bytea[], p_keys bigint[], p_reasons text[], p_since bigint[])
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off
AS $$
DECLARE
    v_newest bigint;
    v_stale bigint;
    v_done text := '';
BEGIN
    PERFORM pg_advisory_xact_lock_shared(2, 0);
    PERFORM pg_advisory_xact_lock_shared(3, 0);
    SELECT max(k.id) INTO v_newest FROM relation.data_keys k;
    SELECT s.key INTO v_stale FROM unnest(p_keys) WITH ORDINALITY s (key, number)
        WHERE s.key IS NOT NULL AND s.key IS DISTINCT FROM v_newest ORDER BY s.number LIMIT 1;
    IF v_stale IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'RL006', MESSAGE = v_stale::text;
    END IF;
    FOR v_number IN 1 .. cardinality(p_names) LOOP
        UPDATE relation.secrets SET sealed = p_sealed[v_number], quarantined = p_reasons[v_number],
            quarantined_at = p_since[v_number]
        WHERE model = p_models[v_number] AND pkid = p_pkids[v_number] AND name = p_names[v_number]
            AND sealed = p_read[v_number];
        v_done := v_done || CASE WHEN FOUND THEN 't' ELSE 'f' END;
    END LOOP;
    RETURN relation.wrote_v1(p_write, v_done);
END $$;

-- Adds a data key; returns `exists` and changes nothing when there is one with this id.
CREATE FUNCTION relation.add_data_key_v1(p_write uuid, p_id bigint, p_kek_id text, p_wrapped bytea, p_created bigint)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    v_other record;
BEGIN
    PERFORM pg_advisory_xact_lock(2, 0);
    IF EXISTS (SELECT FROM relation.data_keys k WHERE k.id = p_id) THEN
        RETURN relation.wrote_v1(p_write, 'exists');
    END IF;
    SELECT k.id, k.kek_id INTO v_other FROM relation.data_keys k WHERE k.kek_id <> p_kek_id ORDER BY k.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'RL010',
            MESSAGE = json_build_object('id', v_other.id, 'kek_id', v_other.kek_id)::text;
    END IF;
    INSERT INTO relation.data_keys (id, kek_id, wrapped, created) VALUES (p_id, p_kek_id, p_wrapped, p_created);
    RETURN relation.wrote_v1(p_write, '');
END $$;

-- Replaces all data keys by the same keys, wrapped again, if they are still those that were read.
CREATE FUNCTION relation.rewrap_data_keys_v1(p_write uuid, p_ids bigint[], p_kek_ids text[], p_wrapped bytea[],
    p_created bigint[], p_new_kek_ids text[], p_new_wrapped bytea[])
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    v_stored bigint;
    v_same bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(2, 0);
    PERFORM FROM relation.data_keys k ORDER BY k.id FOR UPDATE;
    SELECT count(*), count(r.id) INTO v_stored, v_same FROM relation.data_keys k
        LEFT JOIN unnest(p_ids, p_kek_ids, p_wrapped, p_created) r (id, kek_id, wrapped, created)
        ON r.id = k.id AND r.kek_id = k.kek_id AND r.wrapped = k.wrapped AND r.created = k.created;
    IF v_stored <> v_same OR v_same <> cardinality(p_ids) THEN
        RAISE EXCEPTION USING ERRCODE = 'RL011', MESSAGE = '';
    END IF;
    UPDATE relation.data_keys k SET kek_id = r.kek_id, wrapped = r.wrapped
        FROM unnest(p_ids, p_new_kek_ids, p_new_wrapped) r (id, kek_id, wrapped) WHERE k.id = r.id;
    RETURN relation.wrote_v1(p_write, '');
END $$;

-- Removes a data key that no secret needs. Returns `retired`, `newest`, `absent`, or the numbers of the secrets: sealed
-- with the key, known not to open among these, with an unknown key. A sealed value begins with `p_format` and the id of
-- its data key, and has at least `p_shortest` bytes.
--
-- It reads every secret: an index would add a cost to each refresh, for an operation that runs about once a year.
CREATE FUNCTION relation.retire_data_key_v1(p_write uuid, p_id bigint, p_despite_quarantined boolean, p_format bytea,
    p_shortest bigint)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog SET jit = off
AS $$
DECLARE
    v_newest bigint;
    v_prefix bytea;
    v_newest_prefix bytea;
    v_sealed bigint;
    v_quarantined bigint;
    v_unknown bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(3, 0);
    SELECT max(k.id) INTO v_newest FROM relation.data_keys k;
    IF v_newest = p_id THEN
        RETURN relation.wrote_v1(p_write, 'newest');
    END IF;
    IF NOT EXISTS (SELECT FROM relation.data_keys k WHERE k.id = p_id) THEN
        RETURN relation.wrote_v1(p_write, 'absent');
    END IF;
    -- The id of a data key has 4 bytes, the most significant one first.
    v_prefix := p_format || substr(int8send(p_id), 5);
    v_newest_prefix := p_format || substr(int8send(v_newest), 5);
    SELECT count(*) FILTER (WHERE substr(s.sealed, 1, 5) = v_prefix AND length(s.sealed) >= p_shortest),
        count(s.quarantined) FILTER (WHERE substr(s.sealed, 1, 5) = v_prefix AND length(s.sealed) >= p_shortest),
        count(*) FILTER (WHERE length(s.sealed) < p_shortest OR substr(s.sealed, 1, 1) <> p_format
            OR substr(s.sealed, 1, 5) > v_newest_prefix)
        INTO v_sealed, v_quarantined, v_unknown FROM relation.secrets s;
    IF (p_despite_quarantined AND v_sealed > v_quarantined)
        OR (NOT p_despite_quarantined AND (v_sealed > 0 OR v_unknown > 0)) THEN
        RETURN relation.wrote_v1(p_write, v_sealed || ' ' || v_quarantined || ' ' || v_unknown);
    END IF;
    DELETE FROM relation.data_keys k WHERE k.id = p_id;
    RETURN relation.wrote_v1(p_write, 'retired');
END $$;
