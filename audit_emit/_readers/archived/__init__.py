"""Reading logs that are in an archive, as a whole or in part."""
