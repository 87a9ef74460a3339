-- The chains: `heads` is lock, tail and guard of each; `records` holds the exact lines.
CREATE TABLE audit_emit.heads (
  chain text COLLATE "C" PRIMARY KEY CHECK (chain ~ '^[0-9a-f]{16}$'),
  service text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL DEFAULT '',
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('live', 'ended', 'shipped')),
  seq bigint NOT NULL CHECK (seq >= 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  ts text COLLATE "C" NOT NULL DEFAULT '',
  -- The last record that was pruned; the first one that is here links to it.
  pruned_seq bigint NOT NULL DEFAULT 0,
  pruned_hash bytea,
  opened_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- One chain that goes on for each service and tenant; chains of files are shipped beside it.
CREATE UNIQUE INDEX heads_live ON audit_emit.heads (service, tenant) WHERE kind = 'live';

-- `sealed_on` is the day (UTC) on which the row was written, and decides its partition. A unique
-- key needs it, so that (chain, seq) alone is unique because of `heads`.
CREATE TABLE audit_emit.records (
  chain text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  sealed_on date NOT NULL,
  hash bytea NOT NULL,
  id uuid,
  ts text COLLATE "C" NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  workspace_id text COLLATE "C",
  user_id text COLLATE "C",
  correlation_id text COLLATE "C",
  line text COLLATE "C" NOT NULL,
  PRIMARY KEY (chain, seq, sealed_on)
) PARTITION BY RANGE (sealed_on);
CREATE INDEX records_id ON audit_emit.records (id);
CREATE INDEX records_type ON audit_emit.records (chain, event_type, seq);
CREATE INDEX records_user ON audit_emit.records (chain, user_id, seq);
CREATE INDEX records_workspace ON audit_emit.records (chain, workspace_id, seq);
CREATE INDEX records_correlation ON audit_emit.records (correlation_id);

-- Checkpoints of chains, each the JSON object that stands in checkpoints.jsonl.
CREATE TABLE audit_emit.checkpoints (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chain text COLLATE "C" NOT NULL,
  head_seq bigint NOT NULL,
  line text COLLATE "C" NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX checkpoints_chain ON audit_emit.checkpoints (chain, head_seq);

CREATE FUNCTION audit_emit.refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is only appended to: % of %.% is refused',
    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION audit_emit.only_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.chain <> OLD.chain OR NEW.service <> OLD.service OR NEW.tenant <> OLD.tenant
     OR NEW.seq < OLD.seq OR NEW.pruned_seq < OLD.pruned_seq OR OLD.kind = 'ended' AND NEW.kind <> 'ended'
     OR NEW.seq = OLD.seq AND NEW.hash <> OLD.hash THEN
    RAISE EXCEPTION 'the head of an audit chain only moves forward' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_emit.records
  FOR EACH STATEMENT EXECUTE FUNCTION audit_emit.refuse();
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_emit.checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION audit_emit.refuse();
CREATE TRIGGER no_change BEFORE DELETE OR TRUNCATE ON audit_emit.heads
  FOR EACH STATEMENT EXECUTE FUNCTION audit_emit.refuse();
CREATE TRIGGER only_forward BEFORE UPDATE ON audit_emit.heads
  FOR EACH ROW EXECUTE FUNCTION audit_emit.only_forward();

-- Statement triggers of the parent say nothing to a statement that names a partition.
CREATE FUNCTION audit_emit.guard(p_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
    'FOR EACH STATEMENT EXECUTE FUNCTION audit_emit.refuse()', p_table);
END
$$;

-- Makes the partitions of this month and of the next ones; what has none goes to the default one.
-- A month whose rows are in the default partition already keeps them there.
CREATE FUNCTION audit_emit.ensure_partitions(p_months integer DEFAULT 2) RETURNS integer
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
    -- Two of these at once: the second one waits, and finds the table.
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_emit.ensure_partitions', 0));
    CONTINUE WHEN to_regclass('audit_emit.' || named) IS NOT NULL;
    CONTINUE WHEN to_regclass('audit_emit.records_rest') IS NOT NULL AND EXISTS (
      SELECT FROM audit_emit.records_rest r WHERE r.sealed_on >= begins AND r.sealed_on < ends);
    -- Made beside the table and attached: that does not wait for its readers and writers.
    EXECUTE format('CREATE TABLE audit_emit.%I (LIKE audit_emit.records INCLUDING DEFAULTS)', named);
    EXECUTE format('ALTER TABLE audit_emit.records ATTACH PARTITION audit_emit.%I '
      'FOR VALUES FROM (%L) TO (%L)', named, begins, ends);
    PERFORM audit_emit.guard(format('audit_emit.%I', named)::regclass);
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;

CREATE TABLE audit_emit.records_rest PARTITION OF audit_emit.records DEFAULT;
SELECT audit_emit.guard('audit_emit.records_rest');
SELECT audit_emit.ensure_partitions();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit_emit FROM PUBLIC;
SELECT audit_emit.grant_to(role, 'SELECT ON audit_emit.heads, audit_emit.records, audit_emit.checkpoints')
FROM unnest(ARRAY['audit_emit_writer', 'audit_emit_reader', 'audit_emit_pruner']) AS role;
SELECT audit_emit.grant_to('audit_emit_writer', 'EXECUTE ON FUNCTION audit_emit.ensure_partitions(integer)');
