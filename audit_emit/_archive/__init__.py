"""The archive of a log: closed segments as objects, each with a signed manifest."""
