-- Partitions by month: writers that make them at the same time, and dates in any style.

-- As before, but for two of these at once. The second one waits for the advisory lock, and may go on
-- without having heard of what the first one has made: the server looks for such news when it locks a
-- table, and an advisory lock is none. The table is whole then, as the first one has committed.
CREATE OR REPLACE FUNCTION audit_emit.ensure_partitions(p_months integer DEFAULT 2) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  begins date;
  ends date;
  named text;
  made integer := 0;
BEGIN
  FOR ahead IN 0 .. least(p_months, 24) LOOP
    begins := date_trunc('month', (now() AT TIME ZONE 'UTC')::date + make_interval(months => ahead))::date;
    ends := (begins + interval '1 month')::date;
    named := 'records_' || to_char(begins, 'YYYYMM');
    CONTINUE WHEN to_regclass('audit_emit.' || named) IS NOT NULL;
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_emit.ensure_partitions', 0));
    CONTINUE WHEN to_regclass('audit_emit.' || named) IS NOT NULL;
    CONTINUE WHEN to_regclass('audit_emit.records_rest') IS NOT NULL AND EXISTS (
      SELECT FROM audit_emit.records_rest r WHERE r.sealed_on >= begins AND r.sealed_on < ends);
    -- Made beside the table and attached: that does not wait for its readers and writers.
    BEGIN
      EXECUTE format('CREATE TABLE audit_emit.%I (LIKE audit_emit.records INCLUDING DEFAULTS)', named);
    EXCEPTION WHEN duplicate_table THEN
      CONTINUE;
    END;
    EXECUTE format('ALTER TABLE audit_emit.records ATTACH PARTITION audit_emit.%I '
      'FOR VALUES FROM (%L) TO (%L)', named, begins, ends);
    PERFORM audit_emit.guard(format('audit_emit.%I', named)::regclass);
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;

-- As before, but that the bounds are written in one style, whatever the session or the role asks for.
CREATE OR REPLACE FUNCTION audit_emit.months() RETURNS TABLE (name text, begins date, ends date)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' AS $$
  SELECT c.relname::text, bound[1]::date, bound[2]::date
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), $r$FROM \('([0-9-]+)'\) TO \('([0-9-]+)'\)$r$) AS bound
  WHERE i.inhparent = 'audit_emit.records'::regclass AND bound IS NOT NULL
  ORDER BY bound[1]::date;
$$;
