"""Reading a chain in PostgreSQL."""
