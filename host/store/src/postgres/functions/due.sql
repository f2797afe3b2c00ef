-- Wakeups that are due.

-- Returns the first `p_rows` wakeups that are due at `p_now` and whose subject has no valid lease, the earliest deadline
-- first, and several of one subject. Their kinds are from `p_first_kind` up to `p_last_kind`, but not those of
-- `p_except`. Leases expire by `p_lease_time`; NULL: by the clock of the database. No wakeup is due before `p_from`: the
-- entries of dead rows before it, which an old transaction can keep, are not read.
--
-- The index `wakeups_by_hour` has one range for each kind and hour, in the order of deadlines. What is wanted is in the
-- ranges that begin with the earliest deadlines. The first few wakeups of these give an upper bound for the last one that
-- is wanted, so that no more of each range is read than is needed. In the current hour, most wakeups can be later than
-- `p_now`: if few of that hour are due, these are read by due time instead. If few are due at all, all of them are.
--
-- A function, because its plan is kept. The settings make it use the indexes even while the tables are small.
CREATE FUNCTION relation.due_v1(p_now bigint, p_from bigint, p_rows bigint, p_first_kind text, p_last_kind text,
    p_except text[], p_lease_time bigint)
RETURNS SETOF relation.wakeups
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- The hours before this one are searched by deadline.
    v_end bigint := p_now / 3600000;
    -- Those from this time on are read by due time, if they are few.
    v_start bigint := p_from;
    v_first_hour constant bigint := p_from / 3600000;
    v_few constant bigint := greatest(1024, 4 * least(p_rows, 1000000000));
    v_are_few boolean;
    v_last constant bigint := 9223372036854775807;
    v_lease_time constant bigint :=
        coalesce(p_lease_time, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
BEGIN
    SELECT count(*) <= v_few INTO v_are_few FROM (SELECT FROM relation.wakeups w
        WHERE w.due >= v_start AND w.due <= p_now ORDER BY w.due LIMIT v_few + 1) c;
    IF v_are_few THEN
        v_end := v_first_hour;
    ELSE
        v_start := greatest(v_end * 3600000, p_from);
        SELECT count(*) <= v_few INTO v_are_few FROM (SELECT FROM relation.wakeups w
            WHERE w.due >= v_start AND w.due <= p_now ORDER BY w.due LIMIT v_few + 1) c;
        IF NOT v_are_few THEN
            v_end := v_end + 1;
        END IF;
    END IF;
    RETURN QUERY
    WITH RECURSIVE kinds (kind) AS (
        -- From the last wakeup of each kind, which is a later one, because dead rows are the first of their kinds.
        (SELECT w.kind FROM relation.wakeups w WHERE w.kind >= p_first_kind AND w.kind <= p_last_kind
            ORDER BY w.kind DESC, w.due / 3600000 DESC LIMIT 1)
        UNION ALL
        SELECT n.kind FROM kinds k CROSS JOIN LATERAL (
            SELECT w.kind FROM relation.wakeups w WHERE w.kind >= p_first_kind AND w.kind < k.kind
            ORDER BY w.kind DESC, w.due / 3600000 DESC LIMIT 1) n
    ),
    ranges (kind, hour, deadline, due) AS (
        SELECT n.kind, n.hour, n.deadline, n.due FROM kinds k CROSS JOIN LATERAL (
            SELECT w.kind, w.due / 3600000 AS hour, w.deadline, w.due FROM relation.wakeups w
            WHERE w.kind = k.kind AND w.due / 3600000 >= v_first_hour AND w.due / 3600000 < v_end
            ORDER BY w.kind, w.due / 3600000, w.deadline, w.due LIMIT 1) n
        WHERE k.kind <> ALL (p_except)
        UNION ALL
        SELECT n.kind, n.hour, n.deadline, n.due FROM ranges r CROSS JOIN LATERAL (
            SELECT w.kind, w.due / 3600000 AS hour, w.deadline, w.due FROM relation.wakeups w
            WHERE w.kind = r.kind AND w.due / 3600000 > r.hour AND w.due / 3600000 < v_end
            ORDER BY w.kind, w.due / 3600000, w.deadline, w.due LIMIT 1) n
    ),
    searched AS MATERIALIZED (
        SELECT r.kind, r.hour, r.deadline, r.due FROM ranges r
        ORDER BY r.deadline, r.due
    ),
    bound AS MATERIALIZED (
        SELECT f.deadline, f.due FROM (SELECT s.kind, s.hour FROM searched s LIMIT p_rows) s CROSS JOIN LATERAL (
            SELECT w.deadline, w.due FROM relation.wakeups w
            WHERE w.kind = s.kind AND w.due / 3600000 = s.hour AND w.due <= p_now
                AND coalesce((SELECT l.expires FROM relation.leases l
                    WHERE l.model = w.model AND l.pkid = w.pkid), -1) <= v_lease_time
            ORDER BY w.deadline, w.due LIMIT (SELECT 4 + p_rows / greatest(count(*), 1) FROM searched)) f
        ORDER BY f.deadline, f.due OFFSET p_rows - 1 LIMIT 1
    ),
    found AS MATERIALIZED (
        SELECT f.* FROM searched s CROSS JOIN LATERAL (
            SELECT w.deadline, w.due, w.model, w.pkid, w.id FROM relation.wakeups w
            WHERE w.kind = s.kind AND w.due / 3600000 = s.hour AND w.due <= p_now
                AND (w.deadline, w.due) <= (coalesce((SELECT b.deadline FROM bound b), v_last),
                    coalesce((SELECT b.due FROM bound b), v_last))
                AND coalesce((SELECT l.expires FROM relation.leases l
                    WHERE l.model = w.model AND l.pkid = w.pkid), -1) <= v_lease_time
            ORDER BY w.deadline, w.due, w.model, w.pkid, w.id LIMIT p_rows) f
        WHERE s.deadline <= coalesce((SELECT b.deadline FROM bound b), v_last)
        UNION ALL
        SELECT w.deadline, w.due, w.model, w.pkid, w.id FROM (
            SELECT w.* FROM relation.wakeups w
            WHERE v_are_few AND w.due >= v_start AND w.due <= p_now ORDER BY w.due LIMIT v_few) w
        WHERE w.kind >= p_first_kind AND w.kind <= p_last_kind AND w.kind <> ALL (p_except)
            AND coalesce((SELECT l.expires FROM relation.leases l
                WHERE l.model = w.model AND l.pkid = w.pkid), -1) <= v_lease_time
        ORDER BY deadline, due, model, pkid, id LIMIT p_rows
    )
    SELECT w.* FROM found f CROSS JOIN LATERAL (
        SELECT w.* FROM relation.wakeups w WHERE w.model = f.model AND w.pkid = f.pkid AND w.id = f.id LIMIT 1) w
    ORDER BY f.deadline, f.due, f.model, f.pkid, f.id;
END $$;
