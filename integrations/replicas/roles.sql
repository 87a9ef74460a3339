-- Who logs in: the service, which may append, and who reads. The schema's own roles are made by
-- `audit-emit db migrate` where they are missing; here they come first, as there are members.
CREATE ROLE audit_emit_writer NOLOGIN;
CREATE ROLE audit_emit_reader NOLOGIN;
CREATE ROLE shop LOGIN IN ROLE audit_emit_writer;
CREATE ROLE auditor LOGIN IN ROLE audit_emit_reader;
