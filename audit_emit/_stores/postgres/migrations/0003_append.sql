-- What a writer may do, and nothing else: it has EXECUTE of these functions, and SELECT.

-- The live chain of a service and a tenant; begun with this id where there is none yet.
CREATE FUNCTION audit_emit.open_chain(p_service text, p_tenant text, p_chain text)
RETURNS SETOF audit_emit.heads
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT * FROM audit_emit.heads h
    WHERE h.service = p_service AND h.tenant = p_tenant AND h.kind = 'live';
  IF FOUND THEN
    RETURN;
  END IF;
  INSERT INTO audit_emit.heads (chain, service, tenant, kind, seq, hash)
    VALUES (p_chain, p_service, p_tenant, 'live', 0, decode(repeat('00', 32), 'hex'))
    ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT * FROM audit_emit.heads h
    WHERE h.service = p_service AND h.tenant = p_tenant AND h.kind = 'live';
END
$$;

-- The same, and nobody else appends to the chain before this transaction is at its end.
CREATE FUNCTION audit_emit.lock_chain(p_service text, p_tenant text, p_chain text)
RETURNS SETOF audit_emit.heads
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM audit_emit.open_chain(p_service, p_tenant, p_chain);
  RETURN QUERY SELECT * FROM audit_emit.heads h
    WHERE h.service = p_service AND h.tenant = p_tenant AND h.kind = 'live' FOR UPDATE;
END
$$;

-- The chain lost records that a writer was told were safe: it ends here, and another one begins.
-- Only the first of several writers that find this out ends it.
CREATE FUNCTION audit_emit.end_chain(p_chain text, p_seq bigint, p_hash bytea, p_next text)
RETURNS SETOF audit_emit.heads
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  old audit_emit.heads;
BEGIN
  UPDATE audit_emit.heads h SET kind = 'ended'
    WHERE h.chain = p_chain AND h.kind = 'live' AND h.seq = p_seq AND h.hash = p_hash;
  SELECT * INTO old FROM audit_emit.heads h WHERE h.chain = p_chain;
  IF old.kind = 'ended' THEN
    INSERT INTO audit_emit.heads (chain, service, tenant, kind, seq, hash)
      VALUES (p_next, old.service, old.tenant, 'live', 0, decode(repeat('00', 32), 'hex'))
      ON CONFLICT DO NOTHING;
  END IF;
  RETURN QUERY SELECT * FROM audit_emit.heads h
    WHERE h.service = old.service AND h.tenant = old.tenant AND h.kind = 'live';
END
$$;

-- A chain that a file holds, to be shipped: begun after the record with this `seq` and `hash`.
CREATE FUNCTION audit_emit.open_shipped(p_service text, p_chain text, p_seq bigint, p_hash bytea)
RETURNS SETOF audit_emit.heads
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO audit_emit.heads (chain, service, tenant, kind, seq, hash, pruned_seq, pruned_hash)
    VALUES (p_chain, p_service, '', 'shipped', p_seq, p_hash, p_seq, CASE WHEN p_seq > 0 THEN p_hash END)
    ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT * FROM audit_emit.heads h WHERE h.chain = p_chain;
END
$$;

-- Appends lines that are linked to this head already, if it still is the head (compare and swap).
--
-- The links are checked here, the hashes are not: `audit-emit verify` computes them again. What is
-- returned is the head afterwards: `appended` says whether these lines are the end of the chain
-- now, and if not, the other columns say what to link to. An `async` append is not synced at its
-- commit; flush_appends() is what makes it so.
CREATE FUNCTION audit_emit.append(
  p_chain text, p_seq bigint, p_hash bytea, p_async boolean,
  p_lines text[], p_hashes bytea[], p_ids text[], p_ts text[], p_types text[],
  p_workspaces text[], p_users text[], p_correlations text[],
  OUT appended boolean, OUT kind text, OUT seq bigint, OUT hash bytea, OUT ts text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n integer := cardinality(p_lines);
  wrong bigint;
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
  SELECT min(i) INTO wrong
    FROM unnest(p_lines, p_hashes) WITH ORDINALITY AS given (line, hash, i),
      format(',"chain":"%s","seq":%s,"prev_hash":"%s","hash":"%s"}', p_chain, p_seq + i,
        encode(CASE WHEN i = 1 THEN p_hash ELSE p_hashes[i - 1] END, 'hex'),
        encode(given.hash, 'hex')) AS link
    WHERE (right(line, length(link)) = link AND octet_length(line) < 1048576
      AND position(E'\n' IN line) = 0) IS NOT TRUE;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'append: line % does not link to the one before it', wrong USING ERRCODE = 'check_violation';
  END IF;

  -- The lock, the look at the tail, and the move of it are one statement: who comes second waits
  -- here, and then sees that the head is another one (READ COMMITTED), or gets an error (above it).
  UPDATE audit_emit.heads h SET seq = p_seq + n, hash = p_hashes[n], ts = p_ts[n]
    WHERE h.chain = p_chain AND h.seq = p_seq AND h.hash = p_hash AND h.kind <> 'ended';
  appended := FOUND;
  IF appended THEN
    INSERT INTO audit_emit.records
      (chain, seq, sealed_on, hash, id, ts, event_type, workspace_id, user_id, correlation_id, line)
    SELECT p_chain, p_seq + r.i, (now() AT TIME ZONE 'UTC')::date, r.hash, r.id::uuid, r.ts, r.event_type,
      r.workspace_id, r.user_id, r.correlation_id, r.line
    FROM unnest(p_lines, p_hashes, p_ids, p_ts, p_types, p_workspaces, p_users, p_correlations)
      WITH ORDINALITY
      AS r (line, hash, id, ts, event_type, workspace_id, user_id, correlation_id, i);
  END IF;
  SELECT h.kind, h.seq, h.hash, h.ts INTO kind, seq, hash, ts FROM audit_emit.heads h WHERE h.chain = p_chain;
END
$$;

-- A transaction of its own that writes to the log and is synced: all commits before it are, too.
CREATE FUNCTION audit_emit.flush_appends() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  PERFORM pg_logical_emit_message(true, 'audit_emit', '');
END
$$;

-- A checkpoint joins those of its chain.
CREATE FUNCTION audit_emit.add_checkpoint(p_chain text, p_head_seq bigint, p_line text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO audit_emit.checkpoints (chain, head_seq, line) VALUES (p_chain, p_head_seq, p_line)
  RETURNING number;
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit_emit FROM PUBLIC;
SELECT audit_emit.grant_to('audit_emit_writer', 'EXECUTE ON FUNCTION ' || signature)
FROM unnest(ARRAY[
  'audit_emit.open_chain(text, text, text)',
  'audit_emit.lock_chain(text, text, text)',
  'audit_emit.end_chain(text, bigint, bytea, text)',
  'audit_emit.open_shipped(text, text, bigint, bytea)',
  'audit_emit.append(text, bigint, bytea, boolean, text[], bytea[], text[], text[], text[], text[], text[], text[])',
  'audit_emit.flush_appends()',
  'audit_emit.add_checkpoint(text, bigint, text)'
]) AS signature;
