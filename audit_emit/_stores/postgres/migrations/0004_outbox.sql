-- Records that an application has put beside its own change, in its own transaction, and that are
-- not linked yet. Who may insert here needs nothing else of this schema.
CREATE TABLE audit_emit.outbox (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  service text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL DEFAULT '',
  -- The record up to its link, without the closing brace.
  unlinked text COLLATE "C" NOT NULL CHECK (octet_length(unlinked) BETWEEN 40 AND 1048000),
  added_at timestamptz NOT NULL DEFAULT now()
);

-- Takes the oldest rows of one service and tenant out, in the transaction that appends them. Rows
-- that another sealer has taken, and that are not committed yet, are passed over.
CREATE FUNCTION audit_emit.take_unsealed(p_service text, p_tenant text, p_most integer)
RETURNS TABLE (number bigint, unlinked text, added_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH taken AS (
    DELETE FROM audit_emit.outbox o WHERE o.number = ANY (ARRAY(
      SELECT w.number FROM audit_emit.outbox w
      WHERE w.service = p_service AND w.tenant = p_tenant
      ORDER BY w.number LIMIT p_most FOR UPDATE SKIP LOCKED))
    RETURNING o.number, o.unlinked, o.added_at)
  SELECT * FROM taken ORDER BY number;
$$;

-- Which chains have rows that wait, and since when.
CREATE FUNCTION audit_emit.unsealed()
RETURNS TABLE (service text, tenant text, waiting bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.service, o.tenant, count(*), min(o.added_at) FROM audit_emit.outbox o
  GROUP BY o.service, o.tenant ORDER BY min(o.number);
$$;

REVOKE ALL ON FUNCTION audit_emit.take_unsealed(text, text, integer), audit_emit.unsealed() FROM PUBLIC;
SELECT audit_emit.grant_to('audit_emit_writer', grants) FROM unnest(ARRAY[
  'INSERT ON audit_emit.outbox',
  'EXECUTE ON FUNCTION audit_emit.take_unsealed(text, text, integer)',
  'EXECUTE ON FUNCTION audit_emit.unsealed()'
]) AS grants;
SELECT audit_emit.grant_to(role, 'EXECUTE ON FUNCTION audit_emit.unsealed()')
FROM unnest(ARRAY['audit_emit_reader', 'audit_emit_pruner']) AS role;
