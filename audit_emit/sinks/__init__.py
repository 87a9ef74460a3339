"""Where records go: the chained file and standard output. The only part that does I/O."""
