-- Wakeups that are due.

-- Returns the first `p_rows` wakeups that are due at `p_now` and whose subject has no valid lease, the earliest deadline
-- first, and several of one subject. Their kinds are from `p_first_kind` up to `p_last_kind`, but not those of
-- `p_except`. Leases expire by `p_lease_time`; NULL: by the clock of the database.
--
-- The index `wakeups_by_hour` has one range for each kind and hour, in the order of deadlines. What is wanted is in the
-- ranges that begin with the earliest deadlines. The first few wakeups of these give an upper bound for the last one that
-- is wanted, so that no more of each range is read than is needed.
--
-- A function, because its plan is kept. The settings make it use the indexes even while the tables are small.
CREATE FUNCTION relation.due_v1(p_now bigint, p_rows bigint, p_first_kind text, p_last_kind text, p_except text[],
    p_lease_time bigint)
RETURNS SETOF relation.wakeups
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    v_hour constant bigint := p_now / 3600000;
    v_last constant bigint := 9223372036854775807;
    v_lease_time constant bigint :=
        coalesce(p_lease_time, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
BEGIN
    RETURN QUERY
    WITH RECURSIVE ranges (kind, hour, deadline, due) AS (
        (SELECT w.kind, w.due / 3600000, w.deadline, w.due FROM relation.wakeups w
            WHERE w.kind >= p_first_kind AND w.kind <= p_last_kind
            ORDER BY w.kind, w.due / 3600000, w.deadline, w.due LIMIT 1)
        UNION ALL
        SELECT n.kind, n.hour, n.deadline, n.due FROM ranges r CROSS JOIN LATERAL (
            SELECT w.kind, w.due / 3600000 AS hour, w.deadline, w.due FROM relation.wakeups w
            WHERE (w.kind, w.due / 3600000) > (r.kind,
                    CASE WHEN r.hour >= v_hour OR r.kind = ANY (p_except) THEN v_last ELSE r.hour END)
                AND w.kind <= p_last_kind
            ORDER BY w.kind, w.due / 3600000, w.deadline, w.due LIMIT 1) n
    ),
    searched AS MATERIALIZED (
        SELECT r.kind, r.hour, r.deadline, r.due FROM ranges r
        WHERE r.hour <= v_hour AND r.kind <> ALL (p_except)
        ORDER BY r.deadline, r.due
    ),
    bound AS MATERIALIZED (
        SELECT f.deadline, f.due FROM (SELECT s.kind, s.hour FROM searched s LIMIT p_rows) s CROSS JOIN LATERAL (
            SELECT w.deadline, w.due FROM relation.wakeups w
            WHERE w.kind = s.kind AND w.due / 3600000 = s.hour AND w.due <= p_now
                AND coalesce((SELECT l.expires FROM relation.leases l
                    WHERE l.model = w.model AND l.pkid = w.pkid), -1) <= v_lease_time
            ORDER BY w.deadline, w.due LIMIT 4) f
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
        ORDER BY f.deadline, f.due, f.model, f.pkid, f.id LIMIT p_rows
    )
    SELECT w.* FROM found f CROSS JOIN LATERAL (
        SELECT w.* FROM relation.wakeups w WHERE w.model = f.model AND w.pkid = f.pkid AND w.id = f.id LIMIT 1) w
    ORDER BY f.deadline, f.due, f.model, f.pkid, f.id;
END $$;
