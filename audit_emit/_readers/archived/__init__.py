"""Reading logs of which a part, or all, is in an archive."""
