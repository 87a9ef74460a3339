"""A chain in PostgreSQL: schema, appending, shipping, outbox (docs/postgresql.md).

Only ``driver`` imports psycopg, and only when something connects.
"""
