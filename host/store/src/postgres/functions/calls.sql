-- Calls: their begin, their updates and their end.

-- Returns the time by the clock of the database server, in milliseconds.
CREATE FUNCTION relation.clock() RETURNS bigint
LANGUAGE sql VOLATILE
RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- Begins a call: claims its subject, if it has one, and records its transaction. Returns JSON: `"gone"`,
-- `{"busy":UNTIL}`, or `{"started":{"epoch":EPOCH,"interrupted":BEGAN}}`, with null for a call without a subject.
--
-- `p_by_database` selects the clock by which leases expire; `began` and the returned times follow that of the caller.
-- `p_wakeup_id` is NULL for a call without a wakeup. `p_queued`: the transaction exists already, as queued.
CREATE FUNCTION relation.begin_v1(
    p_write uuid, p_holder text, p_by_database boolean, p_now bigint, p_lease bigint, p_model text, p_pkid text,
    p_wakeup_model text, p_wakeup_pkid text, p_wakeup_id text, p_revision bigint, p_attempts bigint,
    p_queued boolean, p_transaction text
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now bigint := CASE WHEN p_by_database THEN relation.clock() ELSE p_now END;
    v_expires bigint;
    v_interrupted bigint;
    v_epoch bigint;
    v_is_new boolean := false;
    v_is_held boolean := false;
    v_id text;
BEGIN
    -- Lock, then look: what is read before the lock can be old.
    WHILE p_pkid IS NOT NULL LOOP
        INSERT INTO relation.leases (model, pkid, epoch, holder, expires, began)
        VALUES (p_model, p_pkid, nextval('relation.numbers'), p_holder, v_now + p_lease, p_now)
        ON CONFLICT DO NOTHING RETURNING epoch INTO v_epoch;
        v_is_new := FOUND;
        EXIT WHEN v_is_new;
        SELECT l.expires INTO v_expires FROM relation.leases AS l WHERE l.model = p_model AND l.pkid = p_pkid;
        CONTINUE WHEN NOT FOUND;
        v_is_held := v_expires > v_now;
        EXIT WHEN v_is_held;
        -- The end of a call releases its lease, so this call was interrupted.
        SELECT l.expires, l.began INTO v_expires, v_interrupted FROM relation.leases AS l
        WHERE l.model = p_model AND l.pkid = p_pkid FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_is_held := v_expires > v_now;
        EXIT;
    END LOOP;
    IF p_queued THEN
        v_id := p_transaction::json ->> 'id';
    END IF;
    IF p_queued AND NOT v_is_held THEN
        PERFORM FROM relation.transactions AS t WHERE t.id = v_id FOR NO KEY UPDATE;
    END IF;
    IF p_wakeup_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM relation.wakeups AS w
        WHERE w.model = p_wakeup_model AND w.pkid = p_wakeup_pkid AND w.id = p_wakeup_id
            AND w.revision = p_revision AND w.attempts = p_attempts
    ) THEN
        IF v_is_new THEN
            DELETE FROM relation.leases AS l
            WHERE l.model = p_model AND l.pkid = p_pkid AND l.epoch = v_epoch AND l.holder = p_holder;
        END IF;
        RETURN '"gone"';
    END IF;
    IF v_is_held THEN
        RETURN json_build_object('busy', p_now + (v_expires - v_now));
    END IF;
    IF p_pkid IS NOT NULL AND NOT v_is_new THEN
        UPDATE relation.leases AS l
        SET epoch = nextval('relation.numbers'), holder = p_holder, expires = v_now + p_lease, began = p_now
        WHERE l.model = p_model AND l.pkid = p_pkid
        RETURNING epoch INTO v_epoch;
    END IF;
    IF p_queued THEN
        -- A host that lost the lease of a queued call may have left its transaction in any status.
        UPDATE relation.transactions AS t
        SET status = 'Processing', message = '', started = (p_transaction::json ->> 'started')::bigint,
            holder = p_holder, completed = NULL
        WHERE t.id = v_id AND t.request IS NOT NULL AND (p_pkid IS NOT NULL OR t.status = 'Queued');
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'RL009', MESSAGE = v_id;
        END IF;
    ELSE
        PERFORM relation.add_transaction(p_transaction, 'Processing', p_holder);
    END IF;
    RETURN relation.wrote_v1(p_write, json_build_object('started', CASE WHEN p_pkid IS NOT NULL
        THEN json_build_object('epoch', v_epoch, 'interrupted', v_interrupted) END)::text);
END
$$;

-- Stores an update of a running transaction. A power cut may undo it, but no write before it.
CREATE FUNCTION relation.report_v1(p_write uuid, p_update text, p_lines text, p_reveals text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM relation.report_update(p_update, p_lines, p_reveals);
    RETURN relation.wrote_v1(p_write, '');
END
$$;

-- Ends a call: releases its lease, settles its wakeup and closes its transaction. A power cut may undo it, but no write
-- before it; then the lease expires.
--
-- `p_epoch` is NULL for a call without a lease. `p_settlement` is `done`, `retry`, `delete`, or NULL without a wakeup.
-- `p_ended` is the end of the call by its own clock. The order of the locks is that of a commit.
CREATE FUNCTION relation.end_v1(
    p_write uuid, p_holder text, p_model text, p_pkid text, p_epoch bigint, p_interrupted boolean,
    p_settlement text, p_wakeup_model text, p_wakeup_pkid text, p_wakeup_id text, p_revision bigint,
    p_retry_at bigint, p_ended bigint, p_queued boolean, p_update text, p_lines text, p_reveals text
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_is_held boolean := p_epoch IS NULL;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF p_epoch IS NOT NULL AND p_interrupted THEN
        -- No lease has the epoch 0, so the row fences every commit; the next call learns when this one began.
        UPDATE relation.leases AS l SET epoch = 0, holder = '', expires = 0
        WHERE l.model = p_model AND l.pkid = p_pkid AND l.epoch = p_epoch AND l.holder = p_holder
            AND EXISTS (SELECT FROM relation.documents AS d WHERE d.model = p_model AND d.pkid = p_pkid);
        v_is_held := FOUND;
    END IF;
    IF p_epoch IS NOT NULL AND NOT v_is_held THEN
        DELETE FROM relation.leases AS l
        WHERE l.model = p_model AND l.pkid = p_pkid AND l.epoch = p_epoch AND l.holder = p_holder;
        v_is_held := FOUND;
    END IF;
    IF v_is_held AND p_settlement = 'done' THEN
        DELETE FROM relation.wakeups AS w
        WHERE w.model = p_wakeup_model AND w.pkid = p_wakeup_pkid AND w.id = p_wakeup_id AND w.revision = p_revision;
    ELSIF v_is_held AND p_settlement = 'retry' THEN
        UPDATE relation.wakeups AS w SET due = p_retry_at, attempts = w.attempts + 1, scheduled = p_ended
        WHERE w.model = p_wakeup_model AND w.pkid = p_wakeup_pkid AND w.id = p_wakeup_id AND w.revision = p_revision;
    ELSIF v_is_held AND p_settlement = 'delete' THEN
        PERFORM relation.delete_document(p_wakeup_model, p_wakeup_pkid);
    END IF;
    -- An unknown transaction does not prevent the end. Another host may run a queued call again.
    IF v_is_held OR NOT p_queued THEN
        PERFORM relation.record_update(p_update, p_lines, p_reveals);
    END IF;
    RETURN relation.wrote_v1(p_write, '');
END
$$;
