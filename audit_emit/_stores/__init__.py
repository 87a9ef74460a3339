"""Where records go: the chained file and standard output."""
