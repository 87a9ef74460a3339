-- Whoever keeps the lock of a chain holds up that chain alone: a writer has one connection for all of
-- its chains, and goes on with the others after this time. What waits is appended later.
ALTER FUNCTION audit_emit.open_chain(text, text, text) SET lock_timeout = '5s';
ALTER FUNCTION audit_emit.lock_chain(text, text, text) SET lock_timeout = '5s';
ALTER FUNCTION audit_emit.end_chain(text, bigint, bytea, text) SET lock_timeout = '5s';
ALTER FUNCTION audit_emit.open_shipped(text, text, bigint, bytea) SET lock_timeout = '5s';
ALTER FUNCTION audit_emit.append(
  text, bigint, bytea, boolean, text[], bytea[], text[], text[], text[], text[], text[], text[])
  SET lock_timeout = '5s';
ALTER FUNCTION audit_emit.append_bodies(text, bigint, bytea, boolean, text, bytea, text, text, text)
  SET lock_timeout = '5s';
