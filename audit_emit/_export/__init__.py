"""Records in the formats of other systems: pure mappings, and the one pass that writes them."""
