-- Recovery from hosts that ended, and from clocks that were ahead.
--
-- A host that ends in order says so: its row in `holders` gets `seen = '-infinity'`. Any other host may only be frozen
-- or cut off: its leases end by their time, and its transactions when its leases are gone and it was not seen for
-- longer than a lease.

-- Releases the leases and closes the transactions of hosts that ended, and the leases that have expired. Returns JSON:
-- `{"leases":N,"transactions":N}`. Rows that another write holds are left for the next time.
--
-- `p_unseen` is the time in milliseconds without a heartbeat, which counts when leases expire by the database's clock.
-- The status and the message are those of a transaction that is closed.
CREATE FUNCTION relation.recover_v1(
    p_write uuid, p_holder text, p_by_database boolean, p_now bigint, p_unseen bigint, p_status text, p_message text
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now bigint := CASE WHEN p_by_database THEN relation.clock() ELSE p_now END;
    v_ended text[] := ARRAY(
        SELECT h.id FROM relation.holders AS h WHERE h.seen = '-infinity' AND h.id <> p_holder);
    v_seen text[] := ARRAY(
        SELECT h.id FROM relation.holders AS h
        WHERE h.id = p_holder OR h.seen >= clock_timestamp() - p_unseen * interval '1 millisecond');
    v_lease record;
    v_id text;
    v_leases bigint := 0;
    v_transactions bigint := 0;
    v_result text;
BEGIN
    FOR v_lease IN
        SELECT l.model, l.pkid,
            EXISTS (SELECT FROM relation.documents AS d WHERE d.model = l.model AND d.pkid = l.pkid) AS has_subject
        FROM relation.leases AS l
        WHERE l.epoch > 0 AND (l.expires <= v_now OR l.holder = ANY (v_ended))
        ORDER BY l.model, l.pkid FOR UPDATE OF l SKIP LOCKED
    LOOP
        v_leases := v_leases + 1;
        IF v_lease.has_subject THEN
            -- No lease has the epoch 0, so the row fences every commit; the next call learns when this one began.
            UPDATE relation.leases AS l SET epoch = 0, holder = '', expires = 0
            WHERE l.model = v_lease.model AND l.pkid = v_lease.pkid;
        ELSE
            DELETE FROM relation.leases AS l WHERE l.model = v_lease.model AND l.pkid = v_lease.pkid;
        END IF;
    END LOOP;
    -- A subject that was deleted at the moment of an earlier recovery.
    DELETE FROM relation.leases AS l USING (
        SELECT i.model, i.pkid FROM relation.leases AS i
        WHERE i.epoch = 0
            AND NOT EXISTS (SELECT FROM relation.documents AS d WHERE d.model = i.model AND d.pkid = i.pkid)
        ORDER BY i.model, i.pkid FOR UPDATE OF i SKIP LOCKED
    ) AS o
    WHERE l.model = o.model AND l.pkid = o.pkid;
    FOR v_id IN
        SELECT t.id FROM relation.transactions AS t
        WHERE t.status = 'Processing' AND (
            t.holder = ANY (v_ended)
            OR p_by_database AND t.holder <> ALL (v_seen) AND NOT EXISTS (
                SELECT FROM relation.leases AS l
                WHERE l.model = t.subject_model AND l.pkid = t.subject_pkid AND l.holder = t.holder))
        ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED
    LOOP
        v_transactions := v_transactions + 1;
        PERFORM relation.interrupt_transaction(v_id, p_status, p_message, p_now);
    END LOOP;
    DELETE FROM relation.holders AS h
    WHERE h.id <> p_holder AND (h.seen = '-infinity' OR h.seen < clock_timestamp() - interval '1 day')
        AND NOT EXISTS (SELECT FROM relation.leases AS l WHERE l.holder = h.id)
        AND NOT EXISTS (SELECT FROM relation.transactions AS t WHERE t.status = 'Processing' AND t.holder = h.id);
    v_result := json_build_object('leases', v_leases, 'transactions', v_transactions);
    IF v_leases + v_transactions = 0 THEN
        RETURN v_result;
    END IF;
    RETURN relation.wrote_v1(p_write, v_result);
END
$$;

-- Corrects what was written while a clock was ahead of `p_now` by more than `p_tolerance`. Returns JSON:
-- `{"wakeups":N,"leases":N,"latest":TIME}`.
--
-- Where leases expire by the database's clock, that clock decides too who is ahead: a host whose own clock is behind
-- must not call all others fast. The end of such a lease needs no correction.
CREATE FUNCTION relation.redate_v1(
    p_write uuid, p_by_database boolean, p_now bigint, p_tolerance bigint
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET jit = off
AS $$
DECLARE
    v_latest bigint := p_tolerance + CASE WHEN p_by_database THEN greatest(p_now, relation.clock()) ELSE p_now END;
    v_wakeups bigint := 0;
    v_leases bigint := 0;
    v_scheduled bigint;
    v_began bigint;
    v_result text;
BEGIN
    SELECT max(w.scheduled) INTO v_scheduled FROM relation.wakeups AS w WHERE w.scheduled > v_latest;
    SELECT max(l.began) INTO v_began FROM relation.leases AS l WHERE l.began > v_latest;
    -- Usually there is nothing to write.
    IF v_scheduled IS NOT NULL THEN
        UPDATE relation.wakeups AS w SET due = least(w.due, p_now), scheduled = p_now WHERE w.scheduled > v_latest;
        GET DIAGNOSTICS v_wakeups = ROW_COUNT;
    END IF;
    IF v_began IS NOT NULL THEN
        -- The row of an interrupted call has no end to correct.
        UPDATE relation.leases AS l
        SET began = p_now,
            expires = CASE WHEN l.epoch > 0 AND NOT p_by_database THEN p_now + (l.expires - l.began) ELSE l.expires END
        WHERE l.began > v_latest;
        GET DIAGNOSTICS v_leases = ROW_COUNT;
    END IF;
    v_result := json_build_object('wakeups', v_wakeups, 'leases', CASE WHEN p_by_database THEN 0 ELSE v_leases END,
        'latest', greatest(v_scheduled, v_began));
    IF v_wakeups + v_leases = 0 THEN
        RETURN v_result;
    END IF;
    RETURN relation.wrote_v1(p_write, v_result);
END
$$;
