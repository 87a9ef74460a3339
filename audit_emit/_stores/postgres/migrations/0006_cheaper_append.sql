-- The same append, and the same searches, for about half of the server's time.

-- An `id` begins with its time, so that its order is nearly the one in which rows are written: a
-- summary of each range of pages finds it, and takes nothing of an insert.
DROP INDEX audit_emit.records_id;
CREATE INDEX records_id ON audit_emit.records USING brin (id uuid_minmax_multi_ops)
  WITH (pages_per_range = 32, autosummarize = on);

-- Nobody looks for records that have no user, workspace or correlation: those are in no index.
DROP INDEX audit_emit.records_user;
DROP INDEX audit_emit.records_workspace;
DROP INDEX audit_emit.records_correlation;
CREATE INDEX records_user ON audit_emit.records (chain, user_id, seq)
  WHERE user_id IS NULL OR user_id <> '';
CREATE INDEX records_workspace ON audit_emit.records (chain, workspace_id, seq)
  WHERE workspace_id IS NULL OR workspace_id <> '';
CREATE INDEX records_correlation ON audit_emit.records (correlation_id)
  WHERE correlation_id IS NULL OR correlation_id <> '';

-- As before, but each line is looked at once, as bytes, and only if the head is the one it links to.
CREATE OR REPLACE FUNCTION audit_emit.append(
  p_chain text, p_seq bigint, p_hash bytea, p_async boolean,
  p_lines text[], p_hashes bytea[], p_ids text[], p_ts text[], p_types text[],
  p_workspaces text[], p_users text[], p_correlations text[],
  OUT appended boolean, OUT kind text, OUT seq bigint, OUT hash bytea, OUT ts text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n integer := cardinality(p_lines);
  today date := (now() AT TIME ZONE 'UTC')::date;
  begin_of_link text := ',"chain":"' || p_chain || '","seq":';
  linked integer;
BEGIN
  IF n IS NULL OR n = 0 OR num_nulls(p_chain, p_seq, p_hash) > 0
     OR (n = cardinality(p_hashes) AND n = cardinality(p_ids) AND n = cardinality(p_ts)
         AND n = cardinality(p_types) AND n = cardinality(p_workspaces)
         AND n = cardinality(p_users) AND n = cardinality(p_correlations)) IS NOT TRUE THEN
    RAISE EXCEPTION 'append: a chain, its head, and arrays of one length' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF p_async THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  ELSIF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;

  -- The lock, the look at the tail, and the move of it are one statement: who comes second waits
  -- here, and then sees that the head is another one (READ COMMITTED), or gets an error (above it).
  UPDATE audit_emit.heads h SET seq = p_seq + n, hash = p_hashes[n], ts = p_ts[n]
    WHERE h.chain = p_chain AND h.seq = p_seq AND h.hash = p_hash AND h.kind <> 'ended';
  appended := FOUND;
  IF NOT appended THEN
    SELECT h.kind, h.seq, h.hash, h.ts INTO kind, seq, hash, ts FROM audit_emit.heads h WHERE h.chain = p_chain;
    RETURN;
  END IF;
  INSERT INTO audit_emit.records
    (chain, seq, sealed_on, hash, id, ts, event_type, workspace_id, user_id, correlation_id, line)
  SELECT p_chain, p_seq + r.i, today, r.hash, r.id::uuid, r.ts, r.event_type,
    r.workspace_id, r.user_id, r.correlation_id, r.line
  FROM unnest(p_lines, p_hashes, p_hash || p_hashes[:n - 1], p_ids, p_ts, p_types, p_workspaces, p_users,
      p_correlations) WITH ORDINALITY
    AS r (line, hash, before, id, ts, event_type, workspace_id, user_id, correlation_id, i),
    convert_to(begin_of_link || (p_seq + r.i) || ',"prev_hash":"' || encode(r.before, 'hex')
      || '","hash":"' || encode(r.hash, 'hex') || '"}', 'UTF8') AS link
  WHERE octet_length(r.line) < 1048576 AND strpos(r.line, E'\n') = 0
    AND substring(convert_to(r.line, 'UTF8') FROM octet_length(r.line) - octet_length(link) + 1) = link;
  GET DIAGNOSTICS linked = ROW_COUNT;
  IF linked <> n THEN
    RAISE EXCEPTION 'append: % of % lines do not link to the one before them', n - linked, n
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT h.kind, p_seq + n, p_hashes[n], p_ts[n] INTO kind, seq, hash, ts
    FROM audit_emit.heads h WHERE h.chain = p_chain;
END
$$;
