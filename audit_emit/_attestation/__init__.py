"""A signed statement about some records of a log, and checking it against the log."""
