"""Reading the files of a log: whole, in parts, packed, by time and by place."""
