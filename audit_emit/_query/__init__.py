"""Questions to a log or to Loki."""
