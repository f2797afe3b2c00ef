-- Transactions: their begin, their updates and their end.
--
-- The JSON of a new transaction and of an update is written by `updates.rs`. A text in it has no U+0000.

-- Records a new transaction. Its node is that of the document of its subject, if there is one.
CREATE FUNCTION relation.add_transaction(p_new text, p_status text, p_holder text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_new record;
    v_node text;
    v_bulk_node text;
    v_listed text[];
BEGIN
    SELECT * INTO v_new FROM json_to_record(p_new::json) AS n (
        id text, action text, subject_model text, subject_pkid text, subject_name text, hierarchy text,
        originator text, request text, submitted bigint, started bigint
    );
    SELECT d.hierarchy INTO v_node FROM relation.documents AS d
    WHERE d.model = v_new.subject_model AND d.pkid = v_new.subject_pkid;
    v_node := coalesce(v_node, v_new.hierarchy);
    INSERT INTO relation.transactions (
        id, action, subject_model, subject_pkid, subject_name, status, message, submitted, started, holder,
        hierarchy, originator, request
    ) VALUES (
        v_new.id, v_new.action, v_new.subject_model, v_new.subject_pkid, v_new.subject_name, p_status, '',
        v_new.submitted, v_new.started, p_holder, v_node, v_new.originator, v_new.request
    ) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'RL007', MESSAGE = v_new.id;
    END IF;
    IF v_node IS NULL THEN
        RETURN;
    END IF;
    -- A call of a bulk is listed where its bulk is not.
    IF strpos(v_new.id, '.') > 0 THEN
        SELECT t.hierarchy INTO v_bulk_node FROM relation.transactions AS t
        WHERE t.id = substring(v_new.id FROM '^(.*)[.][^.]*$');
    END IF;
    v_listed := relation.listing_nodes(v_bulk_node);
    INSERT INTO relation.transaction_nodes (node, id)
    SELECT n.node, v_new.id FROM unnest(relation.listing_nodes(v_node)) AS n (node)
    WHERE v_listed IS NULL OR n.node <> ALL (v_listed);
END
$$;

-- Closes a bulk if all of its calls have ended. The outcome is that of `TransactionOutcome::bulk`.
--
-- The parts of the bulk `id` are between `id.` and `id/`.
CREATE FUNCTION relation.close_bulk(p_id text, p_now bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_calls bigint;
    v_succeeded bigint;
BEGIN
    -- Of two hosts that end the last two calls at the same moment, the second one waits here for the first.
    PERFORM FROM relation.transactions AS t
    WHERE t.id = p_id AND t.status = 'Queued' AND t.request IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM relation.transactions AS t
            WHERE t.status = 'Queued' AND t.id > p_id || '.' AND t.id < p_id || '/')
        OR EXISTS (SELECT FROM relation.transactions AS t
            WHERE t.status = 'Processing' AND t.id > p_id || '.' AND t.id < p_id || '/')
    THEN
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE t.status = 'Success') INTO v_calls, v_succeeded
    FROM relation.transactions AS t
    WHERE t.id > p_id || '.' AND t.id < p_id || '/' AND strpos(substr(t.id, length(p_id) + 2), '.') = 0;
    UPDATE relation.transactions AS t
    SET status = CASE v_succeeded
            WHEN v_calls THEN 'Success'
            WHEN 0 THEN 'Fail'
            ELSE 'Success With Async Failures'
        END,
        message = format('%s of %s calls succeeded', v_succeeded, v_calls),
        completed = p_now
    WHERE t.id = p_id;
END
$$;

-- Records an update of a transaction that runs; returns whether it runs. Otherwise, nothing is recorded.
--
-- `p_lines` and `p_reveals` have one JSON object per line.
CREATE FUNCTION relation.record_update(p_update text, p_lines text, p_reveals text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_update record;
BEGIN
    SELECT * INTO v_update FROM json_to_record(p_update::json) AS u (
        id text, done bigint, total bigint, progress text, subject_name text, omitted bigint,
        status text, message text, completed bigint, bulk text, parts json
    );
    IF v_update.done IS NULL AND v_update.subject_name IS NULL AND v_update.status IS NULL AND v_update.omitted = 0
    THEN
        PERFORM FROM relation.transactions AS t WHERE t.id = v_update.id AND t.status = 'Processing';
    ELSE
        UPDATE relation.transactions AS t
        SET progress_done = coalesce(v_update.done, t.progress_done),
            progress_total = coalesce(v_update.total, t.progress_total),
            progress_message = coalesce(v_update.progress, t.progress_message),
            subject_name = coalesce(v_update.subject_name, t.subject_name),
            more_reveals = t.more_reveals + v_update.omitted,
            status = coalesce(v_update.status, t.status),
            message = coalesce(v_update.message, t.message),
            completed = v_update.completed
        WHERE t.id = v_update.id AND t.status = 'Processing';
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_lines <> '' OR p_reveals <> '' THEN
        INSERT INTO relation.transaction_news (transaction_id, lines, reveals)
        VALUES (v_update.id, p_lines, p_reveals);
    END IF;
    IF v_update.parts IS NOT NULL THEN
        -- A part has the subject, the node and the originator of its transaction. It has no rows by node, because it
        -- is only listed with its transaction.
        INSERT INTO relation.transactions (
            id, action, subject_model, subject_pkid, subject_name, status, message, submitted, started, completed,
            holder, hierarchy, originator
        )
        SELECT p.id, p.action, t.subject_model, t.subject_pkid, t.subject_name, p.status, p.message, p.started,
            p.started, p.completed, t.holder, t.hierarchy, t.originator
        FROM relation.transactions AS t, json_to_recordset(v_update.parts) AS p (
            id text, action text, status text, message text, started bigint, completed bigint
        )
        WHERE t.id = v_update.id
        ON CONFLICT DO NOTHING;
    END IF;
    -- Without a time, an attempt has ended, but not the call.
    IF v_update.bulk IS NOT NULL AND v_update.completed IS NOT NULL THEN
        PERFORM relation.close_bulk(v_update.bulk, v_update.completed);
    END IF;
    RETURN true;
END
$$;

-- Records an update like `record_update`, and refuses one of a transaction that never began.
CREATE FUNCTION relation.report_update(p_update text, p_lines text, p_reveals text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF relation.record_update(p_update, p_lines, p_reveals) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM relation.transactions AS t WHERE t.id = p_update::json ->> 'id') THEN
        RAISE EXCEPTION USING ERRCODE = 'RL008', MESSAGE = p_update::json ->> 'id';
    END IF;
END
$$;

-- Ends a running transaction of a host that has ended. A queued call waits for its next attempt.
CREATE FUNCTION relation.interrupt_transaction(
    p_id text, p_status text, p_message text, p_completed bigint
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE relation.transactions AS t
    SET status = CASE WHEN t.request IS NULL THEN p_status ELSE 'Queued' END,
        message = p_message,
        completed = CASE WHEN t.request IS NULL THEN p_completed ELSE t.completed END
    WHERE t.id = p_id;
END
$$;
