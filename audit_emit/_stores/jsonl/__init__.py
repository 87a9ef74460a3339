"""The chain in JSONL files, shared by the threads and processes of a host."""
