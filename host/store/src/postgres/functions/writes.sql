-- Ends a function that writes: stores the id of the write with its result, and returns the result.
CREATE FUNCTION relation.wrote_v1(p_write uuid, p_result text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_result text := coalesce(p_result, '');
BEGIN
    INSERT INTO relation.writes (id, result) VALUES (p_write, v_result);
    RETURN v_result;
END
$$;
