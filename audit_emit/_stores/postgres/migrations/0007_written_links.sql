-- The same append for less of the time of both sides, and with a third fewer bytes between them.

-- Writers send records up to their link, and the link is written here, so that there is none to be
-- looked at. What is given are few texts, which are split here.
--
-- `p_bodies` are lines without their link (and without its closing brace), a newline between them.
-- `p_hashes` are the hashes of the whole lines, 32 bytes each: they are not computed here, as
-- `audit-emit verify` does that. `p_copies` are six texts for each line (id, ts, event_type,
-- workspace_id, user_id, correlation_id) with a separator between any two; `p_null` stands for NULL.
-- What is returned is as with `append`, which writers of a build before this one go on calling.
CREATE FUNCTION audit_emit.append_bodies(
  p_chain text, p_seq bigint, p_hash bytea, p_async boolean, p_bodies text, p_hashes bytea,
  p_copies text, p_separator text, p_null text,
  OUT appended boolean, OUT kind text, OUT seq bigint, OUT hash bytea, OUT ts text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  n integer := octet_length(p_hashes) / 32;
  bodies text[] := string_to_array(p_bodies, E'\n');
  copies text[] := string_to_array(p_copies, p_separator, p_null);
  links bytea := p_hash || p_hashes;
  begin_of_link text := ',"chain":"' || p_chain || '","seq":';
  last bigint := p_seq + n;
  last_hash bytea := substr(p_hashes, 32 * n - 31);
  last_ts text := copies[6 * n - 4];
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  IF (n > 0 AND octet_length(links) = 32 * n + 32 AND cardinality(bodies) = n
      AND cardinality(copies) = 6 * n) IS NOT TRUE THEN
    RAISE EXCEPTION 'append_bodies: a head, lines, a hash of 32 bytes for each, and six copies'
      USING ERRCODE = 'check_violation';
  END IF;
  IF octet_length(p_bodies) > 1048000 AND EXISTS (
      SELECT FROM unnest(bodies) WITH ORDINALITY AS b (body, i)
      WHERE octet_length(body || begin_of_link || (p_seq + i)) + 154 >= 1048576) THEN
    RAISE EXCEPTION 'append_bodies: a line of a mebibyte or more' USING ERRCODE = 'check_violation';
  END IF;
  IF p_async THEN
    kind := set_config('synchronous_commit', 'off', true);
  ELSIF current_setting('synchronous_commit') = 'off' THEN
    kind := set_config('synchronous_commit', 'on', true);
  END IF;

  -- The lock, the look at the tail, and the move of it are one statement: who comes second waits
  -- here, and then sees that the head is another one (READ COMMITTED), or gets an error (above it).
  UPDATE audit_emit.heads h SET seq = last, hash = last_hash, ts = last_ts
    WHERE h.chain = p_chain AND h.seq = p_seq AND h.hash = p_hash AND h.kind <> 'ended'
    RETURNING h.kind, h.seq, h.hash, h.ts INTO kind, seq, hash, ts;
  appended := FOUND;
  IF NOT appended THEN
    SELECT h.kind, h.seq, h.hash, h.ts INTO kind, seq, hash, ts FROM audit_emit.heads h WHERE h.chain = p_chain;
    RETURN;
  END IF;
  INSERT INTO audit_emit.records
    (chain, seq, sealed_on, hash, id, ts, event_type, workspace_id, user_id, correlation_id, line)
  SELECT p_chain, p_seq + i, today, substr(p_hashes, 32 * i - 31, 32), copies[6 * i - 5]::uuid, copies[6 * i - 4],
    copies[6 * i - 3], copies[6 * i - 2], copies[6 * i - 1], copies[6 * i],
    body || (begin_of_link || (p_seq + i) || (',"prev_hash":"' || encode(substr(links, 32 * i - 31, 32), 'hex')
      || ('","hash":"' || encode(substr(p_hashes, 32 * i - 31, 32), 'hex') || '"}')))
  FROM (SELECT body, at::integer AS i FROM unnest(bodies) WITH ORDINALITY AS b (body, at)) AS b;
END
$$;
REVOKE ALL ON FUNCTION audit_emit.append_bodies(
  text, bigint, bytea, boolean, text, bytea, text, text, text) FROM PUBLIC;
SELECT audit_emit.grant_to('audit_emit_writer', 'EXECUTE ON FUNCTION audit_emit.append_bodies('
  'text, bigint, bytea, boolean, text, bytea, text, text, text)');

-- Whether a head moves forward is asked without a call of the function, which only says no.
CREATE OR REPLACE TRIGGER only_forward BEFORE UPDATE ON audit_emit.heads
  FOR EACH ROW WHEN (
    NEW.chain <> OLD.chain OR NEW.service <> OLD.service OR NEW.tenant <> OLD.tenant
    OR NEW.seq < OLD.seq OR NEW.pruned_seq < OLD.pruned_seq OR OLD.kind = 'ended' AND NEW.kind <> 'ended'
    OR NEW.seq = OLD.seq AND NEW.hash <> OLD.hash)
  EXECUTE FUNCTION audit_emit.only_forward();
