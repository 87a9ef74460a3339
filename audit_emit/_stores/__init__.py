"""Where records are kept, and where they are shown."""
