-- The store as the source or the target of a transfer from or to another store.

-- Refuses the writes of hosts while the store is marked as a source: each write inserts into `writes`.
CREATE FUNCTION relation.refuse_moved() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '58000', MESSAGE = 'the store is moved to another one, or was moved';
END
$$;

-- Sets or removes the mark, and holds the store still while it is a source. Waits for the writes that run.
CREATE FUNCTION relation.set_transfer_mark_v1(p_write uuid, p_mark text, p_hold boolean) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_result text;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = 'relation.writes'::regclass AND t.tgname = 'writes_moved') THEN
        DROP TRIGGER writes_moved ON relation.writes;
    END IF;
    DELETE FROM relation.meta AS m WHERE m.name = 'transfer';
    IF p_mark IS NOT NULL THEN
        INSERT INTO relation.meta (name, value) VALUES ('transfer', p_mark);
    END IF;
    v_result := relation.wrote_v1(p_write, NULL);
    IF p_hold THEN
        CREATE TRIGGER writes_moved BEFORE INSERT ON relation.writes
            FOR EACH STATEMENT EXECUTE FUNCTION relation.refuse_moved();
    END IF;
    RETURN v_result;
END
$$;

-- Adds rows of one kind (JSON) to the target of a transfer. Rows are found by primary keys, whatever the statistics say.
CREATE FUNCTION relation.transfer_rows_v1(p_write uuid, p_kind text, p_rows text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
DECLARE
    v_rows json := p_rows::json;
    v_row record;
BEGIN
    PERFORM FROM relation.meta AS m
    WHERE m.name = 'transfer' AND m.value::json ->> 'side' = 'target' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'RL012', MESSAGE = '';
    END IF;
    CASE p_kind
    WHEN 'documents' THEN
        FOR v_row IN SELECT * FROM json_to_recordset(v_rows) AS r (
            model text, pkid text, node text, version bigint, body text, keys text
        ) LOOP
            PERFORM relation.put_document(v_row.model, v_row.pkid, v_row.node, v_row.body, v_row.keys);
            UPDATE relation.documents AS d SET version = v_row.version
            WHERE d.model = v_row.model AND d.pkid = v_row.pkid AND d.version <> v_row.version;
        END LOOP;
    WHEN 'secrets' THEN
        INSERT INTO relation.secrets (model, pkid, name, sealed, quarantined, quarantined_at)
        SELECT r.model, r.pkid, r.name, decode(r.sealed, 'hex'), r.quarantined, r.quarantined_at
        FROM json_to_recordset(v_rows) AS r (
            model text, pkid text, name text, sealed text, quarantined text, quarantined_at bigint
        );
    WHEN 'wakeups' THEN
        INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts, scheduled)
        SELECT r.model, r.pkid, r.id, r.due, r.deadline, decode(r.payload, 'hex'), r.revision, r.attempts, r.scheduled
        FROM json_to_recordset(v_rows) AS r (
            model text, pkid text, id text, due bigint, deadline bigint, payload text, revision bigint,
            attempts integer, scheduled bigint
        );
    WHEN 'interrupted-calls' THEN
        INSERT INTO relation.leases (model, pkid, epoch, holder, expires, began)
        SELECT r.model, r.pkid, 0, '', 0, r.began
        FROM json_to_recordset(v_rows) AS r (model text, pkid text, began bigint);
    WHEN 'transactions' THEN
        -- Only running transactions need a holder.
        INSERT INTO relation.transactions (
            id, action, subject_model, subject_pkid, subject_name, status, progress_done, progress_total,
            progress_message, message, submitted, started, completed, holder, hierarchy, originator, request,
            more_reveals
        )
        SELECT r.id, r.action, r.subject_model, r.subject_pkid, r.subject_name, r.status, r.done, r.total,
            r.progress, r.message, r.submitted, r.started, r.completed, '', r.hierarchy, r.originator, r.request,
            r.omitted
        FROM json_to_recordset(v_rows) AS r (
            id text, action text, subject_model text, subject_pkid text, subject_name text, status text, done bigint,
            total bigint, progress text, message text, submitted bigint, started bigint, completed bigint,
            hierarchy text, originator text, request text, omitted bigint
        );
        INSERT INTO relation.transaction_news (transaction_id, lines, reveals)
        SELECT r.id, r.lines, r.reveals
        FROM json_to_recordset(v_rows) AS r (id text, lines text, reveals text)
        WHERE r.lines <> '' OR r.reveals <> '';
        INSERT INTO relation.transaction_nodes (node, id)
        SELECT n.node, r.id
        FROM json_to_recordset(v_rows) AS r (id text, nodes json), json_array_elements_text(r.nodes) AS n (node);
    END CASE;
    RETURN relation.wrote_v1(p_write, NULL);
END
$$;

-- Raises the counter of epochs and revisions to at least this number.
CREATE FUNCTION relation.raise_number_v1(p_write uuid, p_at_least bigint) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_last bigint;
BEGIN
    SELECT n.last_value INTO v_last FROM relation.numbers AS n;
    IF p_at_least >= v_last THEN
        PERFORM setval('relation.numbers', p_at_least);
    END IF;
    RETURN relation.wrote_v1(p_write, NULL);
END
$$;
