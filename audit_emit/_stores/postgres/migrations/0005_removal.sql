-- Whole partitions leave, when every chain that has rows in them says so: `audit-emit db prune`.

-- The partitions by month, oldest first. The default one has no bounds, and never leaves.
CREATE FUNCTION audit_emit.months() RETURNS TABLE (name text, begins date, ends date)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.relname::text, bound[1]::date, bound[2]::date
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), $r$FROM \('([0-9-]+)'\) TO \('([0-9-]+)'\)$r$) AS bound
  WHERE i.inhparent = 'audit_emit.records'::regclass AND bound IS NOT NULL
  ORDER BY bound[1]::date;
$$;

-- The heads of chains, which nobody moves before this transaction is at its end.
CREATE FUNCTION audit_emit.lock_heads(p_chains text[]) RETURNS SETOF audit_emit.heads
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM audit_emit.heads h WHERE h.chain = ANY (p_chains) ORDER BY h.chain FOR UPDATE;
$$;

-- Appends the record `audit.pruned` to a chain, also to one that has ended: nothing else of it is
-- written any more. A chain that a file holds has that record from the file, and gets no line here.
CREATE FUNCTION audit_emit.append_removal(
  p_chain text, p_last bigint, p_last_hash bytea, p_line text, p_hash bytea, p_id text, p_ts text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  head audit_emit.heads;
  link text;
BEGIN
  SELECT * INTO STRICT head FROM audit_emit.heads h WHERE h.chain = p_chain FOR UPDATE;
  IF p_last IS NULL OR p_last_hash IS NULL OR p_last > head.seq OR p_last < head.pruned_seq THEN
    RAISE EXCEPTION 'append_removal: chain % has no such records to remove', p_chain
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF (p_line IS NULL) <> (head.kind = 'shipped') THEN
    RAISE EXCEPTION 'append_removal: chain % is %', p_chain, head.kind USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF p_line IS NULL THEN
    UPDATE audit_emit.heads h SET pruned_seq = p_last, pruned_hash = p_last_hash WHERE h.chain = p_chain;
    RETURN;
  END IF;
  link := format(',"chain":"%s","seq":%s,"prev_hash":"%s","hash":"%s"}', p_chain, head.seq + 1,
    encode(head.hash, 'hex'), encode(p_hash, 'hex'));
  IF (right(p_line, length(link)) = link AND octet_length(p_line) < 1048576 AND position(E'\n' IN p_line) = 0
      AND substr(p_line, 37, 29) = 'Z","event_type":"audit.pruned') IS NOT TRUE THEN
    RAISE EXCEPTION 'append_removal: not a record of a removal that links to the head of %', p_chain
      USING ERRCODE = 'check_violation';
  END IF;
  UPDATE audit_emit.heads h SET seq = head.seq + 1, hash = p_hash, ts = p_ts,
    pruned_seq = p_last, pruned_hash = p_last_hash WHERE h.chain = p_chain;
  INSERT INTO audit_emit.records
    (chain, seq, sealed_on, hash, id, ts, event_type, workspace_id, user_id, correlation_id, line)
  VALUES (p_chain, head.seq + 1, (now() AT TIME ZONE 'UTC')::date, p_hash, p_id::uuid, p_ts, 'audit.pruned',
    '', '', '', p_line);
END
$$;

-- Takes partitions out of the table, in the transaction that appended the removals to all chains.
-- What is in them must be removed as `heads` says, and nothing before that may be anywhere else.
CREATE FUNCTION audit_emit.remove_months(p_names text[], p_drop boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  month record;
  left_over text;
BEGIN
  IF cardinality(p_names) IS DISTINCT FROM (SELECT count(DISTINCT name)::integer FROM unnest(p_names) AS name) THEN
    RAISE EXCEPTION 'remove_months: a name is there twice, or is none' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR month IN SELECT given.name, m.ends FROM unnest(p_names) AS given (name)
      LEFT JOIN audit_emit.months() m ON m.name = given.name LOOP
    IF month.ends IS NULL OR month.ends > (now() AT TIME ZONE 'UTC')::date THEN
      RAISE EXCEPTION 'remove_months: % is no partition of a month that is over', month.name
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT r.chain FROM audit_emit.%I r LEFT JOIN audit_emit.heads h USING (chain) '
      'WHERE h.chain IS NULL OR r.seq > h.pruned_seq LIMIT 1', month.name) INTO left_over;
    IF left_over IS NOT NULL THEN
      RAISE EXCEPTION 'remove_months: % holds records of chain % that were not removed', month.name, left_over
        USING ERRCODE = 'check_violation';
    END IF;
    EXECUTE format('ALTER TABLE audit_emit.records DETACH PARTITION audit_emit.%I', month.name);
    IF p_drop THEN
      EXECUTE format('DROP TABLE audit_emit.%I', month.name);
    END IF;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION audit_emit.months(), audit_emit.lock_heads(text[]),
  audit_emit.append_removal(text, bigint, bytea, text, bytea, text, text),
  audit_emit.remove_months(text[], boolean) FROM PUBLIC;
SELECT audit_emit.grant_to('audit_emit_pruner', 'EXECUTE ON FUNCTION ' || signature)
FROM unnest(ARRAY[
  'audit_emit.months()',
  'audit_emit.lock_heads(text[])',
  'audit_emit.append_removal(text, bigint, bytea, text, bytea, text, text)',
  'audit_emit.remove_months(text[], boolean)',
  'audit_emit.flush_appends()',
  'audit_emit.add_checkpoint(text, bigint, text)'
]) AS signature;
