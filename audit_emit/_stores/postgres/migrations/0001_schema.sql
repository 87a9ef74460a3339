-- Roles without a login, and the schema. Roles belong to the whole cluster: another database may
-- have made them already. Where this role may not make roles, the schema belongs to it, and
-- `audit-emit db check` says that nothing then keeps the writer from being the owner.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY[
    'audit_emit_owner', 'audit_emit_writer', 'audit_emit_reader', 'audit_emit_pruner'
  ] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
      EXCEPTION
        WHEN insufficient_privilege THEN
          RAISE NOTICE 'the role % is missing, and this role may not create it', wanted;
        WHEN duplicate_object OR unique_violation THEN
          NULL;  -- somebody else made it meanwhile, in another database
      END;
    END IF;
  END LOOP;
END
$$;

CREATE SCHEMA IF NOT EXISTS audit_emit;

-- Which migrations this database has: their checksums are compared before others are run.
CREATE TABLE IF NOT EXISTS audit_emit.migrations (
  number integer PRIMARY KEY,
  name text NOT NULL,
  sha256 text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'audit_emit_owner') THEN
    BEGIN
      IF NOT pg_catalog.pg_has_role('audit_emit_owner', 'MEMBER') THEN
        GRANT audit_emit_owner TO CURRENT_USER;
      END IF;
      ALTER SCHEMA audit_emit OWNER TO audit_emit_owner;
      ALTER TABLE audit_emit.migrations OWNER TO audit_emit_owner;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE NOTICE 'the schema audit_emit stays with the role that created it';
    END;
  END IF;
END
$$;

-- Grants that name a role which this cluster does not have are passed over.
CREATE FUNCTION audit_emit.grant_to(p_role text, p_privileges text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = p_role) THEN
    EXECUTE format('GRANT %s TO %I', p_privileges, p_role);
  END IF;
END
$$;
REVOKE ALL ON FUNCTION audit_emit.grant_to(text, text) FROM PUBLIC;
REVOKE ALL ON SCHEMA audit_emit FROM PUBLIC;
DO $$
BEGIN
  IF pg_catalog.pg_get_userbyid((SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'audit_emit'))
     = 'audit_emit_owner' THEN
    ALTER FUNCTION audit_emit.grant_to(text, text) OWNER TO audit_emit_owner;
  END IF;
END
$$;
SELECT audit_emit.grant_to(role, 'USAGE ON SCHEMA audit_emit'),
       audit_emit.grant_to(role, 'SELECT ON audit_emit.migrations')
FROM unnest(ARRAY['audit_emit_writer', 'audit_emit_reader', 'audit_emit_pruner']) AS role;
