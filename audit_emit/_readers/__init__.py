"""Reading a log, wherever it is: files, a database, an archive, memory."""
